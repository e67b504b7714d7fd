"""Proves what will be sent: reloads the folder and measures it again on a sample of photographs.

Two things must come out as they are written: the embeddings of past cases in the gallery, and the
share of right answers in ``evaluation.json``. Without photographs only the parts are checked
against each other, on drawings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.evaluation.report import Report

if TYPE_CHECKING:
    from datasets import Dataset

SAME_PICTURE = 0.999
"""Cosine that the embedding of a photograph has at least with the one kept of it."""

SEED = 0
"""Of the sample: the same checkpoint and photographs are always proven on the same ones."""


@dataclass(frozen=True)
class Proof:
    """What was found on reloading a folder.

    Attributes:
        fingerprint: Names its encoder.
        split: Part of the data that was re-evaluated.
        reported: Accuracy in its ``evaluation.json``.
        measured: Accuracy on the sample; None when there were no photographs.
        likeness: Smallest cosine of a re-made embedding with the gallery's; None likewise.
        cases: Past cases whose embedding was made again.
    """

    fingerprint: str
    split: str
    reported: Interval
    measured: Interval | None = None
    likeness: float | None = None
    cases: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            "fingerprint": self.fingerprint,
            "split": self.split,
            "reported": self.reported.to_dict(),
            "measured": self.measured.to_dict() if self.measured else None,
            "likeness": self.likeness,
            "cases": self.cases,
        }

    def sentence(self) -> str:
        """Say what was found."""
        told = f"Reloaded: encoder {self.fingerprint}, accuracy {_words(self.reported)} reported"
        if self.measured is None:
            return f"{told}. No photographs were at hand to measure it again on."
        return (
            f"{told}, {_words(self.measured)} measured again on a sample of the {self.split} "
            f"split; {self.cases} past cases embedded again, cosine at least {self.likeness:.4f}."
        )


def _words(figure: Interval) -> str:
    return figure.words(f"n {figure.n:,}")


def prove(folder: Path, *, dataset: Dataset | None = None, sample: int = 200) -> Proof:
    """Reload a checkpoint folder and see whether it is what it says.

    Args:
        folder: The checkpoint.
        dataset: Rows of the `load_ham10000` schema that it was made from; None when none are at
            hand.
        sample: How many past cases to embed again, and about how many photographs to classify.

    Raises:
        FileNotFoundError: If a part is missing.
        ValueError: If a part is damaged, the evaluation is of another encoder or of other data, or
            what is measured again is not what the folder says.
    """
    if sample < 1:
        raise Refused("proof.sample", sample=sample)
    engine = DermSim.from_pretrained(folder)
    report = Report.load(folder / "evaluation.json")
    if report.fingerprint != engine.fingerprint:
        raise Refused(
            "proof.other_encoder", fingerprint=report.fingerprint, model=engine.fingerprint
        )
    # whatever cannot answer at all is found here
    engine.predict([draw_lesion(code, seed=1) for code in CODES])
    reported = report.metrics["accuracy"]
    if dataset is None:
        return Proof(engine.fingerprint, report.split, reported)
    likeness, cases = _embed_again(engine, dataset, sample)
    measured = _classify_again(engine, report, dataset, sample)
    if measured.high < reported.low or measured.low > reported.high:
        raise Refused(
            "proof.accuracy",
            reported=_words(reported),
            split=report.split,
            measured=_words(measured),
        )
    return Proof(engine.fingerprint, report.split, reported, measured, likeness, cases)


def _embed_again(engine: DermSim, dataset: Dataset, sample: int) -> tuple[float, int]:
    """Return the smallest likeness of a case's embedding to the one kept, and how many cases."""
    rows = {image_id: row for row, image_id in enumerate(dataset["image_id"])}
    records = engine.gallery.records
    known = [i for i, record in enumerate(records) if record["image_id"] in rows]
    if len(known) < len(records):
        raise Refused("proof.other_data", count=len(records) - len(known), total=len(records))
    chosen = _draw(len(known), sample)
    images = dataset.select([rows[str(records[i]["image_id"])] for i in chosen])["image"]
    again = engine.embed(list(images))
    likeness = np.einsum("nd,nd->n", again, engine.gallery.embeddings[chosen])
    if likeness.min() < SAME_PICTURE:
        worst = records[chosen[int(likeness.argmin())]]["image_id"]
        raise Refused("proof.embedding", worst=worst, likeness=likeness.min())
    return float(likeness.min()), len(chosen)


def _classify_again(engine: DermSim, report: Report, dataset: Dataset, sample: int) -> Interval:
    """Return the accuracy on about `sample` photographs, whole lesions, of the reported split."""
    rows = dataset if report.split == "all" else grouped_splits(dataset)[report.split]
    if len(rows) != report.n_images:
        raise Refused("proof.images", n_images=report.n_images, split=report.split, count=len(rows))
    lesions = list(rows["lesion_id"])
    keep = {lesions[row] for row in _draw(len(rows), sample).tolist()}
    chosen = [row for row, lesion in enumerate(lesions) if lesion in keep]
    part = rows.select(chosen)
    labels = np.array([prediction.label for prediction in engine.predict(list(part["image"]))])
    right = labels == np.array(part["dx"])
    return Bootstrap([lesions[row] for row in chosen]).mean(right)


def _draw(rows: int, sample: int) -> npt.NDArray[np.int64]:
    """Return row numbers, ascending: a fixed sample, or all of them."""
    order = np.random.default_rng(SEED).permutation(rows)[:sample]
    return np.sort(order)
