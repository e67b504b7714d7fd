"""The lesion and the regions within it, cut out of maps of log-odds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SMALLEST = 0.005
"""Share of the square that a lesion has at least; less is no outline."""

CELLS = 3
"""Into how many rows and columns the box around a lesion is divided to say where something is."""

PLACES = (
    ("upper_left", "upper", "upper_right"),
    ("left", "centre", "right"),
    ("lower_left", "lower", "lower_right"),
)
"""What the ninths of the box are called, from above."""

THROUGHOUT = "throughout"
"""Where a region is that has more than `MOST` of the lesion."""

MOST = 0.6
"""Share of the lesion above which a region is throughout it."""

PLACE_NAMES = (*(name for row in PLACES for name in row), THROUGHOUT)
"""All words for where a region is."""


def lesion_of(log_odds: npt.NDArray[np.floating]) -> BoolArray:
    """Return the outline of the lesion: the largest part above even odds, its holes filled.

    Args:
        log_odds: ``(h, w)``.

    Returns:
        ``(h, w)`` bool; nothing at all where no part is as large as `SMALLEST`.
    """
    from scipy.ndimage import binary_fill_holes, label

    parts, count = label(np.asarray(log_odds) > 0)
    if count == 0:
        return np.zeros(parts.shape, dtype=bool)
    sizes = np.bincount(parts.ravel())[1:]
    found: BoolArray = binary_fill_holes(parts == 1 + int(sizes.argmax()))
    return found if found.mean() >= SMALLEST else np.zeros_like(found)


def region_of(
    log_odds: npt.NDArray[np.floating], lesion: BoolArray, *, threshold: float
) -> BoolArray:
    """Return where in the lesion a concept is: what reaches a threshold, or else the best tenth.

    Args:
        log_odds: ``(h, w)`` of the concept.
        lesion: ``(h, w)`` bool.
        threshold: Log-odds from which on a cell belongs to the region.

    Returns:
        ``(h, w)`` bool, within the lesion; nothing only where the lesion is nothing.
    """
    found = lesion & (log_odds >= threshold)
    if found.any() or not lesion.any():
        return found
    return lesion & (log_odds >= np.quantile(log_odds[lesion], 0.9))


def place_of(region: BoolArray, lesion: BoolArray) -> str:
    """Say in a word where in a lesion a region is.

    Args:
        region: ``(h, w)`` bool, not empty.
        lesion: ``(h, w)`` bool.

    Returns:
        `THROUGHOUT`, or the ninth of the box around the lesion that holds the region's middle.
    """
    if (region & lesion).sum() > MOST * lesion.sum():
        return THROUGHOUT
    rows, columns = np.nonzero(lesion)
    middle = [places.mean() for places in np.nonzero(region)]
    cell = []
    for place, own in zip(middle, (rows, columns), strict=True):
        low, high = own.min(), own.max() + 1
        share = (place + 0.5 - low) / (high - low)
        cell.append(int(np.clip(share * CELLS, 0, CELLS - 1)))
    return PLACES[cell[0]][cell[1]]


def equal_regions(
    region: BoolArray, lesion: BoolArray, *, count: int, rng: np.random.Generator
) -> list[BoolArray]:
    """Draw regions of the same size elsewhere in the lesion: discs around random cells of it.

    Args:
        region: ``(h, w)`` bool within the lesion.
        lesion: ``(h, w)`` bool.
        count: How many.
        rng: Source of chance.

    Returns:
        Each ``(h, w)`` bool, with as many cells as the region.
    """
    places = np.argwhere(lesion)
    size = int(region.sum())
    found = []
    for centre in rng.integers(0, len(places), count):
        # the nearest cells of the lesion, so that size and being within hold exactly
        distance = ((places - places[centre]) ** 2).sum(axis=1)
        chosen = places[np.argsort(distance, kind="stable")[:size]]
        drawn = np.zeros_like(lesion)
        drawn[chosen[:, 0], chosen[:, 1]] = True
        found.append(drawn)
    return found


def dice(one: BoolArray, other: BoolArray) -> float:
    """Return Dice's coefficient of two regions (1945, https://doi.org/10.2307/1932409)."""
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def overlap(one: BoolArray, other: BoolArray) -> float:
    """Return the intersection over the union of two regions."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0
