"""Goes through a data set with a checkpoint and lists what a person should look at again.

Two lists, each a CSV file: photographs on whose diagnosis the model disagrees with the data, and
nearly equal pictures that are said to be of
different lesions. The encoder has learned the labels of its own training images by heart, so they
are judged by a head that was fitted without their lesion; their features have seen the label all
the same, so that fewer of their errors are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from dermsim.core.atomic import atomic_path
from dermsim.core.bootstrap import DECIMALS, number_lesions
from dermsim.core.csv_table import save_csv
from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.metrics import IntArray, entropy
from dermsim.core.refused import Refused, RefusedFileExistsError
from dermsim.core.vectors import check_labels
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.label_errors import find_duplicates, find_label_errors
from dermsim.models.encode import encode
from dermsim.models.encoding import Encoding

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

Finding = dict[str, object]
"""One line of a list, by column."""

DISAGREEMENTS, DUPLICATES = "disagreements.csv", "near_duplicates.csv"

LABEL_COLUMNS = (
    "rank",
    "image_id",
    "lesion_id",
    "dx",
    "suggested",
    "quality",
    "p_dx",
    "p_suggested",
    "entropy",
    "disagreement",
    "ood_score",
    "is_outlier",
    "dx_type",
    "learned",
)
"""``quality`` ranks, those without histopathology before those with it; ``disagreement`` is the
share of similar cases that are not of this dx; ``learned`` says whether the encoder was trained on
the picture."""

DUPLICATE_COLUMNS = (
    "rank",
    "image_id",
    "lesion_id",
    "dx",
    "learned",
    "other_image_id",
    "other_lesion_id",
    "other_dx",
    "other_learned",
    "correlation",
    "similarity",
)
"""``correlation`` ranks; where one of a pair was learned, figures measured on the other flatter."""

NEIGHBORS = 16
"""Similar cases whose diagnoses are compared with a row's."""

HISTOPATHOLOGY = "histo"
"""HAM10000's word for a diagnosis that a microscope confirmed."""

FOLDS = 5
"""Parts into which the training lesions are dealt, each judged by a head fitted to the others."""

SIDE = 32
"""Pixels along each side of a thumbnail."""


@dataclass(frozen=True)
class AuditReport:
    """What was found in a data set.

    Attributes:
        disagreements: Photographs of which the model says something else than the data, with the
            keys of `LABEL_COLUMNS`. Those whose diagnosis no histopathology confirmed come first,
            and of each kind the most suspicious: who disagrees with a microscope is mostly wrong.
        duplicates: Pairs with the keys of `DUPLICATE_COLUMNS`, most alike first.
        images: How many images were looked at.
        unknown: How many were not, since the encoder does not know their diagnosis.
        unjudged: How many of the learned ones are not in the list, since no head can be
            fitted without their lesion: their diagnosis has no other, or is the only one.
    """

    disagreements: tuple[Finding, ...]
    duplicates: tuple[Finding, ...]
    images: int
    unknown: int
    unjudged: int = 0

    def save(self, folder: str | Path) -> None:
        """Write ``disagreements.csv`` and ``near_duplicates.csv`` into a new folder, atomically.

        Raises:
            FileExistsError: If the folder holds anything else.
        """
        target = Path(folder)
        check_folder(target)
        with atomic_path(target) as fresh:
            fresh.mkdir()
            for (name, columns), rows in zip(
                _FILES.items(), (self.disagreements, self.duplicates), strict=True
            ):
                save_csv(fresh / name, columns, rows)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            "images": self.images,
            "unknown": self.unknown,
            "unjudged": self.unjudged,
            "disagreements": [dict(row) for row in self.disagreements],
            "near_duplicates": [dict(row) for row in self.duplicates],
        }


_FILES: Mapping[str, Sequence[str]] = {
    DISAGREEMENTS: LABEL_COLUMNS,
    DUPLICATES: DUPLICATE_COLUMNS,
}


def check_folder(target: Path) -> None:
    """Refuse to write the lists where anything else is.

    Raises:
        FileExistsError: If `target` is a file, or a folder that holds other things.
    """
    if target.is_dir():
        taken = not {path.name for path in target.iterdir()} <= set(_FILES)
    else:
        taken = target.exists()
    if taken:
        raise RefusedFileExistsError("audit.other_things", target=target)


