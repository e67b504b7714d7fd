"""Lesions dealt into folds, so that a fit can be asked about lesions it was made without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import number_lesions
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused

FOLDS = 5
"""In how many parts the lesions of validation are dealt."""

Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""The rows that a fit may see, and those of the lesions that it may not."""


def deal_lesions(
    labels: npt.NDArray[np.int64],
    lesion_ids: Sequence[str | None] | None,
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> list[Fold]:
    """Deal lesions into folds, near-stratified by diagnosis.

    Args:
        labels: ``(N,)`` integers, indices into `CODES`.
        lesion_ids: The lesion of each row: one lesion is never on both sides of a fold. None, for a
            row or in place of them all, means a lesion of its own.
        folds: In how many parts the lesions are dealt.
        seed: Another seed deals them differently.

    Returns:
        Of each fold the rows that are kept and those that are left out, int64; every row is left
        out once.

    Raises:
        ValueError: If there are not as many lesion_ids as rows, all rows are of one diagnosis, or
            there are fewer lesions than folds.
    """
    lesions, diagnoses = _lesions(labels, lesion_ids)
    count = len(diagnoses)
    if folds < 2 or count < folds:
        raise Refused("folds.count", count=count, folds=folds)
    if len(np.unique(labels)) < 2:
        raise Refused("folds.one_class", count=len(labels), codes=CODES[labels[0]])
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(diagnoses[order], kind="stable")]
    # like cards, one diagnosis after the other, so that every fold gets its share of each
    fold_of = np.empty(count, dtype=np.int64)
    fold_of[order] = np.arange(count) % folds
    sides = [fold_of[lesions] == fold for fold in range(folds)]
    return [(np.flatnonzero(~out), np.flatnonzero(out)) for out in sides]


def most_folds(labels: npt.NDArray[np.int64], lesion_ids: Sequence[str | None] | None) -> int:
    """Return into how many folds `deal_lesions` can deal lesions, at most `FOLDS`.

    Args:
        labels: ``(N,)`` integers, one for each image.
        lesion_ids: The lesion of each image; None where it is not known.
    """
    return min(FOLDS, len(_lesions(labels, lesion_ids)[1]))


def _lesions(
    labels: npt.NDArray[np.int64], lesion_ids: Sequence[str | None] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number the lesions of N rows, ``(N,)``, and say what each of L is, ``(L,)``."""
    ids = [None] * len(labels) if lesion_ids is None else list(lesion_ids)
    if len(ids) != len(labels) or len(ids) == 0:
        raise Refused("folds.lesions", labels_count=len(labels), ids_count=len(ids))
    lesions = number_lesions(ids)
    # a lesion with several diagnoses counts as its first
    return lesions, labels[np.unique(lesions, return_index=True)[1]]
