"""How a new class is told from the old ones by a few of its pictures: three heads.

A head gives each image one score for its class, on the scale of the old classes' own scores, which
are ``cos(z, prototype) / T``. So one softmax runs over all of them, and the old classes' scores
are never touched: among themselves they are judged as before. Vectors z are unit rows ``(N, D)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dermsim.core.metrics import fit_temperature
from dermsim.core.softmax_regression import fit_corrections
from dermsim.core.vectors import cosine_similarity, l2_normalize

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

HEADS = ("mean", "neighbors", "logistic")
"""Nearest class mean, k nearest neighbours, logistic regression."""

LOGISTIC_FROM = 20
"""Pictures of a class from which on its own logistic head serves it better than its mean."""

NEIGHBORS = 5
"""Pictures of a class that its k-NN head compares with, or all when there are fewer."""

STRENGTH = 1.0
"""How strongly the logistic head of one picture is held to the class mean; that of n, an n-th."""

SWALLOW = 0.1
"""Share of any old class's held-out images that a new class may take from it."""


def fit_prototype_temperature(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, prototypes: npt.ArrayLike
) -> float:
    """Fit the temperature of a bank on validation images of its old classes.

    Args:
        embeddings: ``(N, D)`` of images that did not make the prototypes.
        labels: ``(N,)`` integers, rows of `prototypes`.
        prototypes: ``(C, D)``.

    Returns:
        T minimising the class-balanced negative log-likelihood.

    Raises:
        ValueError: If there are no rows, or shapes or labels are wrong.
    """
    return fit_temperature(cosine_similarity(embeddings, prototypes), labels, class_balanced=True)


def head_for(shots: int) -> str:
    """Choose a head by the number of pictures of the class.

    On lesions of classes that an encoder was trained without, the mean was the best head up to
    some twenty pictures and logistic regression beyond; k-NN was never the best of the three, and
    is there for a class that is known to be of several kinds.
    """
    return "logistic" if shots >= LOGISTIC_FROM else "mean"


@dataclass(frozen=True, eq=False)
class OldClasses:
    """What new classes must be told from: K old classes, and held-out images of theirs.

    Attributes:
        prototypes: ``(K, D)`` float32 unit rows; K may be 0.
        temperature: T.
        vectors: ``(R, D)`` float32 unit rows of the images; R may be 0.
        labels: ``(R,)`` int64, which class each is of.
    """

    prototypes: Vectors
    temperature: float
    vectors: Vectors
    labels: IntArray

    @classmethod
    def none(cls, temperature: float, *, dim: int = 0) -> OldClasses:
        """Return no class at all, beside which new ones are told from one another only."""
        nothing = np.zeros((0, dim), dtype=np.float32)
        return cls(nothing, temperature, nothing, np.zeros(0, dtype=np.int64))

    def scores(self, vectors: Vectors) -> FloatArray:
        """Return the old classes' scores ``(N, K)`` of ``(N, D)`` unit rows."""
        return vectors.astype(np.float64) @ self.prototypes.T.astype(np.float64) / self.temperature

    @property
    def alignment(self) -> float | None:
        """How far images point the way of their class: the mean cosine to their own mean."""
        if not len(self.vectors):
            return None
        own = [self.vectors[self.labels == c] for c in np.unique(self.labels)]
        means = [l2_normalize(rows.sum(axis=0, keepdims=True))[0] for rows in own]
        cosines = [float((rows @ mean).mean()) for rows, mean in zip(own, means, strict=True)]
        return float(np.mean(cosines))


