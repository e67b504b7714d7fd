"""How well an encoder knows what it does not know: every score of strangeness, on several kinds.

Near: photographs of a diagnosis that the encoder was trained without. Shift: photographs of other
clinics, of diagnoses that it knows; these should not be rejected. Far: anything else, and noise.
Familiar are held-out lesions of the diagnoses it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES
from dermsim.core.metrics import BoolArray, FloatArray, IntArray, class_auc, fpr_at_tpr
from dermsim.core.refused import Refused
from dermsim.data.images import ImageSource, list_images
from dermsim.data.parquet_folder import find_parquet
from dermsim.evaluation.protocols.protocol_cases import Cases, encode_cases, select
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.models.encode import encode
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.detect.scores import SCORES

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

NOISE = 200
"""Pictures of noise, half of them fine and half coarse."""

DRAWN = "noise"
"""What those are called."""

MEAN = "mean of the held-out"


@dataclass(frozen=True, eq=False)
class Kind:
    """Pictures of one kind, beside the familiar ones of the same encoder.

    Attributes:
        name: What they are.
        near: Whether they are of a diagnosis that was left out.
        familiar: By name of each score, the scores of the familiar pictures.
        strange: By name of each score, those of these pictures.
        thresholds: By name of each score, what accepts 95 % of validation.
        lesion_ids: Of the familiar pictures and then of these; None where not known.
        shipped: Name of the score in the checkpoint.
    """

    name: str
    near: bool
    familiar: Mapping[str, FloatArray]
    strange: Mapping[str, FloatArray]
    thresholds: Mapping[str, float]
    lesion_ids: list[str | None]
    shipped: str

    def values(self, score: str) -> FloatArray:
        """Return the scores of familiar and strange pictures, in the order of `lesion_ids`."""
        return np.concatenate([self.familiar[score], self.strange[score]])

    @property
    def known(self) -> BoolArray:
        """Whether each picture is familiar, in the order of `lesion_ids`."""
        sizes = [len(next(iter(part.values()))) for part in (self.familiar, self.strange)]
        return np.repeat([True, False], sizes)


def evaluate_unfamiliar(
    engines: Sequence[DermSim],
    dataset: Dataset,
    *,
    split: str = "test",
    shift: Dataset | None = None,
    shift_name: str = "another origin",
    far: Mapping[str, Iterable[ImageSource]] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Run the protocol.

    Args:
        engines: Checkpoints. Each is asked about every diagnosis that it was trained without; the
            first also about shift, far pictures and noise.
        dataset: Rows of the `load_ham10000` schema, of all seven diagnoses. The scores are fitted
            to the training split, their thresholds to validation.
        split: Where the familiar pictures are from, ``"test"`` or ``"validation"``.
        shift: Rows of another origin; those of diagnoses that the first encoder knows are used.
        shift_name: What those are called.
        far: Pictures of other things, by what they are called.
        resamples: Lesion-bootstrap resamples.
        seed: Seed of resamples and noise.

    Raises:
        ValueError: If there is no checkpoint, the split is unknown, or what should be new is in a
            checkpoint's gallery.
    """
    if not engines:
        raise Refused("unfamiliar.no_checkpoint")
    if split not in ("validation", "test"):
        raise Refused("incremental.split", split=split)
    kinds: list[Kind] = []
    for number, engine in enumerate(engines):
        asker = _Asker.fit(engine, dataset, split)
        for code in CODES:
            if code not in engine.known:
                new = encode_cases(engine, select(dataset, (code,)), purpose=code)
                kinds.append(asker.ask(f"{code}, held out", new, near=True))
        if number == 0:
            kinds += _others(asker, shift, shift_name, far or {}, seed)
            kinds.append(asker.ask(f"familiar, {split}", asker.familiar))
    rows = [row for kind in kinds for row in _rows(kind, resamples, seed)]
    near = [kind for kind in kinds if kind.near]
    if len(near) > 1:
        rows += _mean_rows(near, resamples, seed)
    return Table(
        "unfamiliar",
        f"Familiar are the {split} lesions of the diagnoses that an encoder was trained with; a "
        "diagnosis that is held out was seen neither by the encoder nor by the score, and all its "
        "photographs are asked about. AUROC is how often a strange picture scores higher than a "
        "familiar one, FPR@95TPR the share of strange pictures that pass where 95 % of the "
        "familiar do, rejected the share beyond the threshold that accepts 95 % of validation. "
        f"Intervals are 95 %, from {resamples:,} bootstrap resamples of whole lesions; n counts "
        "photographs, familiar and strange.",
        tuple(rows),
        {"fingerprints": [engine.fingerprint for engine in engines], "seed": seed},
    )


