"""Which of the six dermoscopic colours a lesion has: no labels, only its pixels and its outline.

The colours and the rule that white must be paler than the skin are those of the ABCD rule (Stolz
1994); that a colour counts from a twentieth of the lesion on is Kasmi and Mokrani's (2016,
https://doi.org/10.1049/iet-ipr.2015.0385). A pixel has the colour whose reference is nearest in
CIELAB. The references are ours: the colours as they look under a dermatoscope, on skin that is
brought to one tint first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

REFERENCES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "color_white": ((235, 225, 220),),
    "color_red": ((190, 70, 75), (150, 45, 55)),
    "color_light_brown": ((185, 130, 95), (160, 105, 75)),
    "color_dark_brown": ((115, 70, 50), (85, 52, 40)),
    "color_blue_grey": ((110, 115, 135), (80, 90, 120), (140, 145, 155)),
    "color_black": ((35, 27, 28),),
}
"""By the name of the concept, sRGB of 8 bits; several where a colour has lighter and darker."""

SKIN = (222, 176, 160)
"""The tint, not the lightness, that the skin around a lesion is brought to."""

LEAST = 0.05
"""Share of the lesion from which on a colour counts."""

PALER = 3.0
"""By how much white must be lighter than the skin, in L* of CIELAB."""

ALIKE = 9.0
"""Distance in CIELAB to the skin below which a pixel is skin and has none of the colours."""


def colour_shares(pixels: npt.NDArray[np.floating], lesion: BoolArray) -> dict[str, float]:
    """Return the share of a lesion that has each colour.

    Args:
        pixels: ``(S, S, 3)`` sRGB in [0, 1], without hairs (`smooth`).
        lesion: ``(S, S)`` bool, not empty.

    Returns:
        By the name of the concept, in [0, 1]; what looks like skin has none of them.

    Raises:
        ValueError: If the shapes do not fit or the lesion is empty.
    """
    if pixels.shape != (*lesion.shape, 3):
        raise Refused("colours.outline_shape", pixels_shape=pixels.shape, lesion_shape=lesion.shape)
    if not lesion.any():
        raise Refused("colours.no_lesion")
    own, skin = _on_one_skin(np.asarray(pixels, dtype=np.float64), lesion)
    places = to_lab(own[lesion])
    names = [name for name, colours in REFERENCES.items() for _ in colours]
    every = np.array([colour for colours in REFERENCES.values() for colour in colours])
    distance = np.linalg.norm(places[:, None] - to_lab(every / 255.0)[None], axis=2)
    if skin is not None:
        background = to_lab(skin[None])[0]
        white = np.array([name == "color_white" for name in names])
        too_dark = places[:, 0] < background[0] + PALER
        distance[np.ix_(too_dark, white)] = np.inf
        is_skin = np.linalg.norm(places - background, axis=1) < ALIKE
    else:
        is_skin = np.zeros(len(places), dtype=bool)
    nearest = np.array(names, dtype=object)[distance.argmin(axis=1)]
    return {name: float(((nearest == name) & ~is_skin).mean()) for name in REFERENCES}


def to_lab(rgb: npt.NDArray[np.floating]) -> FloatArray:
    """Convert sRGB in [0, 1], ``(..., 3)``, to CIELAB under D65 (IEC 61966-2-1, CIE 15)."""
    values = np.asarray(rgb, dtype=np.float64)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratio = linear @ to_xyz.T / to_xyz.sum(axis=1)
    bent = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = bent[..., 0], bent[..., 1], bent[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def smooth(pixels: npt.NDArray[np.floating]) -> FloatArray:
    """Take hairs and noise off: a median over five by five pixels, in 255 levels.

    Args:
        pixels: ``(S, S, 3)`` sRGB in [0, 1].
    """
    import cv2

    levels = np.ascontiguousarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    return cv2.medianBlur(levels, 5).astype(np.float64) / 255


def _on_one_skin(pixels: FloatArray, lesion: BoolArray) -> tuple[FloatArray, FloatArray | None]:
    """Take the tint of light and skin off, by the skin around the lesion.

    Lightness is kept: dark skin is not made light, nor a dark lesion.

    Returns:
        The pixels, and the skin's colour after that; None where too little skin is seen.
    """
    from scipy.ndimage import binary_dilation

    reach = max(1, round(0.03 * len(lesion)))
    skin = ~binary_dilation(lesion, iterations=reach)
    # the black rim of a dermatoscope is no skin
    skin &= pixels.mean(axis=2) > 0.15
    if skin.mean() < 0.02:
        return pixels, None
    colour = np.median(pixels[skin], axis=0)
    gain = np.array(SKIN) / 255.0 / np.maximum(colour, 1e-3)
    gain /= (gain * colour).mean() / colour.mean()
    return np.clip(pixels * gain, 0, 1), np.clip(colour * gain, 0, 1)
