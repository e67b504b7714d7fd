"""What malignancy thresholds reached on photographs that no threshold was fitted to.

`dermsim evaluate` measures it and writes it into ``evaluation.json``; wherever a threshold is
offered, it stands beside the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import DECIMALS, Bootstrap, Interval
from dermsim.core.refused import Refused
from dermsim.core.storage import check_keys
from dermsim.tasks.classify.operating import check_both, check_share, is_count

Origin = Literal["held_out", "elsewhere"]
"""Held-out lesions of the data that the model was trained on, or photographs of other clinics."""

_COLUMNS = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Reached:
    """What one threshold reached.

    Attributes:
        origin: On which kind of photographs.
        dataset: What these are called.
        threshold: The measured threshold that is nearest to the one asked about.
        sensitivity: Share of the malignant photographs that it caught.
        specificity: Share of the benign ones that it let pass.
    """

    origin: Origin
    dataset: str
    threshold: float
    sensitivity: Interval
    specificity: Interval

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            "origin": self.origin,
            "dataset": self.dataset,
            "threshold": self.threshold,
            "sensitivity": self.sensitivity.to_dict(),
            "specificity": self.specificity.to_dict(),
        }


@dataclass(frozen=True)
class ThresholdFigures:
    """What K thresholds reached on the photographs of one data set; `measure` makes it.

    Attributes:
        origin: Kind of the photographs.
        dataset: What they are called.
        thresholds: K thresholds, falling.
        sensitivity: For each its value, and the ends of its 95 % interval.
        specificity: Likewise.
        malignant: How many photographs were malignant.
        benign: How many were not.
    """

    origin: Origin
    dataset: str
    thresholds: tuple[float, ...]
    sensitivity: tuple[tuple[float, ...], ...]
    specificity: tuple[tuple[float, ...], ...]
    malignant: int
    benign: int

    def __post_init__(self) -> None:
        """Refuse what no measurement gives, as a damaged file may hold."""
        if self.origin not in get_args(Origin):
            raise Refused("reached.origin", origin=self.origin)
        if not isinstance(self.dataset, str):
            raise Refused("reached.no_source")
        for name in ("malignant", "benign"):
            if not is_count(getattr(self, name)) or getattr(self, name) < 1:
                raise Refused("reached.no_photographs", name=name)
        for value in self.thresholds:
            check_share("a measured threshold", value)
        for name in _COLUMNS:
            rows = getattr(self, name)
            if len(rows) != len(self.thresholds) or not rows or {len(row) for row in rows} != {3}:
                raise Refused("reached.interval", name=name)
            for row in rows:
                for value in row:
                    check_share(f"measured {name}", value)

    @classmethod
    def measure(
        cls,
        malignancy: npt.NDArray[np.float64],
        malignant: npt.NDArray[np.bool_],
        bootstrap: Bootstrap,
        *,
        thresholds: Sequence[float],
        origin: Origin,
        dataset: str,
    ) -> ThresholdFigures:
        """Measure thresholds.

        Args:
            malignancy: ``(N,)`` in [0, 1].
            malignant: ``(N,)`` the truth.
            bootstrap: The N lesions and how they are resampled.
            thresholds: K of them.
            origin: Kind of the photographs.
            dataset: What they are called.

        Raises:
            ValueError: If the photographs are all benign or all malignant.
        """
        check_both(malignant)
        falling = sorted(set(thresholds), reverse=True)
        called = malignancy[:, None] >= np.array(falling)
        figures = {
            "sensitivity": bootstrap.means(called, among=malignant),
            "specificity": bootstrap.means(~called, among=~malignant),
        }
        return cls(
            origin=origin,
            dataset=dataset,
            thresholds=tuple(falling),
            malignant=int(malignant.sum()),
            benign=int((~malignant).sum()),
            **{
                name: tuple(
                    tuple(round(x, DECIMALS) for x in (one.value, one.low, one.high))
                    for one in found
                )
                for name, found in figures.items()
            },
        )

    def at(self, threshold: float) -> Reached:
        """Return what the measured threshold nearest to this one reached."""
        place = min(
            range(len(self.thresholds)), key=lambda row: abs(self.thresholds[row] - threshold)
        )
        return Reached(
            self.origin,
            self.dataset,
            self.thresholds[place],
            _interval(self.sensitivity[place], self.malignant),
            _interval(self.specificity[place], self.benign),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        plain: dict[str, object] = {part.name: getattr(self, part.name) for part in fields(self)}
        plain["thresholds"] = list(self.thresholds)
        for name in _COLUMNS:
            plain[name] = [list(row) for row in getattr(self, name)]
        return plain

    @classmethod
    def from_dict(cls, values: object) -> ThresholdFigures:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If it is something else.
        """
        names = {part.name for part in fields(cls)}
        given: dict[str, Any] = dict(check_keys(values, names, name="figures of thresholds"))
        for name in ("thresholds", *_COLUMNS):
            if not isinstance(given[name], list):
                raise Refused("reached.part_not_list", name=name)
        given["thresholds"] = tuple(given["thresholds"])
        for name in _COLUMNS:
            if not all(isinstance(row, list) for row in given[name]):
                raise Refused("reached.triples", name=name)
            given[name] = tuple(map(tuple, given[name]))
        return cls(**given)


def _interval(row: tuple[float, ...], count: int) -> Interval:
    value, low, high = row
    return Interval(value, low, high, count)


def read_figures(
    document: Mapping[str, object], *, fingerprint: str
) -> tuple[ThresholdFigures, ...]:
    """Take from an ``evaluation.json`` what thresholds reached.

    Args:
        document: What the file holds.
        fingerprint: The encoder in use; of another one there are no figures.

    Raises:
        ValueError: If the figures are damaged.
    """
    listed = document.get("thresholds", [])
    if document.get("fingerprint") != fingerprint:
        return ()
    if not isinstance(listed, list):
        raise Refused("reached.not_a_list")
    return tuple(ThresholdFigures.from_dict(values) for values in listed)
