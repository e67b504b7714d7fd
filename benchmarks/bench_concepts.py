"""Says what concepts and descriptions cost beside a prediction, as ratios in one run.

    python benchmarks/bench_concepts.py [--model FOLDER] [folder of photographs]

A drawn lesion may be unfamiliar to the model and is then not described, which costs little. Such
pictures are left out, and it is said how many.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from dermsim.core.labels import CODES
from dermsim.core.markdown import markdown_table
from dermsim.data.images import list_images
from dermsim.data.synthetic import draw_lesion

ROUNDS = 3
"""How often each picture is asked about; the fastest counts."""

CHECKPOINT = Path(__file__).resolve().parent.parent / "hub" / "dermsim-ham10000"

AIMS = {"predict and concepts": "at most 1.05", "describe": "at most 1.5"}


@dataclass(frozen=True)
class Bench:
    """What to measure."""

    pictures: Positional[Path | None] = None
    """Folder of photographs; drawn lesions when left out."""
    model: str = str(CHECKPOINT)
    """Checkpoint with concepts."""
    most: int = 30
    """Photographs to ask about at most."""


def main(bench: Bench) -> None:
    """Print processor time of each verb, the median over pictures, beside `predict`."""
    import torch

    from dermsim.core.checkpoint import local_folder
    from dermsim.engine import DermSim
    from dermsim.engine.load import load_parts

    torch.set_num_threads(1)
    engine = DermSim.from_pretrained(bench.model, device="cpu")
    files = photographs(bench)
    described = [file for file in files if engine.describe(file).notice is None]
    print(f"{len(described)} of {len(files)} pictures are described.\n")
    if not described:
        return
    bare = DermSim(**{**load_parts(local_folder(bench.model)), "concepts": None})
    verbs: dict[str, Callable[[bytes], object]] = {
        "predict": engine.predict,
        "predict, of the checkpoint without concepts": bare.predict,
        "predict and concepts": engine.predict_with_concepts,
        "describe without regions": lambda file: engine.describe(file, regions=False),
        "describe": engine.describe,
    }
    times: dict[str, list[float]] = {name: [] for name in verbs}
    for file in described[:2]:  # what is read once is read now
        for verb in verbs.values():
            verb(file)
    for file in described:
        for name, verb in verbs.items():
            times[name].append(min(_time(verb, file) for _ in range(ROUNDS)))
    median = {name: float(np.median(own)) for name, own in times.items()}
    rows = [
        [name, f"{1000 * own:.1f}", AIMS.get(name, ""), f"{own / median['predict']:.2f}"]
        for name, own in median.items()
    ]
    header = ["verb", "ms of one core", "aim", "times predict"]
    print("\n".join(markdown_table(header, rows)))


def photographs(bench: Bench) -> list[bytes]:
    """Return the files to ask about."""
    if bench.pictures is not None:
        return [path.read_bytes() for path in list_images([bench.pictures])[: bench.most]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.png"
        files = []
        for seed in range(bench.most):
            draw_lesion(CODES[seed % len(CODES)], seed=seed, size=(600, 450)).save(path)
            files.append(path.read_bytes())
    return files


def _time(verb: Callable[[bytes], object], file: bytes) -> float:
    start = time.process_time()
    verb(file)
    return time.process_time() - start


if __name__ == "__main__":
    main(tyro.cli(Bench))
