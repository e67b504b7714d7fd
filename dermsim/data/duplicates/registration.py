"""Decides whether one picture is another, or a part of it, by laying one on the other.

A perceptual hash or an embedding says which pictures to compare; moles that look alike have nearly
the same of both. What only the same photograph shares is its detail. A picture is looked for in the
other at every scale and place (normalised cross-correlation of coarse copies), then aligned to a
fraction of a pixel (Evangelidis and Psarakis 2008, https://doi.org/10.1109/TPAMI.2008.113), and
detail is compared with detail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dermsim.data.duplicates.looks import SIDE, GreyArray

FloatArray = npt.NDArray[Any]

DETAIL = 0.95
"""Correlation of the detail of aligned pictures from which on they are the same photograph; see
docs/duplicates.md for how it was chosen."""

_UNLIKE = 0.6
"""Correlation of the detail of pictures with one centre below which they are not aligned: so a good
part of the moles whose hashes are alike are told apart at once."""

_COARSE_SIDE = 32
_COARSE = 0.7
"""Correlation of coarse copies below which alignment is not tried."""

_SCALES = tuple(0.95**step for step in range(19))
"""How much of the other's frame a part may have: from all of it to 0.4 of each side."""

_STRETCH, _ROTATION = 0.05, 2.0
"""How far an alignment may stretch one direction more than the other, and turn, in degrees:
pictures that are not the same align only when they are bent."""

_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
_FINEST = 64.0
"""Of the short side, the standard deviation of what is smoothed away."""

_BLACK, _WHITE, _LEAST_SHOWN = 8, 250, 0.4
"""Grey levels from which on nothing is shown, and how much of a picture must show something."""

_FLAT = 1.0
"""Standard deviation in grey levels below which a picture has nothing to be told by."""


@dataclass(frozen=True)
class Overlap:
    """How one picture lies on another.

    Attributes:
        detail: Correlation of their detail where they overlap, in [-1, 1].
        share: How much of the larger picture's area the smaller one shows, in (0, 1].
    """

    detail: float
    share: float


def overlap(one: GreyArray, other: GreyArray, *, centred: bool = False) -> Overlap | None:
    """Lay two pictures on each other.

    Args:
        one: ``(h, w)`` grey values, short side at most `SIDE`.
        other: The same of another picture; held the same way.
        centred: Whether they are thought to have their centre and short side in common, which is
            tried first.

    Returns:
        The best overlap, or None where they do not match even coarsely.
    """
    side = min(SIDE, *one.shape, *other.shape)
    pictures = [_scaled(picture, side) for picture in (one, other)]
    if min(_detail(picture, side / 16).std() for picture in pictures) < _FLAT:
        return None
    found = None
    if centred:
        start = _centred(*pictures)
        found = _lying(*start)
        if found.detail < _UNLIKE:
            return None
        if found.detail < DETAIL:
            found = _aligned(*start)
        if found.detail >= DETAIL:
            return found
    placed = _placed(*pictures)
    return found if placed is None else _aligned(*placed)


