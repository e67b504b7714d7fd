"""What a picture's pixels say of its light, colour, focus, and of what lies in its middle.

Nothing here was learned. The numbers are made of a small copy of the square that the encoder sees:
a fault that is not seen there is none to the encoder either.
"""

from __future__ import annotations

import functools
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dermsim.tasks.detect.smoothing import box_mean, gaussian_blur, largest_part

FloatArray = npt.NDArray[np.float64]

SIDE = 96
"""Pixels along each side of the copy."""

_COARSE = 24
_RINGS = (0.0, 0.25, 0.45, 0.65, 0.85, 1.1, 1.5)
_LEVELS = (0.04, 0.08, 0.14, 0.22, 0.35)
_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def pixel_statistics(pictures: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Describe pictures by numbers.

    Args:
        pictures: ``(N, SIDE, SIDE, 3)`` RGB in [0, 1].

    Returns:
        ``(N, K)`` float32.
    """
    return np.stack([_describe(np.asarray(picture, np.float64)) for picture in pictures]).astype(
        np.float32
    )


def _describe(picture: FloatArray) -> FloatArray:
    colours = np.ascontiguousarray(np.moveaxis(picture, -1, 0))  # sums over pixels are faster so
    channels = _opponent(colours)
    coarse = np.moveaxis(_pooled(channels, SIDE // _COARSE), 0, -1)
    return np.concatenate(
        [_levels(colours, channels), _rings(coarse), _lesion(coarse), _sharpness(channels[0])]
    )


def _opponent(colours: FloatArray) -> FloatArray:
    """Return ``(3, H, W)`` lightness, red against green, and yellow against blue."""
    red, green, blue = colours
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([light, red - green, (red + green) / 2 - blue])


def _levels(colours: FloatArray, channels: FloatArray) -> FloatArray:
    """Return how light and colour are spread over the picture."""
    light = channels[0]
    least, most = colours.min(axis=0), colours.max(axis=0)
    colour = (most - least).mean()
    shares = np.quantile(channels.reshape(3, -1), _SHARES, axis=1).ravel()
    spread = channels.reshape(3, -1).std(axis=1)
    extremes = [(light < 0.06).mean(), (light < 0.2).mean(), (least > 0.97).mean()]
    clipped = (most > 0.99).mean()
    tone = [clipped, colour, np.log(colour + 1e-3)]
    return np.concatenate([shares, extremes, tone, spread, np.log(spread + 1e-3)])


def _rings(coarse: FloatArray) -> FloatArray:
    """Return light and colour from the middle outwards, beside those of the whole."""
    radius = np.hypot(*_places(len(coarse)))
    whole = np.median(coarse.reshape(-1, 3), axis=0)
    rings = [
        coarse[(radius >= low) & (radius < high)].mean(axis=0) - whole
        for low, high in pairwise(_RINGS)
    ]
    turned = coarse.swapaxes(0, 1)
    edges = np.stack([coarse[:3], coarse[-3:], turned[:3], turned[-3:]])
    sides = edges.mean(axis=(1, 2))
    return np.concatenate([np.ravel(rings), sides.std(axis=0), np.ptp(sides, axis=0)])


@functools.cache
def _places(side: int) -> FloatArray:
    """Return ``(2, S, S)``, how far each pixel lies below and right of the middle, in [-1, 1]."""
    return np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]


def _lesion(coarse: FloatArray) -> FloatArray:
    """Return how much of the picture differs from its skin, by how much, and where that lies.

    Slow changes of light are taken off first; a dermatoscope's black frame counts as no lesion.
    """
    side = len(coarse)
    y, x = _places(side)
    frame = (coarse[..., 0] < 0.1) & (np.hypot(x, y) > 0.75)
    seen = ~frame
    if seen.sum() < side:
        return np.zeros(3 + 2 * len(_LEVELS) + 11)
    flat = _flattened(coarse, x, y, seen)
    spread = flat[seen].std(axis=0)
    distance = np.where(seen, np.linalg.norm(flat * (1.0, 1.5, 1.0), axis=2), 0.0)
    distance = gaussian_blur(distance, 0.7)
    areas = [(distance > level).mean() for level in _LEVELS]
    rim = np.maximum(abs(x), abs(y)) > 0.8
    at_rim = [(distance[rim] > level).mean() for level in _LEVELS]
    weight = np.maximum(distance - np.quantile(distance, 0.5), 0)
    total = weight.sum() + 1e-6
    middle = (weight * x).sum() / total, (weight * y).sum() / total
    far = float(np.hypot(*middle))
    width = float(np.sqrt((weight * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2)).sum() / total))
    peak = np.unravel_index(int(distance.argmax()), distance.shape)
    place = max(abs(x[peak]), abs(y[peak]))
    quantiles = np.quantile(distance[seen], [0.5, 0.8, 0.9, 0.95, 0.99])
    blob = _largest(distance > 0.5 * distance.max())
    more = [far, width, place, float(np.log(distance.max() + 1e-3)), blob, float(frame.mean())]
    return np.concatenate([spread, areas, at_rim, quantiles, more])


def _flattened(
    coarse: FloatArray, x: FloatArray, y: FloatArray, seen: npt.NDArray[np.bool_]
) -> FloatArray:
    """Take off the plane that fits most of the picture, fitted twice: to all, then to its skin."""
    terms = np.stack([np.ones_like(x), x, y], axis=-1)
    kept = seen
    for _ in range(3):
        own = terms[kept]
        # a little of the identity, for pixels that lie on one line
        weights = np.linalg.solve(own.T @ own + 1e-9 * np.eye(3), own.T @ coarse[kept])
        rest = coarse - terms @ weights
        distance = np.linalg.norm(rest, axis=2)
        kept = seen & (distance <= np.quantile(distance[seen], 0.6))
    return rest


def _largest(mask: npt.NDArray[np.bool_]) -> float:
    """Return the share of a picture that its largest connected part covers."""
    return largest_part(mask) / mask.size


def _sharpness(light: FloatArray) -> FloatArray:
    """Return the logarithm of how strong detail is at four scales, and how it falls with them."""
    detail = []
    for _ in range(4):
        fine = light - box_mean(light)
        detail += [np.log(fine.std() + 1e-4), np.log(np.quantile(abs(fine), 0.99) + 1e-4)]
        light = _pooled(light[None], 2)[0]
    return np.concatenate([detail, np.diff(detail[::2])])


def _pooled(channels: FloatArray, factor: int) -> FloatArray:
    """Average ``(C, S, S)`` over squares of `factor` pixels."""
    side = channels.shape[-1] // factor
    cut = channels[:, : side * factor, : side * factor]
    return cut.reshape(len(cut), side, factor, side, factor).mean(axis=(2, 4))
