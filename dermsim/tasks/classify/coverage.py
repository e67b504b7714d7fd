"""The score that enough lesions do not exceed: what prediction sets and alert lines rest on.

A threshold chosen so that 90 % of the lesions at hand lie below it leaves out more than 10 % of
those to come. How many more is known without any assumption but that lesions at hand and to come
are alike; this module makes up for it. NumPy in, NumPy out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import number_lesions
from dermsim.core.refused import Refused


def covering_score(
    scores: npt.ArrayLike,
    lesion_ids: Sequence[str | None],
    share: float,
    *,
    confidence: float | None = None,
) -> float | None:
    """Return the smallest score that at least a share of what is to come does not exceed.

    Split conformal prediction. The k-th smallest of n scores is not exceeded by a share of new ones
    whose mean is k / (n + 1), and which is beta distributed with parameters k and n + 1 - k (Vovk,
    2012, https://arxiv.org/abs/1209.2673; Wilks, 1941, https://doi.org/10.1214/aoms/1177731788).

    What is exchangeable are lesions, not their photographs, so n counts lesions, and the
    photographs of one share its weight (hierarchical conformal prediction: Lee, Barber and Willett,
    2023, https://arxiv.org/abs/2306.06342). Lesions with many photographs can be harder or easier
    than others; so the share is reached among photographs, too, each with the same weight.

    Args:
        scores: ``(N,)``, at least one.
        lesion_ids: The lesion of each; None means a lesion of its own.
        share: What share of new photographs must not exceed it, in (0, 1).
        confidence: How sure one may be that they do not, in (0, 1); None to be right on average,
            over validation sets as well as photographs.

    Returns:
        One of the scores; None when the lesions are too few to promise so much. On average they are
        enough to promise `share` from ``share / (1 - share)`` lesions on. Somewhat fewer are
        answered with their highest score as long as that covers the share more often than not.

    Raises:
        ValueError: If there are no scores, not as many lesion_ids, or a number is not in (0, 1).
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or len(values) != len(lesion_ids):
        raise Refused("coverage.lesion_ids", shape=values.shape, count=len(lesion_ids))
    for name, number in {"share": share, "confidence": confidence}.items():
        if number is not None and not 0 < number < 1:
            raise Refused("coverage.between", name=name, number=number)
    lesions = number_lesions(lesion_ids)
    sizes = np.bincount(lesions)
    needed = _lesions_needed(len(sizes), share, confidence)
    if needed is None:
        return None
    order = np.argsort(values, kind="stable")
    of_lesions = 1.0 / sizes[lesions]
    of_photographs = np.full(len(values), len(sizes) / len(values))
    # a hair less, since 0.1 added ten times need not be 1
    places = [
        int(np.searchsorted(np.cumsum(weights[order]), needed - 1e-9))
        for weights in (of_lesions, of_photographs)
    ]
    return float(values[order][max(places)])


def _lesions_needed(lesions: int, share: float, confidence: float | None) -> float | None:
    """Return how many of n lesions must not exceed a score; None when n are not enough."""
    from scipy.stats import binom

    if confidence is not None:
        # the k-th smallest covers a share if fewer than k of n lie below what covers it exactly
        needed = int(binom.ppf(confidence, lesions, share)) + 1
        return needed if needed <= lesions else None
    on_average = (lesions + 1) * share
    if on_average <= lesions:
        return on_average
    more_often_than_not = 1.0 - share**lesions >= 0.5
    return lesions if more_often_than_not else None
