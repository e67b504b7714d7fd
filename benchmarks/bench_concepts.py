"""Says what concepts and descriptions cost beside a prediction, as ratios in one run.

python benchmarks/bench_concepts.py --model <checkpoint with concepts> <folder of pictures>
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from dermsim.core.markdown import markdown_table

ROUNDS = 3
"""How often each picture is asked about; the fastest counts."""


@dataclass(frozen=True)
class Bench:
    """What to measure."""

    pictures: Positional[Path]
    """Folder of photographs."""
    model: str
    """Checkpoint with concepts."""
    most: int = 30
    """Photographs to ask about at most."""


def main(bench: Bench) -> None:
    """Print processor time of each verb, the median over pictures, beside `predict`."""
    import torch

    from dermsim.data.images import list_images
    from dermsim.engine import DermSim

    torch.set_num_threads(1)
    engine = DermSim.from_pretrained(bench.model, device="cpu")
    files = [path.read_bytes() for path in list_images([bench.pictures])[: bench.most]]
    verbs: dict[str, Callable[[bytes], object]] = {
        "predict": engine.predict,
        "predict and concepts": engine.predict_with_concepts,
        "describe without regions": lambda file: engine.describe(file, regions=False),
        "describe": engine.describe,
    }
    times: dict[str, list[float]] = {name: [] for name in verbs}
    for file in files[:2]:  # what is read once is read now
        for verb in verbs.values():
            verb(file)
    for file in files:
        for name, verb in verbs.items():
            times[name].append(min(_time(verb, file) for _ in range(ROUNDS)))
    median = {name: float(np.median(own)) for name, own in times.items()}
    rows = [
        [name, f"{1000 * own:.1f}", f"{own / median['predict']:.2f}"]
        for name, own in median.items()
    ]
    header = ["verb", "ms of one core", "times predict"]
    print("\n".join(markdown_table(header, rows)))


def _time(verb: Callable[[bytes], object], file: bytes) -> float:
    start = time.process_time()
    verb(file)
    return time.process_time() - start


if __name__ == "__main__":
    main(tyro.cli(Bench))
