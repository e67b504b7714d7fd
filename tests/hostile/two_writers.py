"""Two processes that write one output, and a reader: it is always there, and of one of the two.

HOSTILE_SECONDS says for how long, of each kind; a minute by default.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from hostile import Count
from hostile._checkpoint import ended, fork, scratch
from hostile._outputs import VERSIONS, Output, output

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "60"))

CONTESTED = ("gallery", "bank", "checkpoint", "state")


def write_until(kind: Output, path: Path, version: str, end: float, done: Path) -> None:
    """Write one version again and again, and note how often."""
    count = 0
    while time.monotonic() < end:
        kind.write(path, version)
        count += 1
        time.sleep(random.uniform(0, 0.1))  # a lock is no queue: the other has its turn, too
    done.write_text(str(count))


def contest(name: str) -> list[Count]:
    """Let two write and one read; count reads that met nothing, a mixture, or failing writers."""
    kind, reads, mixed, missing, broken = output(name), 0, 0, 0, 0
    with scratch() as folder:
        path = folder / "contested" / kind.name
        path.parent.mkdir()
        kind.write(path, VERSIONS[0])
        end = time.monotonic() + SECONDS
        done = {version: folder / f"{version}.done" for version in VERSIONS}
        children = [
            fork(lambda v=version: write_until(kind, path, v, end, done[v])) for version in VERSIONS
        ]
        seen = set()
        while time.monotonic() < end:
            reads += 1
            try:
                found = kind.read(path)
            except FileNotFoundError as error:
                missing += 1
                print(f"{name} is missing: {error}", file=sys.stderr)
                continue
            except (OSError, ValueError) as error:
                broken += 1
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
            seen.add(found)
            mixed += found not in VERSIONS
        failed = sum(ended(child) != 0 for child in children)
        writes = sum(int(path.read_text()) for path in done.values() if path.exists())
        print(f"{name}: {reads} reads of {sorted(seen)}, {writes} writes", file=sys.stderr)
    return [
        Count(f"reads of a {name} that was mixed", reads, mixed),
        Count(f"reads of a {name} that was missing", reads, missing),
        Count(f"reads of a {name} that failed otherwise", reads, broken),
        Count(f"writers of a {name} that failed", 2, failed),
    ]


def run() -> list[Count]:
    """Contest each kind."""
    return [count for name in CONTESTED for count in contest(name)]
