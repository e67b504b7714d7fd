"""Asymmetry and border of a lesion, measured on its outline: no labels.

Both follow the ABCD rule (Stolz 1994): asymmetry counts the axes, of two at right angles, over
which the halves differ; the border counts, of eight segments, those in which the pigment stops
abruptly. The rule leaves the limits to the eye. Ours are below, set on drawn shapes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

UNLIKE = 0.1
"""Share of the lesion that falls outside it when folded over an axis, from which on the halves
differ."""

SEGMENTS = 8
"""Into how many the border is divided."""

NARROW, WIDE = 0.05, 0.25
"""Widths of the band in which an abrupt border changes, and of that in which any does, as shares of
the diameter of a disc of the same area."""

ABRUPT = 0.7
"""Share of the whole change that must lie within the narrow band."""

FAINTEST = 0.04
"""Change of lightness, in [0, 1], below which there is no border to speak of."""

CUT = 0.1
"""Share of the outline on the edge of the picture from which on a part of the lesion is missing."""


def is_whole(lesion: BoolArray) -> bool:
    """Say whether a lesion ``(S, S)`` lies within the picture, so that its shape is known."""
    if not lesion.any():
        return False
    rim = lesion & ~_shrunk(lesion)
    edge = np.ones_like(lesion)
    edge[1:-1, 1:-1] = False
    return float((rim & edge).sum()) < CUT * float(rim.sum())


def asymmetry(lesion: BoolArray) -> tuple[float, float]:
    """Fold a lesion over its two principal axes.

    Args:
        lesion: ``(S, S)`` bool, not empty.

    Returns:
        For the longer and the shorter axis the share of the lesion, in [0, 1], that falls outside
        it when mirrored at the axis through its middle.
    """
    rows, columns = np.nonzero(lesion)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    middle = points.mean(axis=0)
    spread = points - middle
    _, axes = np.linalg.eigh(spread.T @ spread)
    found = []
    for axis in (axes[:, 1], axes[:, 0]):
        along = spread @ axis
        mirrored = np.rint(2 * along[:, None] * axis - spread + middle).astype(np.int64)
        height, width = lesion.shape
        inside = (mirrored >= 0).all(axis=1) & (mirrored < (width, height)).all(axis=1)
        hit = np.zeros(len(points), dtype=bool)
        hit[inside] = lesion[mirrored[inside, 1], mirrored[inside, 0]]
        found.append(float(1 - hit.mean()))
    return found[0], found[1]


def asymmetric_axes(lesion: BoolArray) -> int:
    """Count the axes over which the halves of a lesion differ: 0, 1 or 2."""
    return sum(share > UNLIKE for share in asymmetry(lesion))


def abrupt_segments(pixels: npt.NDArray[np.floating], lesion: BoolArray) -> int:
    """Count the segments of the border in which the pigment stops abruptly.

    Args:
        pixels: ``(S, S, 3)`` sRGB in [0, 1].
        lesion: ``(S, S)`` bool, not empty.

    Returns:
        0 to `SEGMENTS`.
    """
    from scipy.ndimage import distance_transform_edt

    lightness = np.asarray(pixels, dtype=np.float64).mean(axis=2)
    diameter = 2 * float(np.sqrt(lesion.sum() / np.pi))
    # how far outside the outline each pixel is; negative within
    signed = distance_transform_edt(~lesion) - distance_transform_edt(lesion)
    rows, columns = np.indices(lesion.shape)
    middle_row, middle_column = (places.mean() for places in np.nonzero(lesion))
    angle = np.arctan2(rows - middle_row, columns - middle_column) + np.pi
    segment = np.minimum((angle / (2 * np.pi) * SEGMENTS).astype(np.int64), SEGMENTS - 1)
    reach = int(np.ceil(WIDE * diameter / 2))
    step = np.rint(signed).astype(np.int64) + reach
    near = (step >= 0) & (step <= 2 * reach)
    place = segment[near] * (2 * reach + 1) + step[near]
    cells = SEGMENTS * (2 * reach + 1)
    total = np.bincount(place, weights=lightness[near], minlength=cells)
    count = np.bincount(place, minlength=cells)
    levels = np.divide(total, count, out=np.full(cells, np.nan), where=count >= 3)
    narrow = max(NARROW * diameter, 2.0)
    return sum(_is_abrupt(own, narrow) for own in levels.reshape(SEGMENTS, -1))


def _is_abrupt(profile: FloatArray, narrow: float) -> bool:
    """Say whether most of the change across a border lies within a narrow band.

    The band may lie a little off the outline, which is drawn no finer than the maps it comes from.

    Args:
        profile: ``(2 R + 1,)`` mean lightness from R pixels within the outline to R outside it; NaN
            where there are too few.
        narrow: Width of the band, in pixels.
    """
    steps, known = np.arange(len(profile)), np.isfinite(profile)
    if known.sum() < 4:
        return False
    profile = np.interp(steps, steps[known], profile[known])
    tail = max(1, round(0.15 * len(steps)))
    whole = float(profile[-tail:].mean() - profile[:tail].mean())
    if whole < FAINTEST:
        return False
    width = max(1, round(narrow))
    steepest = float((profile[width:] - profile[:-width]).max())
    return steepest >= ABRUPT * whole


def _shrunk(lesion: BoolArray) -> BoolArray:
    from scipy.ndimage import binary_erosion

    found: BoolArray = binary_erosion(lesion)
    return found
