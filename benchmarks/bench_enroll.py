"""What it costs to teach a class with a few pictures, over embedding one of them.

Both are timed in turns within one run, so that what else the machine does weighs on both alike.

    python benchmarks/bench_enroll.py [--model FOLDER] [--repetitions 50]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.tasks.enroll import head_for

CHECKPOINT = Path(__file__).resolve().parent.parent / "hub" / "dermsim-ham10000"

PICTURES = (5, 20)
"""The second number brings a logistic head."""

AIM = 1.0
"""For five pictures."""


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=str(CHECKPOINT), help="checkpoint folder or Hub id")
    parser.add_argument("--repetitions", type=int, default=50, help="timings of each side")
    options = parser.parse_args()
    engine = DermSim.from_pretrained(options.model)
    bank = engine.class_bank()
    print(f"Beside {len(bank)} classes, told from {len(bank.old.vectors)} images of theirs:\n")
    print(f"| pictures | head | enrolling / embedding one, median (5: below {AIM}) | quartiles |")
    print("|---|---|---|---|")
    for pictures in PICTURES:
        ratios = measure(engine, pictures=pictures, repetitions=options.repetitions)
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"| {pictures} | {head_for(pictures)} | {middle:.2f} | {low:.2f} to {high:.2f} |")


def measure(engine: DermSim, *, pictures: int, repetitions: int) -> list[float]:
    """Time enrolling and embedding in turns.

    Args:
        engine: The loaded checkpoint.
        pictures: How many the class is taught with; its head is chosen by their number.
        repetitions: How many pairs.

    Returns:
        One ratio per pair.
    """
    bank = engine.class_bank()
    photographs = [draw_lesion("vasc", seed=seed) for seed in range(pictures)]
    vectors = engine.embed(photographs, space=bank.space.name)

    def enroll() -> None:
        bank.enroll("new class", vectors).heads  # noqa: B018 (they are fitted when asked for)

    def embed() -> None:
        engine.embed(photographs[0], space=bank.space.name)

    for _ in range(3):
        enroll()
        embed()
    return [seconds(enroll) / seconds(embed) for _ in range(repetitions)]


def seconds(work: Callable[[], None]) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
