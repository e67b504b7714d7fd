"""The commands `dermsim audit` and `dermsim detector`: flaws in the data, and what is strange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from dermsim.cli.command import Command, ModelCommand, load_engine, open_data
from dermsim.cli.terminal import show, table
from dermsim.core.refused import Refused, RefusedFileNotFoundError

if TYPE_CHECKING:
    from dermsim.evaluation.audit import AuditReport

Method = Literal[
    "softmax",
    "energy",
    "mahalanobis",
    "embedding-mahalanobis",
    "neighbors",
    "embedding-neighbors",
    "vim",
]
"""Keys of `dermsim.tasks.detect.scores.SCORES`, spelled out so that `--help` imports little."""

SHOWN = 10
"""Findings of each list that are printed; the files hold all."""

detector_app = tyro.extras.SubcommandApp()


@dataclass(frozen=True, kw_only=True)
class Audit(ModelCommand):
    """List where model and data disagree, and near-duplicates said to be of different lesions."""

    data: str
    """The photographs: a Hub id, a folder in any known layout, or "synthetic"."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Folder of its own to write disagreements.csv and near_duplicates.csv to."""
    split: Literal["all", "train", "validation", "test"] = "all"
    """Every photograph, or those of one part of the training source."""

    def run(self) -> int:
        """Look through the data and write both lists."""
        data = open_data(self.data)
        from dermsim.evaluation.audit import audit_dataset, check_folder

        if self.output.is_file():
            raise Refused("cli_audit.output_is_file", output=self.output)
        check_folder(self.output)
        found = audit_dataset(self.engine(), data.load(more=False), split=self.split)
        found.save(self.output)
        answer = {"output": str(self.output), **found.to_dict()}
        show(answer, _summary(found, self.output), as_json=self.json)
        return 0


def _summary(found: AuditReport, output: Path) -> str:
    passed = f", {found.unknown:,} of unknown diagnoses passed over" if found.unknown else ""
    if found.unjudged:
        passed += (
            f"; {found.unjudged:,} learned ones not judged, since their diagnosis "
            "has too few other lesions"
        )
    errors, pairs = found.disagreements, found.duplicates
    lines = [
        f"{found.images:,} photographs looked at{passed}. On {len(errors):,} the model disagrees "
        f"with the data, and either may be wrong; {len(pairs):,} near-duplicates are of "
        f"different lesions. Both lists are in {output}; disagreements without histopathology come "
        "first."
    ]
    lines += _first(errors, "image_id lesion_id dx suggested quality dx_type learned")
    lines += _first(
        pairs, "image_id lesion_id dx other_image_id other_lesion_id other_dx correlation"
    )
    return "\n".join(lines)


def _first(rows: Sequence[dict[str, Any]], names: str) -> list[str]:
    columns = names.split()
    return ["", table(columns, [[r[c] for c in columns] for r in rows[:SHOWN]])] if rows else []


@detector_app.command(name="info")
@dataclass(frozen=True, kw_only=True)
class DetectorInfo(Command):
    """Say which score a checkpoint tells unfamiliar images by."""

    model: Positional[str]
    """Checkpoint folder or Hub id."""

    def run(self) -> int:
        """Print method and threshold."""
        from dermsim.core.checkpoint import local_folder
        from dermsim.tasks.detect import OutlierDetector

        path = local_folder(self.model) / "detector.safetensors"
        detector = OutlierDetector.load(path)
        answer = {
            "method": detector.method,
            "threshold": detector.threshold,
            "bytes": path.stat().st_size,
        }
        show(answer, table([*answer], [[*answer.values()]]), as_json=self.json)
        return 0


@detector_app.command(name="fit")
@dataclass(frozen=True, kw_only=True)
class DetectorFit(Command):
    """Fit another detector to a checkpoint's training data, and put it in place of its own.

    `dermsim protocol unfamiliar` says which is best.
    """

    model: Positional[Path]
    """Checkpoint folder, whose detector is replaced."""
    data: str
    """What it was trained on: a Hub id, a folder in any known layout, or "synthetic"."""
    method: Method
    """How strangeness is measured."""
    accept: float = 0.95
    """Share of validation that must not be called unfamiliar."""

    def run(self) -> int:
        """Fit and replace; the old detector stays if anything fails."""
        if not self.model.is_dir():
            raise RefusedFileNotFoundError("cli_audit.no_folder", model=self.model)
        opened = open_data(self.data)
        from dermsim.evaluation.protocols.protocol_cases import encode_cases, select
        from dermsim.tasks.detect import OutlierDetector

        engine, data = load_engine(str(self.model)), opened.load(more=False)
        known = engine.known
        train, validation = (
            encode_cases(
                engine, select(data, known, split=part), purpose=part, learned=part == "train"
            )
            for part in ("train", "validation")
        )
        detector = OutlierDetector.fit(
            train.encoding,
            train.labels,
            validation=validation.encoding,
            method=self.method,
            accept=self.accept,
            fingerprint=engine.fingerprint,
        )
        before = engine.detector.method
        detector.save(self.model / "detector.safetensors")
        answer = {
            "model": str(self.model),
            "before": before,
            "method": detector.method,
            "threshold": detector.threshold,
        }
        readable = f"{self.model} now tells unfamiliar images by {self.method}, before by {before}"
        show(answer, readable, as_json=self.json)
        return 0