@dataclass(frozen=True, eq=False)
class EnrolledClass:
    """A class known by a few pictures.

    Attributes:
        name: What it is called.
        shots: ``(n, D)`` float32 comparable rows of its pictures.
        head: One of `HEADS`, or ``"auto"`` to choose by the number of pictures.
    """

    name: str
    shots: Vectors
    head: str = "auto"


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A score that is linear in the vector: along the class mean, or a learned direction.

    Attributes:
        weight: ``(D,)`` float64.
        bias: Added to every score.
    """

    weight: FloatArray
    bias: float = 0.0

    @property
    def directions(self) -> FloatArray:
        """What an image is compared with, ``(1, D)``: its score is the product and the bias."""
        return self.weight[None]

    @property
    def nearest(self) -> int:
        """How many of the directions count."""
        return 1

    def scores(self, vectors: Vectors) -> FloatArray:
        """Return ``(N,)`` scores of ``(N, D)`` unit rows."""
        # sums along the last axis do not depend on how many rows there are, matrix products do
        return (vectors * self.weight).sum(axis=1) + self.bias


@dataclass(frozen=True, eq=False)
class NeighborHead:
    """The mean likeness to the most similar pictures of the class, over the temperature.

    Attributes:
        shots: ``(n, D)`` float32 unit rows.
        temperature: T of the bank.
        bias: Added to every score.
    """

    shots: Vectors
    temperature: float
    bias: float = 0.0

    @property
    def directions(self) -> FloatArray:
        """What an image is compared with, ``(n, D)``: the mean of the nearest counts."""
        return self.shots.astype(np.float64) / self.temperature

    @property
    def nearest(self) -> int:
        """How many of the directions count, those that are most alike."""
        return min(NEIGHBORS, len(self.shots))

    def scores(self, vectors: Vectors) -> FloatArray:
        """Return ``(N,)`` scores of ``(N, D)`` unit rows."""
        likeness = vectors.astype(np.float64) @ self.shots.T.astype(np.float64)
        k = self.nearest
        best = np.partition(likeness, likeness.shape[1] - k, axis=1)[:, -k:]
        return best.mean(axis=1) / self.temperature + self.bias


Head = LinearHead | NeighborHead


def fit_heads(shots: Sequence[Vectors], kinds: Sequence[str], *, old: OldClasses) -> list[Head]:
    """Fit a head for each new class.

    Each depends on its own pictures and on the old classes; logistic heads also on the pictures of
    the other new classes, which they are told from at the same time. The order of the classes does
    not matter.

    Args:
        shots: For each class its pictures, ``(n, D)`` float32 unit rows.
        kinds: For each class one of `HEADS`.
        old: What they are told from.

    Returns:
        A head for each class, its bias such that no old class loses more than `SWALLOW` of its
        held-out images to it.
    """
    alignment = old.alignment
    heads: list[Head] = []
    for rows, kind in zip(shots, kinds, strict=True):
        bias = 0.0 if alignment is None else few_shot_bias(alignment, len(rows)) / old.temperature
        if kind == "neighbors":
            heads.append(NeighborHead(rows, old.temperature, bias))
        else:
            mean = l2_normalize(rows.sum(axis=0, keepdims=True))[0].astype(np.float64)
            heads.append(LinearHead(mean / old.temperature, bias))
    if "logistic" in kinds:
        heads = _fit_logistic(heads, kinds, shots, old)
    return [_guard(head, old) for head in heads] if len(old.vectors) else heads


def few_shot_bias(alignment: float, shots: int) -> float:
    """Return how much likeness a class loses by having a mean of few pictures.

    Let images of a class point the way of their mean with cosine r, independently but for that.
    The mean of n of them has length ``sqrt(r^2 + (1 - r^2) / n)``, so a further image's cosine to
    it is on average r^2 over that length, which is less than the r it has to a mean of thousands.

    Args:
        alignment: r, in (0, 1].
        shots: n.
    """
    length = np.sqrt(alignment**2 + (1.0 - alignment**2) / shots)
    return float(alignment * (1.0 - alignment / length))


def _guard(head: Head, old: OldClasses) -> Head:
    """Lower a head's bias until no old class loses more than it may.

    Only images that the old classes get right can be lost.
    """
    scores = old.scores(old.vectors)
    right = scores.argmax(axis=1) == old.labels
    margins = head.scores(old.vectors) - scores.max(axis=1)
    excess = 0.0
    for label in np.unique(old.labels):
        own = old.labels == label
        allowed = int(SWALLOW * own.sum())
        lost = np.sort(margins[own & right])[::-1]
        if len(lost) > allowed and lost[allowed] >= excess:
            excess = float(lost[allowed]) + 1e-6  # the image at the limit stays with its class
    return replace(head, bias=head.bias - excess)


def _fit_logistic(
    heads: Sequence[Head], kinds: Sequence[str], shots: Sequence[Vectors], old: OldClasses
) -> list[Head]:
    """Learn weights and biases of the logistic heads from their class means, all else as it is.

    Multinomial logistic regression in which every class weighs the same. Each weight is drawn to
    that of its class mean: the maximum of a posterior whose Gaussian prior is the head of the
    nearest class mean, on an evidence that grows with the number of pictures.
    """
    learned = [place for place, kind in enumerate(kinds) if kind == "logistic"]
    order = [place for place in range(len(kinds)) if place not in learned] + learned
    vectors = np.concatenate([old.vectors, *(shots[place] for place in order)])
    first = len(old.prototypes)
    columns = [np.full(len(shots[place]), first + column) for column, place in enumerate(order)]
    true = np.concatenate([old.labels, *columns])
    scores = [old.scores(vectors), *(heads[place].scores(vectors) for place in order)]
    weights, biases = fit_corrections(
        vectors.astype(np.float64),
        np.column_stack(scores).astype(np.float64),
        true,
        1.0 / np.bincount(true)[true],
        pull=STRENGTH * old.temperature**2 / np.array([len(shots[place]) for place in learned]),
    )
    fitted = list(heads)
    for place, weight, bias in zip(learned, weights, biases, strict=True):
        mean = heads[place]
        assert isinstance(mean, LinearHead)  # where every logistic head begins
        fitted[place] = LinearHead(mean.weight + weight, mean.bias + float(bias))
    return fitted
