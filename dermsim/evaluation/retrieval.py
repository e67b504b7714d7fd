"""How well the cases of a gallery are ranked for queries whose diagnosis is known.

Every query ranks the whole gallery by cosine similarity, cases of its own lesion left out. Figures
per query come out, to be averaged, resampled by lesion and set beside those of a ranking by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.core.metrics import (
    BoolArray,
    FloatArray,
    IntArray,
    average_precision,
    class_auc,
    macro_mean,
    precision_at_k,
)
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_embeddings, check_labels, l2_normalize, vote_shares

DEPTHS = (1, 5, 10)
"""Depths k at which the precision of retrieval is measured."""

MAJORITY = 5
"""Nearest cases of which the majority is taken."""

VOTERS = 16
"""Nearest cases that vote, as in Tschandl et al., 2019, https://doi.org/10.1111/bjd.18380."""

CHUNK = 128
"""Queries ranked at a time: bounds the memory of (queries, gallery) arrays."""

Metric = Callable[[IntArray], float]
"""A figure of some of the queries, by their rows."""


@dataclass(frozen=True, eq=False)
class Rankings:
    """What N queries found in a gallery, with what they are.

    Attributes:
        labels: ``(N,)`` integers, their diagnoses.
        lesion_ids: N lesions; None where not known.
        precision: By depth, ``(N,)`` share of the nearest with the query's diagnosis.
        average_precision: ``(N,)``, over the whole gallery.
        majority: ``(N,)`` bool, whether the commonest diagnosis of the `MAJORITY` nearest is the
            query's; among equally common ones, that of the nearer case.
        votes: ``(N, 7)`` probabilities by `vote_shares` of the `VOTERS` nearest.
        prevalence: ``(7,)`` share of each diagnosis in the gallery.
        by_chance: ``(N,)`` share of the query's diagnosis in the gallery, its own lesion left out.
    """

    labels: IntArray
    lesion_ids: Sequence[str | None]
    precision: dict[int, FloatArray]
    average_precision: FloatArray
    majority: BoolArray
    votes: FloatArray
    prevalence: FloatArray
    by_chance: FloatArray

    def metrics(self) -> dict[str, Metric]:
        """Return every figure by name, each a function of the queries it is asked of.

        All but the area are means over the diagnoses of these queries, so that naevi do not decide
        them. The area is left out when the queries are all malignant or all benign.
        """
        means = {f"precision_at_{k}": values for k, values in self.precision.items()}
        means["mean_average_precision"] = self.average_precision
        means[f"majority_vote_at_{MAJORITY}"] = self.majority.astype(np.float64)
        for name, voted in {
            "neighbor_balanced_accuracy": self.votes.argmax(axis=1),
            "neighbor_balanced_accuracy_adjusted": self.adjusted,
        }.items():
            means[name] = (voted == self.labels).astype(np.float64)
        found = {name: self._macro(values) for name, values in means.items()}
        malignant = np.isin(self.labels, _MALIGNANT)
        if malignant.any() and not malignant.all():
            share = self.votes[:, _MALIGNANT].sum(axis=1)
            found["neighbor_malignancy_auc"] = lambda rows: class_auc(malignant[rows], share[rows])
        return found

    @property
    def adjusted(self) -> IntArray:
        """The diagnosis voted for when each vote is divided by how common its diagnosis is."""
        worth = 1 / np.maximum(self.prevalence, np.finfo(np.float64).tiny)
        return np.where(self.prevalence > 0, self.votes * worth, 0).argmax(axis=1)

    def take(self, rows: IntArray) -> Rankings:
        """Return the rankings of the queries in some rows ``(n,)``."""
        return Rankings(
            labels=self.labels[rows],
            lesion_ids=[self.lesion_ids[row] for row in rows.tolist()],
            precision={k: values[rows] for k, values in self.precision.items()},
            average_precision=self.average_precision[rows],
            majority=self.majority[rows],
            votes=self.votes[rows],
            prevalence=self.prevalence,
            by_chance=self.by_chance[rows],
        )

    def _macro(self, values: FloatArray) -> Metric:
        return lambda rows: macro_mean(values[rows], self.labels[rows], len(CODES))


_MALIGNANT = [LABEL2ID[code] for code in MALIGNANT]


