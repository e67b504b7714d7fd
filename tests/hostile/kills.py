"""Saves that are killed: afterwards the old version is there, or the new one, and whole.

The next save works, and removes what the killed one left.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from itertools import cycle
from pathlib import Path

from hostile import Count
from hostile._checkpoint import ended, fork, scratch
from hostile._outputs import KINDS, VERSIONS, Output, output

KILLS = 12
"""Of each writer."""

AT_LEAST = 7 * KILLS


def hidden(folder: Path) -> list[Path]:
    """What lies in a folder, at any depth, that a writer left."""
    return [path for path in folder.rglob(".*") if path.name.startswith(".")]


def kill_once(kind: Output, path: Path, chance: random.Random, usual: float) -> str:
    """Kill a writer at some moment of its second save or a later one; say what is wrong then."""

    def save_on_and_on() -> None:
        for version in cycle(VERSIONS):
            kind.write(path, version)

    child = fork(save_on_and_on)
    time.sleep(chance.uniform(0, 3 * usual))
    os.kill(child, signal.SIGKILL)
    if (status := ended(child)) != -signal.SIGKILL:
        return f"the writer ended with {status}"
    if (found := kind.read(path)) not in VERSIONS:
        return f"what is there is {found}"
    for version in VERSIONS:
        kind.write(path, version)
        if (found := kind.read(path)) != version:
            return f"after a save of {version} there is {found}"
    left = [path for path in hidden(path.parent)]
    partial = [each for each in path.parent.rglob("partial")]
    return f"left over: {left + partial}" if left or partial else ""


def run() -> list[Count]:
    """Kill each writer so many times."""
    chance, counts = random.Random(0), []
    for name in KINDS:
        failed, kind = 0, output(name)
        with scratch() as folder:
            path = folder / kind.name
            kind.write(path, VERSIONS[0])
            started = time.monotonic()
            kind.write(path, VERSIONS[1])
            usual = time.monotonic() - started
            for _ in range(KILLS):
                try:
                    wrong = kill_once(kind, path, chance, usual)
                except (OSError, ValueError) as error:
                    wrong = f"{type(error).__name__}: {error}"
                if wrong:
                    failed += 1
                    print(f"{name}: {wrong}", file=sys.stderr)
        counts.append(Count(f"kills while a {name} is saved", KILLS, failed))
    return counts