@dataclass(frozen=True, eq=False)
class _Asker:
    """A checkpoint with every score fitted."""

    engine: DermSim
    detectors: Mapping[str, OutlierDetector]
    familiar: Cases

    @classmethod
    def fit(cls, engine: DermSim, dataset: Dataset, split: str) -> _Asker:
        """Fit the scores to the training split and the thresholds to validation."""
        known = engine.known
        train, validation, held_out = (
            encode_cases(
                engine, select(dataset, known, split=part), purpose=part, learned=part == "train"
            )
            for part in ("train", "validation", split)
        )
        detectors = {
            name: OutlierDetector.fit(
                train.encoding, train.labels, validation=validation.encoding, method=name
            )
            for name in SCORES
        }
        return cls(engine, detectors, held_out)

    def ask(self, name: str, cases: Cases, *, near: bool = False) -> Kind:
        """Score the familiar pictures and others."""
        parts = [
            {score: d.score(part.encoding) for score, d in self.detectors.items()}
            for part in (self.familiar, cases)
        ]
        return Kind(
            name=name,
            near=near,
            familiar=parts[0],
            strange=parts[1],
            thresholds={score: d.threshold for score, d in self.detectors.items()},
            lesion_ids=[*self.familiar.lesion_ids, *cases.lesion_ids],
            shipped=self.engine.detector.method,
        )


def _others(
    asker: _Asker,
    shift: Dataset | None,
    shift_name: str,
    far: Mapping[str, Iterable[ImageSource]],
    seed: int,
) -> list[Kind]:
    """Ask about shift, far pictures and noise."""
    engine, found = asker.engine, []
    if shift is not None:
        rows = select(shift, engine.known)
        found.append(asker.ask(f"{shift_name}, shift", encode_cases(engine, rows, purpose="shift")))
    for name, pictures in {**far, DRAWN: draw_noise(NOISE, seed=seed)}.items():
        encoding = encode(engine.model, engine.processor, pictures)
        rows_of = len(encoding.logits)
        cases = Cases(encoding, np.zeros(rows_of, dtype=np.int64), [None] * rows_of)
        found.append(asker.ask(f"{name}, far", cases))
    return found


def draw_noise(count: int, *, seed: int, size: tuple[int, int] = (200, 150)) -> list[Image.Image]:
    """Draw pictures of noise: every other one of single pixels, the others of large patches.

    Args:
        count: How many.
        seed: Another seed draws others.
        size: Width and height, in pixels.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        width, height = size if number % 2 == 0 else (8, 6)
        pixels = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        pictures.append(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    return pictures


def load_pictures(source: str | Path) -> Iterable[ImageSource]:
    """Find pictures of anything: Parquet files with a column ``image``, or a folder of image files.

    Parquet files of other things are left alone.

    Args:
        source: A folder, or one file.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no pictures.
    """
    folder = Path(source)
    packed = find_parquet(folder) if folder.exists() else None
    if packed is None:
        return list_images([folder])
    from datasets import Image as ImageColumn

    return packed.photographs().cast_column("image", ImageColumn(mode="RGB"))["image"]


class Figure(Protocol):
    """A figure of familiar and strange pictures."""

    def __call__(self, rows: IntArray, *, known: BoolArray, values: FloatArray) -> float:
        """Measure it on some rows."""


def _auroc(rows: IntArray, *, known: BoolArray, values: FloatArray) -> float:
    return class_auc(~known[rows], values[rows])


def _fpr(rows: IntArray, *, known: BoolArray, values: FloatArray) -> float:
    return fpr_at_tpr(known[rows], -values[rows])


FIGURES: dict[str, Figure] = {"AUROC": _auroc, "FPR@95TPR": _fpr}


def _rows(kind: Kind, resamples: int, seed: int) -> list[TableRow]:
    """Return a row for each score; of familiar pictures only what is rejected of them."""
    rows = []
    bootstrap = Bootstrap(kind.lesion_ids, resamples, seed)
    strange = bootstrap.take(~kind.known)
    for score in SCORES:
        figures: dict[str, Interval] = {}
        if kind.name.split(",")[0] != "familiar":
            for name, figure in FIGURES.items():
                metric = partial(figure, known=kind.known, values=kind.values(score))
                figures[name] = bootstrap.interval(metric)
        rejected = kind.strange[score] > kind.thresholds[score]
        figures["rejected"] = strange.mean(rejected)
        notes = {"shipped": "yes" if score == kind.shipped else ""}
        rows.append(TableRow({"pictures": kind.name, "score": score}, figures, notes))
    return rows


def _mean_rows(near: Sequence[Kind], resamples: int, seed: int) -> list[TableRow]:
    """Return a row for each score: its mean over the held-out diagnoses."""
    together = [lesion for kind in near for lesion in kind.lesion_ids]
    bootstrap = Bootstrap(together, resamples, seed)
    return [_mean_row(near, score, bootstrap) for score in SCORES]


def _mean_row(near: Sequence[Kind], score: str, bootstrap: Bootstrap) -> TableRow:
    """Average over the held-out diagnoses; a lesion is drawn for all of them at once."""
    values = np.concatenate([kind.values(score) for kind in near])
    known = np.concatenate([kind.known for kind in near])
    places = np.repeat(np.arange(len(near)), [len(kind.lesion_ids) for kind in near])

    def mean(rows: IntArray, *, figure: Figure) -> float:
        groups = [rows[places[rows] == place] for place in range(len(near))]
        return float(np.mean([figure(own, known=known, values=values) for own in groups]))

    figures = {
        name: bootstrap.interval(partial(mean, figure=figure)) for name, figure in FIGURES.items()
    }
    notes = {"shipped": "yes" if all(score == kind.shipped for kind in near) else ""}
    return TableRow({"pictures": MEAN, "score": score}, figures, notes)
