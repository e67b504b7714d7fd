"""Where to draw the line between benign and malignant, and what each line did on validation.

An `OperatingPoint` is one line; a `MalignancyCurve` is all of them worth having: the receiver
operating characteristic of the malignancy on validation, with its counts, so that whoever moves the
line sees what that costs (Fawcett, 2006, https://doi.org/10.1016/j.patrec.2005.10.010).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.storage import check_keys
from dermsim.tasks.classify.coverage import covering_score

POINTS = ("balanced", "sensitivity_95")
"""Names of the operating points that every calibration has; the first is the default."""

SENSITIVITY_TARGET = 0.95
"""Share of malignant images yet to come that the point ``sensitivity_95`` is to catch."""

SENSITIVITY_CONFIDENCE = 0.7
"""How sure one may be, before they come, that it does; see `choose_points`. Of the values tried on
halves of validation it came nearest to the target most often (docs/experiments.md); 0.8 costs twice
the specificity."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on malignancy and what it achieved on validation.

    Attributes:
        threshold: An image is called malignant when its malignancy is at least this.
        sensitivity: Share of the malignant validation images it catches.
        specificity: Share of the benign validation images it lets pass.
    """

    threshold: float
    sensitivity: float
    specificity: float

    def __post_init__(self) -> None:
        """Refuse anything outside [0, 1]."""
        for part in fields(self):
            check_share(f"operating point {part.name}", getattr(self, part.name))

    def to_dict(self) -> dict[str, float]:
        """Return the fields as plain Python values."""
        return asdict(self)


@dataclass(frozen=True)
class MalignancyCurve:
    """What every threshold on malignancy achieved on validation.

    It has a point for each malignancy that a malignant image reached. A threshold between two of
    these catches no image more than the higher one and lets fewer benign ones pass, so that no
    other is worth having.

    Attributes:
        thresholds: K thresholds in [0, 1], strictly falling.
        caught: By threshold, how many malignant images it catches; strictly rising to `malignant`.
        passed: By threshold, how many benign images it lets pass; never rising.
        malignant: How many malignant images there were.
        benign: How many benign ones.
    """

    thresholds: tuple[float, ...]
    caught: tuple[int, ...]
    passed: tuple[int, ...]
    malignant: int
    benign: int

    def __post_init__(self) -> None:
        """Refuse what is no such curve."""
        for name in ("malignant", "benign"):
            if not is_count(getattr(self, name)) or getattr(self, name) < 1:
                raise Refused("operating.curve_totals", name=name, value=getattr(self, name))
        columns = (self.thresholds, self.caught, self.passed)
        if not all(isinstance(column, tuple) for column in columns):
            raise Refused("operating.curve_lists")
        if not self.thresholds or len({len(column) for column in columns}) > 1:
            raise Refused(
                "operating.curve_lengths",
                caught_count=len(self.caught),
                passed_count=len(self.passed),
                thresholds_count=len(self.thresholds),
            )
        for threshold in self.thresholds:
            check_share("malignancy curve threshold", threshold)
        if not all(map(is_count, (*self.caught, *self.passed))):
            raise Refused("operating.curve_counts")
        self._check_order()

    def _check_order(self) -> None:
        if not all(high > low for high, low in pairwise(self.thresholds)):
            raise Refused("operating.curve_thresholds")
        rising = all(fewer < more for fewer, more in pairwise((0, *self.caught)))
        if not rising or self.caught[-1] != self.malignant:
            raise Refused("operating.curve_caught", malignant=self.malignant)
        falling = all(more >= fewer for more, fewer in pairwise((self.benign, *self.passed, 0)))
        if not falling:
            raise Refused("operating.curve_passed", benign=self.benign)

    @classmethod
    def fit(cls, malignancy: npt.ArrayLike, malignant: npt.ArrayLike) -> MalignancyCurve:
        """Count what each threshold does to validation.

        Args:
            malignancy: ``(N,)`` in [0, 1].
            malignant: ``(N,)`` bool, the truth.

        Raises:
            ValueError: If the images are all benign or all malignant.
        """
        scores, truth = np.asarray(malignancy, dtype=np.float64), np.asarray(malignant, dtype=bool)
        check_both(truth)
        thresholds = np.unique(scores[truth])[::-1]
        missed = np.searchsorted(np.sort(scores[truth]), thresholds, side="left")
        passed = np.searchsorted(np.sort(scores[~truth]), thresholds, side="left")
        total = int(truth.sum())
        return cls(
            thresholds=tuple(thresholds.tolist()),
            caught=tuple((total - missed).tolist()),
            passed=tuple(passed.tolist()),
            malignant=total,
            benign=len(truth) - total,
        )

    @property
    def points(self) -> tuple[OperatingPoint, ...]:
        """The curve's K points, from the highest threshold to the lowest."""
        rows = zip(self.thresholds, self.caught, self.passed, strict=True)
        return tuple(self._point(*row) for row in rows)

    def at(self, threshold: float) -> OperatingPoint:
        """Return what a threshold achieved on validation.

        Between two thresholds of the curve the sensitivity is exact, and the specificity that of
        the lower one: at least so many benign images pass.

        Raises:
            ValueError: If the threshold is no number in [0, 1].
        """
        check_threshold(threshold)
        # how many of the falling thresholds are at least this one
        reached = bisect_left(self.thresholds, -threshold, key=lambda value: -value)
        if reached < len(self.thresholds) and self.thresholds[reached] == threshold:
            return self._point(threshold, self.caught[reached], self.passed[reached])
        caught = self.caught[reached - 1] if reached else 0
        passed = self.passed[reached] if reached < len(self.passed) else 0
        return self._point(threshold, caught, passed)

    def balanced(self) -> OperatingPoint:
        """Return the point with the highest sum of sensitivity and specificity: Youden's J.

        Youden (1950), https://doi.org/10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
        Of equal ones the highest is taken, which raises fewer alarms.
        """
        # in whole numbers, so that rounding breaks no tie
        counts = zip(self.caught, self.passed, strict=True)
        worth = [caught * self.benign + passed * self.malignant for caught, passed in counts]
        return self.points[worth.index(max(worth))]

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> MalignancyCurve:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or a value has the wrong type or range.
        """
        names = {part.name for part in fields(cls)}
        given = check_keys(values, names, name="malignancy_curve")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})  # type: ignore[arg-type]

    def _point(self, threshold: float, caught: int, passed: int) -> OperatingPoint:
        return OperatingPoint(threshold, caught / self.malignant, passed / self.benign)


def choose_points(
    curve: MalignancyCurve,
    malignancy: npt.NDArray[np.float64],
    malignant: npt.NDArray[np.bool_],
    lesion_ids: Sequence[str | None],
) -> dict[str, OperatingPoint]:
    """Return the points of a curve that have a name.

    ``sensitivity_95`` is not the threshold that caught 95 % of these malignant images: every other
    time, that threshold would catch fewer new ones. It is the threshold from `covering_score`,
    which reaches the share with a confidence of `SENSITIVITY_CONFIDENCE`.

    Args:
        curve: The curve of these images.
        malignancy: ``(N,)`` in [0, 1].
        malignant: ``(N,)`` bool, the truth.
        lesion_ids: N lesions; None means a lesion of its own.

    Returns:
        One point for each of `POINTS`. With too few malignant lesions to promise so much,
        ``sensitivity_95`` is the point that misses none of them.
    """
    rows = np.flatnonzero(malignant)
    found = covering_score(
        -malignancy[rows],
        [lesion_ids[row] for row in rows.tolist()],
        SENSITIVITY_TARGET,
        confidence=SENSITIVITY_CONFIDENCE,
    )
    threshold = curve.thresholds[-1] if found is None else -found
    return {"balanced": curve.balanced(), "sensitivity_95": curve.at(threshold)}


def check_both(malignant: npt.NDArray[np.bool_]) -> None:
    """Refuse images ``(N,)`` that are all benign or all malignant.

    Raises:
        ValueError: If they are.
    """
    if malignant.all() or not malignant.any():
        raise Refused("operating.one_sided")


def parse_point(text: str | float) -> str | float:
    """Return an operating point as people write it: what looks like a number is a threshold."""
    try:
        return float(text)
    except ValueError:
        return text


def check_threshold(threshold: object) -> float:
    """Return a threshold on malignancy, or refuse it.

    Raises:
        ValueError: If it is no number in [0, 1].
    """
    if not is_number(threshold) or not 0 <= threshold <= 1:  # type: ignore[operator]
        raise Refused("operating.threshold", threshold=threshold, points=POINTS)
    return float(threshold)  # type: ignore[arg-type]


def is_number(value: object) -> bool:
    """Say whether a value is a number; JSON's true and false are Python ints."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_share(name: str, value: float) -> None:
    """Refuse a value that is no number in [0, 1].

    Raises:
        ValueError: If it is not.
    """
    if not is_number(value) or not 0 <= value <= 1:
        raise Refused("operating.share", name=name, value=value)


def is_count(value: object) -> bool:
    """Say whether a value is a whole number; JSON's true and false are Python ints."""
    return isinstance(value, int) and not isinstance(value, bool)
