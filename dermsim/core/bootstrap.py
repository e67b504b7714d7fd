"""Figures with their intervals, from resampling whole lesions; and what a lesion is.

A photograph whose lesion is not known is of a lesion of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

DECIMALS = 4
"""Decimals kept in files: enough to read, few enough for a rerun to agree to the last digit."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure on all rows.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Number of rows (images) the figure rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the fields as plain Python values, rounded to 4 decimals."""
        rounded = {k: round(v, DECIMALS) for k, v in asdict(self).items()}
        return {**rounded, "n": self.n}

    def words(self, *notes: str, spec: str = ".3f") -> str:
        """Return the value and its interval as text, such as ``0.612 (0.590 to 0.633)``.

        Numbers are rounded as files keep them, so that a loaded report prints the same.

        Args:
            notes: What else to say inside the brackets, after the interval.
            spec: How each of the three numbers is written.
        """
        rounded = self.to_dict()
        value, low, high = (format(rounded[name], spec) for name in ("value", "low", "high"))
        return f"{value} ({', '.join([f'{low} to {high}', *notes])})"

    def __format__(self, spec: str) -> str:
        return self.words(spec=spec or ".3f")


@dataclass(frozen=True)
class Bootstrap:
    """Percentile bootstrap that draws whole lesions (Efron, 1979, https://doi.org/10.1214/aos/1176344552).

    Photographs of one lesion are not independent, so drawing photographs would claim more
    certainty than there is. A resample on which a metric is undefined (NaN, for example the AUC
    of a class it lost) is left out.

    Attributes:
        lesion_ids: The lesion of each of N rows; None means a lesion of its own.
        resamples: Number of resamples.
        seed: Seed of the draws; the same seed and lesions give the same resamples to any metric.
    """

    lesion_ids: Sequence[str | None]
    resamples: int = 1000
    seed: int = 0

    def __len__(self) -> int:
        return len(self.lesion_ids)

    @property
    def n_lesions(self) -> int:
        """How many lesions there are."""
        return len(set(number_lesions(self.lesion_ids).tolist()))

    def take(self, rows: IntArray | BoolArray) -> Bootstrap:
        """Return the bootstrap of some rows, by their numbers ``(M,)`` or as a mask ``(N,)``."""
        places = np.arange(len(self))[rows]
        return replace(self, lesion_ids=[self.lesion_ids[place] for place in places.tolist()])

    def interval(
        self,
        metric: Callable[[IntArray], float],
        *,
        among: IntArray | BoolArray | None = None,
    ) -> Interval:
        """Measure something, and how sure one may be of it.

        Args:
            metric: Takes row numbers ``(M,)`` int64, in which rows may repeat, and returns a
                number.
            among: The rows it is asked of, as for `take`; None for all.

        Returns:
            The metric on these rows, with the 2.5 and 97.5 percentiles over the resamples.

        Raises:
            ValueError: If there are no rows, or the metric is undefined on all rows or all
                resamples.
        """
        if among is not None:
            places = np.arange(len(self))[among]
            return self.take(places).interval(lambda drawn: metric(places[drawn]))
        if len(self) == 0:
            raise Refused("bootstrap.no_rows")
        value = float(metric(np.arange(len(self))))
        if np.isnan(value):
            raise Refused("bootstrap.undefined")
        samples = np.array([metric(rows) for rows in self._draws()])
        return Interval(value, *percentile_bounds(samples), len(self))

    def mean(
        self, values: npt.NDArray[np.generic], *, among: IntArray | BoolArray | None = None
    ) -> Interval:
        """Measure the mean of a value per row.

        Args:
            values: ``(N,)``.
            among: As for `interval`.
        """
        return self.interval(lambda rows: float(values[rows].mean()), among=among)

    def means(
        self, values: npt.NDArray[np.generic], *, among: IntArray | BoolArray | None = None
    ) -> list[Interval]:
        """Measure the means of several values per row on the same resamples, as `mean` would.

        Args:
            values: ``(N, K)``.
            among: As for `interval`.

        Raises:
            ValueError: If there are no rows.
        """
        if among is not None:
            return self.take(among).means(values[among])
        if len(self) == 0:
            raise Refused("bootstrap.no_rows")
        counts = np.stack([np.bincount(rows, minlength=len(self)) for rows in self._draws()])
        samples = counts @ values.astype(np.float64) / counts.sum(axis=1, keepdims=True)
        whole = values.astype(np.float64).mean(axis=0).tolist()
        bounds = map(percentile_bounds, samples.T)
        return [
            Interval(value, low, high, len(self))
            for value, (low, high) in zip(whole, bounds, strict=True)
        ]

    def _draws(self) -> Iterator[IntArray]:
        """Yield the rows of each resample: as many lesions as there are, with replacement."""
        groups = number_lesions(self.lesion_ids)
        order = np.argsort(groups, kind="stable")
        sizes = np.bincount(groups)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        generator = np.random.default_rng(self.seed)
        for lesions in generator.integers(len(sizes), size=(self.resamples, len(sizes))):
            lengths = sizes[lesions]
            ends = np.cumsum(lengths)
            # consecutive numbers, shifted so that each lesion's run begins at its own start
            shifts = np.repeat(starts[lesions] - (ends - lengths), lengths)
            yield order[np.arange(ends[-1]) + shifts]


def percentile_bounds(samples: npt.ArrayLike) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of a metric over bootstrap resamples.

    Args:
        samples: ``(R,)``; those on which the metric is undefined (NaN) are left out.

    Raises:
        ValueError: If it is undefined on all of them.
    """
    found = np.asarray(samples, dtype=np.float64)
    if np.isnan(found).all():
        raise Refused("bootstrap.undefined_everywhere", size=found.size)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def number_lesions(lesion_ids: Sequence[str | None]) -> IntArray:
    """Number the lesions from 0 in the order in which they come.

    Args:
        lesion_ids: The lesion of each row; None means a lesion of its own.

    Returns:
        ``(N,)`` equal where the lesion is.
    """
    numbers: dict[object, int] = {}
    # row numbers cannot collide with the ids, which are strings
    keys = (row if lesion is None else lesion for row, lesion in enumerate(lesion_ids))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def rows_by_lesion(lesion_ids: Sequence[str | None]) -> list[IntArray]:
    """Return the rows of each lesion, ascending, lesions in the order in which they come.

    Args:
        lesion_ids: As for `number_lesions`.
    """
    numbers = number_lesions(lesion_ids)
    ends = np.cumsum(np.bincount(numbers))
    return np.split(np.argsort(numbers, kind="stable"), ends[:-1]) if len(numbers) else []
