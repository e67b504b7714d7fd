"""Where measures are written down image by image, and read back as figures with intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.metrics import FloatArray, IntArray, macro_mean


class Ledger:
    """One number for each photograph, kind of maps and measure; unknown until it is written.

    Args:
        labels: ``(N,)`` the true diagnoses.
        bootstrap: The N lesions and how they are resampled.
    """

    def __init__(self, labels: IntArray, bootstrap: Bootstrap) -> None:
        self._labels, self._bootstrap = labels, bootstrap
        self._values: dict[tuple[str, str], FloatArray] = {}

    def write(
        self, name: str, measure: str, rows: npt.ArrayLike, values: npt.NDArray[np.floating]
    ) -> None:
        """Write down a measure of some photographs; NaN says that there is none.

        Args:
            name: Which maps.
            measure: Which measure of them.
            rows: ``(n,)`` numbers of the photographs.
            values: ``(n, ...)``, one entry for each.
        """
        key = (name, measure)
        if key not in self._values:
            self._values[key] = np.full(len(self._labels), np.nan)
        self._values[key][np.asarray(rows)] = values

    def write_gain(self, measure: str, gain: str, *, over: str) -> None:
        """Write down how much better than those of `over` the maps of all others are."""
        reference = self._values[over, measure]
        for name in [n for n, m in self._values if m == measure and n != over]:
            self._values[name, gain] = self._values[name, measure] - reference

    def figures(self, name: str) -> dict[str, Interval]:
        """Return by measure the mean over images and then over diagnoses, of one kind of maps."""
        found = {}
        for measure in self._measures(name):
            values = self._values[name, measure]
            rows = _known(values)
            found[measure] = self._interval(rows, partial(self._macro, values[rows], rows))
        return found

    def figures_by_class(
        self, name: str, measures: Collection[str] | None = None
    ) -> dict[str, dict[str, Interval]]:
        """Return by measure and diagnosis the mean over images, of one kind of maps.

        Args:
            name: Of the maps.
            measures: Only these; all that are known by default.
        """
        found: dict[str, dict[str, Interval]] = {}
        for measure in self._measures(name):
            if measures is None or measure in measures:
                values = self._values[name, measure]
                known = _known(values)
                found[measure] = {}
                for code, label in LABEL2ID.items():
                    rows = known[self._labels[known] == label]
                    if len(rows):
                        mean = partial(_mean, values[rows])
                        found[measure][code] = self._interval(rows, mean)
        return found

    def _measures(self, name: str) -> list[str]:
        return [m for (n, m), found in self._values.items() if n == name and _known(found).size]

    def _macro(self, values: FloatArray, rows: IntArray, drawn: IntArray) -> float:
        return macro_mean(values[drawn], self._labels[rows[drawn]], len(CODES))

    def _interval(self, rows: IntArray, metric: Callable[[IntArray], float]) -> Interval:
        return self._bootstrap.take(rows).interval(metric)


def _mean(values: FloatArray, drawn: IntArray) -> float:
    return float(values[drawn].mean())


def _known(values: FloatArray) -> IntArray:
    return np.flatnonzero(~np.isnan(values))
