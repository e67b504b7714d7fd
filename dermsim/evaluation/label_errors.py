"""What in a data set a person should look at again: likely label errors, pictures that came twice.

Both are ranked lists, most suspicious first. Neither is a verdict: an encoder that never learned a
rare pattern suspects every case of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import number_lesions
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels, l2_normalize

FloatArray = npt.NDArray[np.float64]

MARGIN = 1e-6
"""A probability this close below a threshold, or below the largest, counts as reaching it."""

ALIKE = 0.96
"""Correlation of thumbnails from which on two pictures are listed. In HAM10000 one pair of pictures
of different lesions is equal, at 0.997; below 0.95 come round moles on plain skin."""

CHUNK = 512
"""Rows compared with all others at a time."""


@dataclass(frozen=True)
class LabelError:
    """A row whose label is likely wrong.

    Attributes:
        row: Its number.
        suggested: The label that the probabilities confidently give it.
        quality: How well its own label agrees with the probabilities: 0 for not at all, 1 for
            fully. Half the margin over the most probable other label, plus a half.
    """

    row: int
    suggested: int
    quality: float


def find_label_errors(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> list[LabelError]:
    """Find rows that are confidently of another class than they are labelled.

    Confident learning (Northcutt, Jiang and Chuang, 2021, https://arxiv.org/abs/1911.00068). A row
    is confidently of a class when its probability reaches the mean probability of that class among
    the rows so labelled: a threshold per class, so that neither a rare class nor an overconfident
    model tips the scales. Rows that are confidently of a class other than their label are the off-
    diagonal of the confident joint; those whose label is the most probable all the same are left
    out. The rank is the normalised margin.

    Args:
        labels: ``(N,)`` integers.
        probabilities: ``(N, C)`` from a model that was not fitted to these labels, rows summing
            to 1.

    Returns:
        The likely errors, lowest quality first.

    Raises:
        ValueError: If shapes do not match, or the rows are not probabilities.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0:
        raise Refused("label_errors.shape", shape=values.shape)
    if not (np.abs(values.sum(axis=1) - 1) < 1e-3).all() or (values < 0).any():
        raise Refused("label_errors.probabilities")
    given = check_labels(labels, rows=len(values), num_classes=values.shape[1])
    rows = np.arange(len(given))
    thresholds = np.array(
        [
            values[given == c, c].mean() if (given == c).any() else np.inf
            for c in range(values.shape[1])
        ]
    )
    confident = values >= thresholds - MARGIN
    # where it is confidently of several, the most probable class of all counts
    guess = np.where(confident, values, -1.0).argmax(axis=1)
    guess = np.where(confident.sum(axis=1) > 1, values.argmax(axis=1), guess)
    largest = values[rows, given] >= values.max(axis=1) - MARGIN
    suspects = np.flatnonzero(confident.any(axis=1) & (guess != given) & ~largest)
    quality = label_quality(given, values)
    order = suspects[np.argsort(quality[suspects], kind="stable")]
    return [LabelError(int(i), int(guess[i]), float(quality[i])) for i in order]


def label_quality(labels: npt.NDArray[np.int64], probabilities: FloatArray) -> FloatArray:
    """Return the normalised margin of each row's label, ``(N,)`` in [0, 1]."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    return (probabilities[rows, labels] - others.max(axis=1) + 1.0) / 2.0


@dataclass(frozen=True)
class Duplicate:
    """Two rows that show nearly the same picture and are said to be of different lesions.

    Attributes:
        rows: Their numbers, ascending.
        correlation: Of their thumbnails, turned and mirrored for the best fit, in [-1, 1].
        similarity: Cosine of their features.
    """

    rows: tuple[int, int]
    correlation: float
    similarity: float


def find_duplicates(
    features: npt.ArrayLike,
    thumbnails: npt.ArrayLike,
    lesion_ids: Sequence[str | None],
    *,
    k: int = 10,
    at_least: float = ALIKE,
) -> list[Duplicate]:
    """Find nearly equal pictures of different lesions.

    Features say which pictures to compare, pixels decide: an encoder trained with labels puts many
    lesions of one diagnosis on one spot, and a thumbnail alone confuses any two round moles.

    Args:
        features: ``(N, F)`` pooled features; each row is compared with the `k` most similar.
        thumbnails: ``(N, S, S)`` grey values, as `thumbnail` makes them.
        lesion_ids: N lesions; None, not known, differs from every other.
        k: Neighbours compared per row.
        at_least: Correlation from which on a pair is listed.

    Returns:
        The pairs, highest correlation first.

    Raises:
        ValueError: If shapes do not match, or `k` or `at_least` make no sense.
    """
    unit = l2_normalize(features)
    small = np.asarray(thumbnails, dtype=np.float64)
    if small.ndim != 3 or small.shape[1] != small.shape[2] or len(small) != len(unit):
        raise Refused("label_errors.thumbnails", count=len(unit), shape=small.shape)
    if len(lesion_ids) != len(unit):
        raise Refused(
            "label_errors.lesion_ids", unit_count=len(unit), lesion_ids_count=len(lesion_ids)
        )
    if k < 1 or not -1 <= at_least <= 1:
        raise Refused("label_errors.settings", k=k, at_least=at_least)
    level = _standardise(small)
    found = []
    for a, others in _candidates(unit, number_lesions(lesion_ids), k).items():
        views = _orientations(level[a]).reshape(8, -1)
        best = (views @ level[others].reshape(len(others), -1).T).max(axis=0)
        for b, correlation in zip(others, best.tolist(), strict=True):
            if correlation >= at_least:
                similarity = float(np.clip(unit[a].astype(np.float64) @ unit[b], -1.0, 1.0))
                found.append(Duplicate((a, b), min(correlation, 1.0), similarity))
    return sorted(found, key=lambda pair: (-pair.correlation, pair.rows))


def _candidates(
    unit: npt.NDArray[np.float32], lesions: npt.NDArray[np.int64], k: int
) -> dict[int, list[int]]:
    """Pair rows of different lesions of which one is among the other's k nearest.

    Returns:
        By row the higher rows to compare it with, both ascending.
    """
    pairs: set[tuple[int, int]] = set()
    for start in range(0, len(unit), CHUNK):
        similarity = unit[start : start + CHUNK] @ unit.T
        similarity[lesions[start : start + CHUNK, None] == lesions[None, :]] = -np.inf
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        for offset, others in enumerate(nearest.tolist()):
            row = start + offset
            pairs |= {
                (min(row, other), max(row, other))
                for other in others
                if similarity[offset, other] > -np.inf
            }
    grouped: dict[int, list[int]] = {}
    for a, b in sorted(pairs):
        grouped.setdefault(a, []).append(b)
    return grouped


def _orientations(picture: FloatArray) -> FloatArray:
    """Return a square picture turned by quarters and mirrored: all eight ways, ``(8, S, S)``."""
    turned = [np.rot90(picture, quarters) for quarters in range(4)]
    return np.stack([*turned, *(view[:, ::-1] for view in turned)])


def _standardise(small: FloatArray) -> FloatArray:
    """Give each picture mean 0 and length 1; one that is of one grey becomes all zeros."""
    centred = small - small.mean(axis=(1, 2), keepdims=True)
    lengths = np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    return centred / np.maximum(lengths, 1e-6)
