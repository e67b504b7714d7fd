"""Episodes: small classification problems with classes the encoder never saw.

An episode names a few classes, shows a few pictures of each and asks about others. Pictures shown
and asked about are of different lesions, one picture of each lesion, so that n shots are n lesions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Interval, percentile_bounds, rows_by_lesion
from dermsim.core.metrics import FloatArray, IntArray
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels

QUERIES = 15
"""Pictures of each class that an episode asks about, or fewer where a class has fewer lesions."""


@dataclass(frozen=True, eq=False)
class Episode:
    """One problem with W classes.

    Attributes:
        classes: W labels.
        support: ``(W, shots)`` rows that are shown.
        queries: ``(W, Q)`` rows that are asked about.
    """

    classes: tuple[int, ...]
    support: IntArray
    queries: IntArray


def draw_episodes(
    labels: npt.ArrayLike,
    lesion_ids: Sequence[str | None],
    *,
    shots: int,
    count: int = 600,
    ways: int = 2,
    queries: int = QUERIES,
    seed: int = 0,
) -> Iterator[Episode]:
    """Draw episodes, every set of classes as often as every other.

    Args:
        labels: ``(N,)`` integers; all classes that occur take part.
        lesion_ids: N lesions; None is a lesion of its own.
        shots: Pictures shown of each class.
        count: Number of episodes; rounded up so that all sets of classes come equally often.
        ways: Classes in an episode, W.
        queries: Pictures of each class asked about, at most.
        seed: Another seed draws other episodes.

    Raises:
        ValueError: If a number makes no sense, there are fewer than `ways` classes, a lesion has
            two labels, or a class has too few lesions to show some and ask about another.
    """
    for name, value, least in (("shots", shots, 1), ("count", count, 1), ("queries", queries, 1)):
        if value < least:
            raise Refused("episodes.least", name=name, least=least, value=value)
    pictures = _by_lesion(labels, lesion_ids)
    if ways < 2 or len(pictures) < ways:
        raise Refused("episodes.ways", ways=ways, classes=max(ways, 2), count=len(pictures))
    fewest = min(len(lesions) for lesions in pictures.values())
    if fewest <= shots:
        raise Refused("episodes.shots", shots=shots, needed=shots + 1, fewest=fewest)
    asked = min(queries, fewest - shots)
    rng = np.random.default_rng(seed)
    sets = list(combinations(sorted(pictures), ways))
    for number in range(-(-count // len(sets)) * len(sets)):
        classes = sets[number % len(sets)]
        drawn = np.stack([_one_each(pictures[c], shots + asked, rng) for c in classes])
        yield Episode(classes, drawn[:, :shots], drawn[:, shots:])


def _by_lesion(
    labels: npt.ArrayLike, lesion_ids: Sequence[str | None]
) -> dict[int, list[IntArray]]:
    """Return, by class, the rows of each of its lesions."""
    values = np.asarray(labels)
    largest = int(values.max()) if values.size else 0
    true = check_labels(labels, rows=len(lesion_ids), num_classes=largest + 1)
    pictures: dict[int, list[IntArray]] = {}
    for rows in rows_by_lesion(lesion_ids):
        if len(set(true[rows].tolist())) > 1:
            raise Refused("episodes.two_diagnoses", lesion_ids=lesion_ids[rows[0]])
        pictures.setdefault(int(true[rows[0]]), []).append(rows)
    return pictures


def _one_each(lesions: list[IntArray], size: int, rng: np.random.Generator) -> IntArray:
    """Draw lesions without replacement, and one picture of each."""
    chosen = rng.choice(len(lesions), size=size, replace=False)
    return np.array([rng.choice(lesions[lesion]) for lesion in chosen], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a head said in E episodes of two classes.

    Attributes:
        margins: ``(E, 2, Q)`` score of the second class less that of the first.
        lesions: ``(E, 2, Q)`` integers, the lesion of each query.
        resamples: How often the lesions that are asked about are resampled.
        seed: Seed of the resamples.
    """

    margins: FloatArray
    lesions: IntArray
    resamples: int = 1000
    seed: int = 0

    def accuracy(self) -> Interval:
        """Return the share of right answers, classes weighing alike; equal scores count half."""
        signs = np.array([-1.0, 1.0])[None, :, None]
        right = (np.sign(self.margins * signs) + 1.0) / 2.0
        return self._interval(lambda w: _accuracy(right, w))

    def auc(self) -> Interval:
        """Return how often a picture of the second class outscores one of the first."""
        first, second = self.margins[:, 0, :, None], self.margins[:, 1, None, :]
        wins = (np.sign(second - first) + 1.0) / 2.0
        return self._interval(lambda w: _auc(wins, w))

    def episode_error(self) -> float:
        """Return half the 95 % interval of the accuracy that the draw of episodes alone leaves.

        What papers on few-shot learning print after ±. It shrinks with every episode drawn from
        the same pictures, and so says nothing about other pictures.
        """
        signs = np.array([-1.0, 1.0])[None, :, None]
        right = ((np.sign(self.margins * signs) + 1.0) / 2.0).mean(axis=(1, 2))
        return float(1.96 * right.std(ddof=1) / np.sqrt(len(right)))

    def _interval(self, figure: Callable[[FloatArray], float]) -> Interval:
        """Bootstrap the lesions that are asked about; what is shown is averaged over.

        Args:
            figure: Takes how often each query counts, ``(E, 2, Q)``.
        """
        names, places = np.unique(self.lesions, return_inverse=True)
        places = places.reshape(self.lesions.shape)
        rng = np.random.default_rng(self.seed)
        even = np.full(len(names), 1 / len(names))
        draws = rng.multinomial(len(names), even, size=self.resamples).astype(np.float64)
        bounds = percentile_bounds([figure(drawn[places]) for drawn in draws])
        value = figure(np.ones(self.lesions.shape))
        return Interval(value, *bounds, len(names))


def _accuracy(right: FloatArray, weights: FloatArray) -> float:
    """Mean over episodes of the mean over classes of the weighted share of right answers.

    NaN where every episode has lost a class.
    """
    total = weights.sum(axis=2)
    kept = (total > 0).all(axis=1)
    if not kept.any():
        return float("nan")
    share = (right * weights).sum(axis=2)[kept] / total[kept]
    return float(share.mean())


def _auc(wins: FloatArray, weights: FloatArray) -> float:
    """Mean over episodes of the weighted share of pairs that are ordered rightly.

    NaN where every episode has lost a class.
    """
    total = weights.sum(axis=2).prod(axis=1)
    kept = total > 0
    if not kept.any():
        return float("nan")
    won = np.einsum("eij,ei,ej->e", wins[kept], weights[kept, 0], weights[kept, 1])
    return float((won / total[kept]).mean())
