"""How alike maps are: those of several methods, those of a turned photograph, those of no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.metrics import FloatArray
from dermsim.evaluation.explanations.baselines import Maps

CELLS = 16
"""Places along each side at which two maps are compared: about as many as maps can tell apart."""


def correlation(one: Maps, other: Maps) -> FloatArray:
    """Rank correlation (Spearman) of maps over the disc that a turn leaves in the picture.

    Args:
        one: ``(N, S, S)``.
        other: ``(N, S, S)``.

    Returns:
        ``(N,)`` in [-1, 1]. A flat map has no ranks: it is like another flat one and no other.
    """
    a, b = (_ranks(_cells(maps)) for maps in (one, other))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    # equal values share a rank, and ranks are exact: only a flat map has no length
    flat = ((a == 0).all(axis=1) & (b == 0).all(axis=1)).astype(np.float64)
    return np.divide((a * b).sum(axis=1), lengths, out=flat, where=lengths > 0)


@dataclass(frozen=True)
class Turn:
    """A way of photographing the same skin from another side.

    Attributes:
        name: What it is called.
        there: Turns images ``(..., S, S)``.
        back: Brings maps of turned images back to their place.
    """

    name: str
    there: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]
    back: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]


def _rotated(values: npt.NDArray[np.floating], degrees: float) -> npt.NDArray[np.floating]:
    from scipy.ndimage import rotate

    return rotate(values, degrees, axes=(-1, -2), reshape=False, order=1, mode="reflect")


TURNS = (
    Turn("mirrored", lambda x: x[..., ::-1], lambda x: x[..., ::-1]),
    Turn("upside down", lambda x: x[..., ::-1, :], lambda x: x[..., ::-1, :]),
    Turn(
        "quarter turn",
        lambda x: np.rot90(x, 1, axes=(-2, -1)),
        lambda x: np.rot90(x, -1, axes=(-2, -1)),
    ),
    Turn("turned by 30 degrees", lambda x: _rotated(x, 30), lambda x: _rotated(x, -30)),
)
"""How photographs are turned to see whether their maps turn along. What the last turns in from
beyond the rim is mirrored; it lies outside the disc that is compared."""


def _cells(maps: Maps) -> FloatArray:
    """Average maps over a grid and keep the places in the inscribed disc, ``(N, places)``."""
    side = maps.shape[-1]
    edges = np.linspace(0, side, CELLS + 1).round().astype(np.int64)[:-1]
    sums = np.add.reduceat(np.add.reduceat(maps.astype(np.float64), edges, axis=1), edges, axis=2)
    sizes = np.diff(np.append(edges, side)).astype(np.float64)
    grid = sums / np.outer(sizes, sizes)
    place = np.arange(CELLS) + 0.5 - CELLS / 2
    disc = place[:, None] ** 2 + place[None, :] ** 2 <= (CELLS / 2) ** 2
    return grid[:, disc]


def _ranks(values: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    # what differs by rounding alone is equal
    return rankdata(values.round(6), axis=1)