def _centred(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Put the smaller frame in the middle of the larger.

    Returns:
        The whole, the part, and the ``(2, 3)`` map from the part's pixels to the whole's.
    """
    whole, part = (one, other) if one.size >= other.size else (other, one)
    left, top = ((w - p) / 2 for w, p in zip(whole.shape[::-1], part.shape[::-1], strict=True))
    return whole, part, np.array([[1, 0, left], [0, 1, top]], dtype=np.float32)


def _placed(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Put one picture where it fits best in the other, whichever is the part.

    Returns:
        As `_centred`; None where neither fits.
    """
    side = min(one.shape)
    coarse = [_scaled(picture, min(_COARSE_SIDE, side)) for picture in (one, other)]
    ways = (
        (one, other, *_place(coarse[0], coarse[1])),
        (other, one, *_place(coarse[1], coarse[0])),
    )
    whole, part, correlation, scale, left, top = max(ways, key=lambda way: way[2])
    if correlation < _COARSE:
        return None
    step = side / min(_COARSE_SIDE, side)
    warp = np.array([[scale, 0, left * step], [0, scale, top * step]], dtype=np.float32)
    return whole, part, warp


def squared(picture: GreyArray) -> GreyArray:
    """Squeeze a picture to a square, as data sets do that want all of one size."""
    side = min(SIDE, *picture.shape)
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _scaled(picture: FloatArray, side: float) -> FloatArray:
    """Bring the short side to so many pixels."""
    height, width = picture.shape
    factor = side / min(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _detail(picture: FloatArray, sigma: float) -> FloatArray:
    """Take away the slow changes, which all moles on skin share."""
    return picture - cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def _place(whole: FloatArray, part: FloatArray) -> tuple[float, float, int, int]:
    """Find where in a picture another fits best.

    Returns:
        Correlation, scale of the part, and its left and top in the whole.
    """
    sigma = min(whole.shape) / 8
    height, width = whole.shape
    smooth = _detail(whole, sigma)
    best = (-1.0, 1.0, 0, 0)
    for scale in _SCALES:
        h, w = round(part.shape[0] * scale), round(part.shape[1] * scale)
        if h > height + 1 or w > width + 1:  # one pixel too many is rounding
            continue
        size = (min(w, width), min(h, height))
        small = _detail(cv2.resize(part, size, interpolation=cv2.INTER_AREA), sigma)
        fits = cv2.matchTemplate(smooth, small, cv2.TM_CCOEFF_NORMED)
        at = int(fits.argmax())
        if np.isfinite(fits.flat[at]) and fits.flat[at] > best[0]:
            top, left = divmod(at, fits.shape[1])
            best = (float(fits.flat[at]), size[0] / part.shape[1], left, top)
    return best


def _aligned(whole: FloatArray, part: FloatArray, start: FloatArray) -> Overlap:
    """Align a part with the whole, and compare their detail before and after."""
    warps = [start]
    try:
        _, warp = cv2.findTransformECC(  # type: ignore[call-overload]  # None is no mask
            part, whole, start.copy(), cv2.MOTION_AFFINE, _STEPS, None, 3
        )
        warps += [warp] if _is_straight(warp) else []
    except cv2.error:  # it does not converge
        pass
    return max((_lying(whole, part, warp) for warp in warps), key=lambda found: found.detail)


def _lying(whole: FloatArray, part: FloatArray, warp: FloatArray) -> Overlap:
    """Compare the detail of a part with that of the whole where a map says that it lies."""
    area = float(abs(np.linalg.det(warp[:, :2])))
    detail = _detail_in_common(whole, part, warp)
    return Overlap(detail, min(area * part.size / whole.size, 1.0))


def _is_straight(warp: FloatArray) -> bool:
    """Say whether a map scales all directions alike and hardly turns."""
    u, stretch, v = np.linalg.svd(warp[:, :2])
    rotation = u @ v
    angle = abs(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0])))
    return bool(stretch[0] <= stretch[1] * (1 + _STRETCH) and angle <= _ROTATION)


def _detail_in_common(whole: FloatArray, part: FloatArray, warp: FloatArray) -> float:
    """Cut the part out of the whole, and correlate what is left without slow changes."""
    cut = cv2.warpAffine(
        whole,
        warp,
        part.shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    side = min(part.shape)
    shown = _shown(cut, side) & _shown(part, side)
    if shown.mean() < _LEAST_SHOWN:
        return -1.0
    details = (_band(picture, side)[shown] for picture in (cut, part))
    return _correlation(*details)


def _band(picture: FloatArray, side: int) -> FloatArray:
    """Keep the detail that all moles do not share, but not so fine as what compression changes."""
    smooth = cv2.GaussianBlur(picture, (0, 0), side / _FINEST, borderType=cv2.BORDER_REFLECT)
    return _detail(smooth, side / 16)


def _shown(picture: FloatArray, side: int) -> npt.NDArray[np.bool_]:
    """Say where skin is: what is black or white is the frame of a lens, or was written over."""
    blank = ((picture <= _BLACK) | (picture >= _WHITE)).astype(np.uint8)
    kernel = np.ones((round(side / 16) * 2 + 1,) * 2, np.uint8)
    solid = cv2.morphologyEx(blank, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return cv2.dilate(solid, kernel) == 0


def _correlation(one: FloatArray, other: FloatArray) -> float:
    a, b = one - one.mean(), other - other.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length > 0 else 0.0
