"""Seven kinds of output, each written in two versions that a reader can tell apart."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hostile._checkpoint import engines

VERSIONS = ("a", "b")
ROWS = 2000
ALONE: Any = SimpleNamespace(is_main_process=True, process_index=0, wait_for_everyone=lambda: None)
"""What a training state asks of Accelerate, for one process."""


@dataclass(frozen=True)
class Output:
    """A kind of output.

    Attributes:
        name: Of the file or folder.
        write: Writes a version at a path.
        read: Returns the version that lies at a path; "mixed" where it is of two.
    """

    name: str
    write: Callable[[Path, str], None]
    read: Callable[[Path], str]


def one_of(*versions: str) -> str:
    """Return the version that all agree on."""
    return versions[0] if len(set(versions)) == 1 else "mixed"


def output(kind: str) -> Output:
    """Make a kind of output, with what it needs ready in memory."""
    return KINDS[kind]()


def _number(version: str) -> float:
    return float(VERSIONS.index(version) + 1)


def _checkpoint() -> Output:
    from dermsim import DermSim

    known = dict(zip(VERSIONS, engines(), strict=True))
    names = {engine.fingerprint: version for version, engine in known.items()}

    def write(path: Path, version: str) -> None:
        known[version].save_pretrained(path, training={"version": version})

    def read(path: Path) -> str:
        engine = DermSim.from_pretrained(path)
        calibrated = [v for v, e in known.items() if e.calibration == engine.calibration]
        bank = [v for v, e in known.items() if e.fingerprint == engine.classes.fingerprint]
        return one_of(names[engine.fingerprint], *calibrated, *bank)

    return Output("checkpoint", write, read)


def _gallery() -> Output:
    from dermsim.tasks.retrieve import Gallery

    vectors = np.random.default_rng(0).normal(size=(ROWS, 16))
    known = {
        version: Gallery.build(
            vectors * [[-1.0, 1.0][version == "a"]],
            [{"image_id": f"{version}{row}", "dx": "nv"} for row in range(ROWS)],
            fingerprint="encoder",
        )
        for version in VERSIONS
    }

    def read(path: Path) -> str:
        found = Gallery.load(path)
        ids = {str(record["image_id"])[0] for record in found.records}
        rows = [v for v in VERSIONS if np.array_equal(found.embeddings, known[v].embeddings)]
        return one_of(*ids, *(rows or ["neither"]))

    return Output("gallery", lambda path, version: known[version].save(path), read)


def _bank() -> Output:
    from dermsim.tasks.enroll import ClassBank

    rng = np.random.default_rng(0)
    known = {v: ClassBank().enroll(v, rng.normal(size=(400, 64)) + _number(v)) for v in VERSIONS}

    def read(path: Path) -> str:
        found = ClassBank.load(path)
        shots = [
            v
            for v in VERSIONS
            if np.array_equal(found.enrolled[0].shots, known[v].enrolled[0].shots)
        ]
        return one_of(*found.names, *(shots or ["neither"]))

    return Output("bank.safetensors", lambda path, version: known[version].save(path), read)


def _detector() -> Output:
    from dermsim.tasks.detect import OutlierDetector

    known = dict(zip(VERSIONS, (engine.detector for engine in engines()), strict=True))
    names = {detector.fingerprint: version for version, detector in known.items()}

    def read(path: Path) -> str:
        found = OutlierDetector.load(path)
        version = names[found.fingerprint]
        same = all(
            np.array_equal(getattr(found.scorer, name), getattr(known[version].scorer, name))
            for name in found.scorer.ARRAYS
        )
        return version if same else "mixed"

    return Output("detector.safetensors", lambda path, version: known[version].save(path), read)


def _table() -> Output:
    from dermsim.core.csv_table import save_csv

    def write(path: Path, version: str) -> None:
        save_csv(path, ["row", "version"], [{"row": r, "version": version} for r in range(ROWS)])

    def read(path: Path) -> str:
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        return one_of(*(row["version"] for row in rows)) if len(rows) == ROWS else "mixed"

    return Output("rows.csv", write, read)


def _json() -> Output:
    from dermsim.core.storage import load_json, save_json

    def read(path: Path) -> str:
        found = load_json(path, keys={"versions"})["versions"]
        assert isinstance(found, list)
        return one_of(*found) if len(found) == ROWS else "mixed"

    return Output(
        "a.json", lambda path, version: save_json(path, {"versions": [version] * ROWS}), read
    )


def _learning(value: float) -> Any:
    from dermsim.training.state_files import Learning, Progress

    model = torch.nn.Linear(200, 200)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(value)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)
    model(torch.ones(1, 200)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    progress = Progress(epoch=1, step=int(value), seconds=value)
    average = copy.deepcopy(model)
    return Learning(model, average, optimizer, scheduler, progress, torch.device("cpu"))


def _state() -> Output:
    from dermsim.training.run_state import StateFolder

    known = {version: _learning(_number(version)) for version in VERSIONS}
    again = _learning(9.0)

    def write(path: Path, version: str) -> None:
        with StateFolder(path) as states:
            while True:
                try:
                    states.prepare(resume=bool(states.complete()), choices={})
                    break
                except TimeoutError:  # another run has it: its turn
                    time.sleep(0.01)
            last = int(states.latest().name.partition("-")[2]) if states.complete() else 0
            known[version].progress.epoch = last + 1
            states.save(ALONE, known[version])

    def read(path: Path) -> str:
        with StateFolder(path) as states:
            while True:
                try:
                    states.prepare(resume=True, choices={})
                    break
                except TimeoutError:
                    time.sleep(0.01)
            states.load(ALONE, again)
        found = {again.model.weight[0, 0].item(), again.average.weight[0, 0].item()}
        found |= {float(again.progress.step), again.progress.seconds}
        return one_of(*(VERSIONS[int(value) - 1] for value in found))

    return Output("state", write, read)


KINDS: dict[str, Callable[[], Output]] = {
    "checkpoint": _checkpoint,
    "gallery": _gallery,
    "bank": _bank,
    "detector": _detector,
    "CSV": _table,
    "JSON": _json,
    "state": _state,
}
