"""Run every kind of attempt, and print how often each was tried and got through."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import time
from collections.abc import Sequence
from types import ModuleType

import hostile
from hostile import Count


def modules() -> dict[str, ModuleType]:
    """Return the modules that have attempts to run, by name."""
    found = {}
    for each in pkgutil.iter_modules(hostile.__path__):
        if each.name.startswith(("_", "test_")):
            continue
        module = importlib.import_module(f"hostile.{each.name}")
        if hasattr(module, "run"):
            found[each.name] = module
    return found


def faults(module: ModuleType, counts: Sequence[Count]) -> list[str]:
    """Return what is wrong with the counts of a module, a sentence each."""
    wrong = [
        f"{count.what}: {count.got_through} of {count.tried} got through."
        for count in counts
        if count.got_through
    ]
    wrong += [f"{count.what}: nothing was tried." for count in counts if count.tried < 1]
    tried, bar = sum(count.tried for count in counts), getattr(module, "AT_LEAST", 1)
    if tried < bar:
        wrong.append(f"{module.__name__}: {tried} attempts, and at least {bar} are asked.")
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return 1 when something got through or too little was tried."""
    known = modules()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", metavar="KIND", help=f"of {', '.join(known)}")
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose of {', '.join(known)}")
    wrong: list[str] = []
    print("| what | tried | got through |\n|---|---|---|", flush=True)
    for name in options.only or known:
        started = time.monotonic()
        counts = [Count(*count) for count in known[name].run()]
        for count in counts:
            print(f"| {count.what} | {count.tried} | {count.got_through} |", flush=True)
        wrong += faults(known[name], counts)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    for sentence in wrong:
        print("FAULT", sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
