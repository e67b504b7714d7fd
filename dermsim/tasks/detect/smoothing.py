"""Means, blurs and connected parts of small pictures, with NumPy alone.

They give what `scipy.ndimage` gives. A light installation has no SciPy: it takes a quarter of the
room that all of the rest takes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def box_mean(picture: FloatArray) -> FloatArray:
    """Average each pixel of ``(H, W)`` with its eight neighbours; borders are mirrored."""
    return _along_both(picture, np.full(3, 1 / 3))


def gaussian_blur(picture: FloatArray, sigma: float) -> FloatArray:
    """Blur ``(H, W)`` by a Gaussian, cut off at four standard deviations; borders are mirrored."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return _along_both(picture, weights / weights.sum())


def _along_both(picture: FloatArray, weights: FloatArray) -> FloatArray:
    radius = len(weights) // 2
    for _ in range(2):  # the rows, then, turned, the columns
        padded = np.pad(picture, ((radius, radius), (0, 0)), mode="symmetric")
        shifted = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=0)
        picture = (shifted @ weights).T
    return picture


def largest_part(mask: npt.NDArray[np.bool_]) -> int:
    """Return how many pixels the largest part of ``(H, W)`` has whose pixels touch by their sides.

    Every pixel takes the highest number among its neighbours' and its own until none changes.
    """
    own = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(own, 1)
        beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        found = np.where(mask, np.maximum.reduce([own, *beside]), 0)
        if np.array_equal(found, own):
            break
        own = found
    return int(np.bincount(own[mask]).max()) if mask.any() else 0
