"""How well maps agree with outlines: one number for each image and measure.

A map without any evidence points nowhere, and scores 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsim.core.metrics import FloatArray, IntArray, macro_mean
from dermsim.evaluation.explanations.baselines import Maps, Outline

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Shares of its peak at which a map may be cut to a region."""


def pointing(maps: Maps, outlines: Outline) -> FloatArray:
    """The pointing game: whether the peak lies inside (Zhang 2018, arxiv.org/abs/1608.00507).

    Args:
        maps: ``(N, S, S)``.
        outlines: ``(N, S, S)`` bool.

    Returns:
        ``(N,)`` in [0, 1]: of places that share the peak, the share that lies inside.
    """
    peaks = maps.max(axis=(1, 2), keepdims=True)
    at_peak = (maps == peaks) & (peaks > 0)
    return _share((at_peak & outlines).sum(axis=(1, 2)), at_peak.sum(axis=(1, 2)))


def energy(maps: Maps, outlines: Outline) -> FloatArray:
    """The share of a map that lies inside (Wang 2020, arxiv.org/abs/1910.01279, section 4.2).

    Args:
        maps: ``(N, S, S)``.
        outlines: ``(N, S, S)`` bool.

    Returns:
        ``(N,)`` in [0, 1].
    """
    values = np.asarray(maps, dtype=np.float64)
    return _share((values * outlines).sum(axis=(1, 2)), values.sum(axis=(1, 2)))


def overlap(maps: Maps, outlines: Outline) -> FloatArray:
    """Intersection over union of the outline and the map cut at each of `THRESHOLDS`.

    Args:
        maps: ``(N, S, S)``.
        outlines: ``(N, S, S)`` bool.

    Returns:
        ``(N, len(THRESHOLDS))`` in [0, 1].
    """
    peaks = maps.max(axis=(1, 2), keepdims=True)
    scaled = maps / np.where(peaks > 0, peaks, 1)
    found = []
    for threshold in THRESHOLDS:
        region = scaled >= threshold
        both = (region & outlines).sum(axis=(1, 2))
        either = (region | outlines).sum(axis=(1, 2))
        found.append(_share(both, either))
    return np.stack(found, axis=1)


def best_threshold(overlaps: FloatArray, labels: IntArray, *, num_classes: int) -> int:
    """Choose the threshold with the highest overlap, averaged over images and then over classes.

    Args:
        overlaps: ``(N, T)`` on validation, T the number of `THRESHOLDS`.
        labels: ``(N,)`` integers.
        num_classes: How many labels there are.

    Returns:
        Its place in `THRESHOLDS`; the lowest of equals.
    """
    means = [macro_mean(column, labels, num_classes) for column in overlaps.T]
    return int(np.argmax(means))


def _share(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> FloatArray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0, casting="unsafe")