def audit_dataset(engine: DermSim, dataset: Dataset, *, split: str = "all") -> AuditReport:
    """Look through a data set.

    Args:
        engine: The checkpoint.
        dataset: Rows of the `load_ham10000` schema.
        split: ``"train"``, ``"validation"`` or ``"test"`` of `grouped_splits`, or ``"all"``.

    Raises:
        ValueError: If the split is unknown, or no row has a diagnosis that the encoder knows.
    """
    if split not in ("train", "validation", "test", "all"):
        raise Refused("audit.split", split=split)
    rows = dataset if split == "all" else grouped_splits(dataset)[split]
    known = {LABEL2ID[code] for code in engine.known}
    kept = [row for row, dx in enumerate(rows["dx"]) if dx in known]
    if not kept:
        raise Refused("audit.no_known_diagnosis")
    unknown = len(rows) - len(kept)
    rows = rows.select(kept)
    thumbnails: list[npt.NDArray[np.float32]] = []

    def passing() -> Iterator[Image.Image]:  # each picture is decoded once and none is kept
        for image in tqdm(rows["image"], total=len(rows), unit="picture", disable=None):
            thumbnails.append(thumbnail(image))
            yield image

    encoding = encode(engine.model, engine.processor, passing())
    cases = _cases(engine, rows)
    unjudged = _unjudged(cases)
    return AuditReport(
        disagreements=tuple(_disagreements(engine, encoding, cases, unjudged)),
        duplicates=tuple(_duplicates(encoding, np.stack(thumbnails), cases)),
        images=len(rows),
        unknown=unknown,
        unjudged=len(unjudged),
    )


def thumbnail(image: Image.Image) -> npt.NDArray[np.float32]:
    """Make of a photograph what near-duplicates are told by.

    The central square in grey, small, without its slow changes of light: the round rim of a
    dermatoscope would make all pictures that have one alike.

    Returns:
        ``(32, 32)`` float32.
    """
    from scipy.ndimage import gaussian_filter

    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    grey = image.convert("L").resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    values = np.asarray(grey, dtype=np.float32)
    return values - gaussian_filter(values, SIDE / 8, mode="nearest")


