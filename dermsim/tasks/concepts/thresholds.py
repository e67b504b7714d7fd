"""From which probability on a finding may be said, so that what is said is right often enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

PRECISION = 0.9
"""Share of what is said that must be true."""

RARER = 3.0
"""How many times rarer a concept must be where it is said to be absent than in all pictures:
otherwise nothing would be learned from hearing that something rare is not there."""

SURE = 1.2816
"""Standard deviations of a one-sided 90 % bound: the precision must hold beyond luck."""


@dataclass(frozen=True)
class Threshold:
    """Where to begin saying something, and how often it was right on rows left out.

    Attributes:
        probability: The calibrated probability.
        precision: Share of what was said that was true.
        said: How many times it was said.
        share: Of all rows, for how many it was said.
    """

    probability: float
    precision: float
    said: int
    share: float


def present_from(
    probability: FloatArray, positive: BoolArray, *, precision: float = PRECISION
) -> Threshold | None:
    """Find the lowest probability from which on "present" is true often enough.

    Args:
        probability: ``(N,)``, each of a fit without the row's group.
        positive: ``(N,)`` bool, the truth.
        precision: The share that must be true, as a lower bound.

    Returns:
        The threshold; None where there is none.
    """
    return _lowest(probability, positive, precision)


def absent_below(
    probability: FloatArray, positive: BoolArray, *, precision: float = PRECISION
) -> Threshold | None:
    """Find the highest probability below which "absent" is true often enough.

    "Often enough" is at least `precision`, and so often that the concept is `RARER` times rarer
    there than in all rows.

    Args:
        probability: As for `present_from`, as are the others.
        positive: The truth.
        precision: The share that must be true, as a lower bound.

    Returns:
        The threshold: what is below it is absent; None where there is none.
    """
    wanted = max(precision, 1 - float(positive.mean()) / RARER)
    found = _lowest(-probability, ~positive, wanted)
    if found is None:
        return None
    # said below, and no longer at, the next probability up
    above = probability[probability > -found.probability]
    limit = float(above.min()) if len(above) else 1.0
    return Threshold(limit, found.precision, found.said, found.share)


def _lowest(score: FloatArray, truth: BoolArray, wanted: float) -> Threshold | None:
    """Find the lowest score such that, of those that reach it, enough are true."""
    order = np.argsort(-score, kind="stable")
    said = np.arange(1, len(order) + 1)
    precision = np.cumsum(truth[order]) / said
    # equal scores are said together
    last = np.append(np.diff(score[order]) != 0, True)
    enough = last & (_lower_bound(precision, said) >= wanted)
    if not enough.any():
        return None
    place = int(np.flatnonzero(enough)[-1])
    return Threshold(
        float(score[order[place]]),
        float(precision[place]),
        place + 1,
        (place + 1) / len(order),
    )


def _lower_bound(share: FloatArray, n: npt.NDArray[np.int64]) -> FloatArray:
    """Return the lower end of Wilson's interval (1927, https://doi.org/10.2307/2276774)."""
    z2 = SURE**2
    middle = share + z2 / (2 * n)
    spread = SURE * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return (middle - spread) / (1 + z2 / n)
