"""Maps made without a model: what an explanation is worth is what it adds to them.

Lesions lie in the middle of their photographs and have edges, so that a blob in the middle or a map
of edges overlaps many outlines without having understood anything.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused

Maps = npt.NDArray[np.floating]
"""``(N, S, S)``, never negative."""

Outline = npt.NDArray[np.bool_]
"""``(N, S, S)``, True where the lesion is."""

SMOOTHING = 1 / 40
"""Width of the blur of an edge map, as a share of its side: about that of a class activation map,
whose cells are far larger than a pixel."""


def lesion_spread(outlines: Outline) -> float:
    """Measure how far lesions reach from the middle of the photograph.

    Args:
        outlines: ``(N, S, S)`` bool of validation.

    Returns:
        The root mean square distance of the lesions' pixels from the middle along one axis, every
        lesion counting alike, as a share of the side: the width of the Gaussian that fits them.

    Raises:
        ValueError: If an outline is empty.
    """
    side = outlines.shape[-1]
    place = (np.arange(side) + 0.5) / side - 0.5
    distance = (place[:, None] ** 2 + place[None, :] ** 2) / 2
    areas = outlines.sum(axis=(1, 2))
    if (areas == 0).any():
        raise Refused("baselines.empty_outline", number=int(np.argmin(areas)))
    return float(np.sqrt(((outlines * distance).sum(axis=(1, 2)) / areas).mean()))


def centred_gaussian(side: int, spread: float) -> npt.NDArray[np.float32]:
    """Return a Gaussian around the middle, ``(side, side)``, its width a share of the side."""
    place = (np.arange(side) + 0.5) / side - 0.5
    distance = place[:, None] ** 2 + place[None, :] ** 2
    return np.exp(-distance / (2 * spread**2)).astype(np.float32)


def uniform(side: int) -> npt.NDArray[np.float32]:
    """Return a map that says nothing, ``(side, side)`` of ones."""
    return np.ones((side, side), dtype=np.float32)


def edges(pixels: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return how steep the brightness of each image is: Sobel's gradient, smoothed.

    Args:
        pixels: ``(N, 3, S, S)``.

    Returns:
        ``(N, S, S)``.
    """
    from scipy.ndimage import gaussian_filter, sobel

    width = SMOOTHING * pixels.shape[-1]
    steep = [np.hypot(sobel(b, axis=0), sobel(b, axis=1)) for b in pixels.mean(axis=1)]
    return np.stack([gaussian_filter(s, width) for s in steep]).astype(np.float32)