def out_of_fold(
    features: npt.ArrayLike, labels: npt.ArrayLike, lesion_ids: Sequence[str | None]
) -> npt.NDArray[np.float64]:
    """Judge every row by a linear head that was fitted without its lesion.

    Multinomial logistic regression on standardised features, classes weighing alike, over
    `FOLDS` parts or as many as the rarest class has lesions.

    Args:
        features: ``(N, F)``.
        labels: ``(N,)`` integers in ``[0, 7)``.
        lesion_ids: N lesions; a row of None is one of its own.

    Returns:
        ``(N, 7)`` probabilities, 0 for classes without a row.

    Raises:
        ValueError: If a class has rows of a single lesion, or there is one class alone.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.asarray(features, dtype=np.float64)
    true = check_labels(labels, rows=len(rows), num_classes=len(CODES))
    groups = number_lesions(lesion_ids)
    fewest = min(len(set(groups[true == label])) for label in np.unique(true))
    if fewest < 2 or len(np.unique(true)) < 2:
        raise Refused("audit.too_few")
    probabilities = np.zeros((len(rows), len(CODES)))
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=0)
    for seen, unseen in folds.split(rows, true, groups):
        head = LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
        fitted = make_pipeline(StandardScaler(), head).fit(rows[seen], true[seen])
        columns = fitted[-1].classes_
        probabilities[np.ix_(unseen, columns)] = fitted.predict_proba(rows[unseen])
    return probabilities


def _cases(engine: DermSim, rows: Dataset) -> list[Finding]:
    """Return what both lists say of each row: ids, dx, dx_type and whether it was learned."""
    learned = {record["image_id"] for record in engine.gallery.records}
    lesions = {record["lesion_id"] for record in engine.gallery.records} - {None}
    names = ("image_id", "lesion_id", "dx", "dx_type")
    return [
        {
            "image_id": image_id,
            "lesion_id": lesion_id,
            "dx": CODES[dx],
            "dx_type": dx_type,
            "learned": image_id in learned or lesion_id in lesions,
        }
        for image_id, lesion_id, dx, dx_type in zip(*(rows[name] for name in names), strict=True)
    ]


def _unjudged(cases: Sequence[Finding]) -> IntArray:
    """Return the learned rows ``(n,)`` whose diagnosis no head can know without their lesion."""
    learned = [row for row, case in enumerate(cases) if case["learned"]]
    lesions: dict[object, set[object]] = {}
    for row in learned:
        own = cases[row]["lesion_id"]
        lesions.setdefault(cases[row]["dx"], set()).add(row if own is None else own)
    known = {dx for dx, own in lesions.items() if len(own) > 1}
    judged = known if len(known) > 1 else set()
    return np.array([row for row in learned if cases[row]["dx"] not in judged], dtype=np.int64)


def _disagreements(
    engine: DermSim, encoding: Encoding, cases: Sequence[Finding], unjudged: IntArray
) -> Iterator[Finding]:
    """Rank the suspects among rows that were learned and that were not, each kind by itself."""
    labels = np.array([LABEL2ID[str(case["dx"])] for case in cases])
    lesions = [case["lesion_id"] for case in cases]
    probabilities = engine.calibration.probabilities(encoding.logits)
    every_learned = np.flatnonzero(np.array([case["learned"] for case in cases], dtype=bool))
    learned = np.setdiff1d(every_learned, unjudged)
    if len(learned):
        own = [lesions[row] for row in learned]
        probabilities[learned] = out_of_fold(
            encoding.pooled_features[learned], labels[learned], own
        )
    suspects = []
    for rows in (learned, np.setdiff1d(np.arange(len(cases)), every_learned)):
        if len(rows):
            found = find_label_errors(labels[rows], probabilities[rows])
            suspects += [replace(error, row=int(rows[error.row])) for error in found]
    suspects.sort(key=lambda error: (_confirmed(cases[error.row]), error.quality, error.row))
    scores = engine.detector.score(encoding)
    undecided = entropy(probabilities)
    nearest = engine.gallery.search(
        encoding.embeddings[[error.row for error in suspects]],
        NEIGHBORS,
        exclude_lesion_ids=[lesions[error.row] for error in suspects],  # type: ignore[misc]
    )
    for rank, (error, neighbors) in enumerate(zip(suspects, nearest, strict=True), start=1):
        row, case = error.row, cases[error.row]
        others = [neighbor.dx != case["dx"] for neighbor in neighbors]
        yield {
            "rank": rank,
            **{name: case[name] for name in ("image_id", "lesion_id", "dx")},
            "suggested": CODES[error.suggested],
            "quality": round(error.quality, DECIMALS),
            "p_dx": round(float(probabilities[row, labels[row]]), DECIMALS),
            "p_suggested": round(float(probabilities[row, error.suggested]), DECIMALS),
            "entropy": round(float(undecided[row]), DECIMALS),
            "disagreement": round(float(np.mean(others)), DECIMALS) if others else None,
            "ood_score": round(float(scores[row]), DECIMALS),
            "is_outlier": bool(scores[row] > engine.detector.threshold),
            "dx_type": case["dx_type"],
            "learned": case["learned"],
        }


def _confirmed(case: Finding) -> bool:
    """Say whether histopathology confirmed a diagnosis."""
    return case["dx_type"] == HISTOPATHOLOGY


def _duplicates(
    encoding: Encoding, thumbnails: npt.NDArray[np.float32], cases: Sequence[Finding]
) -> Iterator[Finding]:
    lesions = [case["lesion_id"] for case in cases]
    pairs = find_duplicates(encoding.pooled_features, thumbnails, lesions)  # type: ignore[arg-type]
    said = ("image_id", "lesion_id", "dx", "learned")
    for rank, pair in enumerate(pairs, start=1):
        one, other = (cases[row] for row in pair.rows)
        yield {
            "rank": rank,
            **{name: one[name] for name in said},
            **{f"other_{name}": other[name] for name in said},
            "correlation": round(pair.correlation, DECIMALS),
            "similarity": round(pair.similarity, DECIMALS),
        }