def rank_gallery(
    query_embeddings: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    query_lesions: Sequence[str | None],
    *,
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    gallery_lesions: Sequence[str | None],
    chance: np.random.Generator | None = None,
) -> Rankings:
    """Rank a gallery for every query.

    Args:
        query_embeddings: ``(N, D)`` of held-out images.
        query_labels: ``(N,)`` integers.
        query_lesions: N lesions; None where not known.
        gallery_embeddings: ``(M, D)``.
        gallery_labels: ``(M,)`` integers.
        gallery_lesions: M lesions; None where not known.
        chance: Rank by what this draws instead of by similarity, to see what chance would find.

    Raises:
        ValueError: If shapes do not match, or the gallery is too small to fill ten places.
    """
    gallery = l2_normalize(gallery_embeddings).astype(np.float64)
    queries = l2_normalize(check_embeddings(query_embeddings, dim=gallery.shape[1]))
    wanted = check_labels(query_labels, rows=len(queries), num_classes=len(CODES))
    stored = check_labels(gallery_labels, rows=len(gallery), num_classes=len(CODES))
    for lesions, rows in ((query_lesions, len(queries)), (gallery_lesions, len(gallery))):
        if len(lesions) != rows or rows == 0:
            raise Refused("evaluate.lesion_ids", rows=rows, count=len(lesions))
    own = _same_lesion(query_lesions, gallery_lesions)
    if own.shape[1] - own.sum(axis=1).max() < max(DEPTHS):
        raise Refused("retrieval.small_gallery", depths=max(DEPTHS))
    parts = []
    for first in range(0, len(queries), CHUNK):
        some = slice(first, first + CHUNK)
        if chance is None:
            similarity = queries[some].astype(np.float64) @ gallery.T
        else:  # so alike that every vote counts the same
            similarity = 1e-9 * chance.random(own[some].shape)
        parts.append(_rank(similarity, wanted[some], stored, own[some]))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Rankings(
        labels=wanted,
        lesion_ids=query_lesions,
        precision={k: joined[f"precision_at_{k}"] for k in DEPTHS},
        average_precision=joined["average_precision"],
        majority=joined["majority"].astype(np.bool_),
        votes=joined["votes"],
        prevalence=np.bincount(stored, minlength=len(CODES)) / len(stored),
        by_chance=joined["by_chance"],
    )


def _rank(
    similarity: FloatArray, wanted: IntArray, stored: IntArray, own: BoolArray
) -> dict[str, npt.NDArray[np.generic]]:
    """Return each figure per query: arrays of n rows."""
    similarity[own] = -np.inf  # last, and never relevant
    relevant = (wanted[:, None] == stored[None, :]) & ~own
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranked = np.take_along_axis(relevant, order, axis=1)
    nearest = order[:, : min(VOTERS, int((~own).sum(axis=1).min()))]
    found: dict[str, npt.NDArray[np.generic]] = {
        f"precision_at_{k}": precision_at_k(ranked, k) for k in DEPTHS
    }
    found["average_precision"] = average_precision(ranked)
    found["majority"] = _majority(stored[order[:, :MAJORITY]]) == wanted
    found["votes"] = vote_shares(
        np.take_along_axis(similarity, nearest, axis=1),
        stored[nearest],
        np.bincount(stored, minlength=len(CODES)),
    )
    found["by_chance"] = relevant.sum(axis=1) / (~own).sum(axis=1)
    return found


def _majority(labels: IntArray) -> IntArray:
    """Return the commonest label of each row ``(n, k)``, of equals the one that comes first."""
    counts = (labels[:, :, None] == np.arange(len(CODES))).sum(axis=1)
    commonest = np.take_along_axis(counts, labels, axis=1) == counts.max(axis=1, keepdims=True)
    return np.take_along_axis(labels, commonest.argmax(axis=1)[:, None], axis=1)[:, 0]


def _same_lesion(queries: Sequence[str | None], gallery: Sequence[str | None]) -> BoolArray:
    """Return ``(N, M)`` bool; lesions that are not known match none."""
    numbers = {lesion: i for i, lesion in enumerate(sorted({g for g in gallery if g is not None}))}
    left = np.array([numbers.get(lesion, -1) if lesion is not None else -1 for lesion in queries])
    right = np.array([numbers[lesion] if lesion is not None else -2 for lesion in gallery])
    return left[:, None] == right[None, :]
