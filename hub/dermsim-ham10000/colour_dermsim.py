"""Which colours a picture's numbers mean, and the same colours as sRGB.

Ships beside the weights; it needs Pillow and NumPy and imports nothing of dermsim but its siblings.

What a picture says of its colours is believed in this order: the chunk cICP of a PNG, its ICC
profile, the PNG chunks sRGB, then gAMA and cHRM (PNG, third edition, section 4.3), and the colour
space in EXIF, by which cameras mean Adobe RGB. A picture that says nothing is sRGB. Colours are
converted as Photoshop and most viewers do it: relative to the white, with black made black
(relative colorimetric, black point compensation). What does not fit, such as the profile of a
printer in an RGB picture, or a damaged one, is left aside with a warning.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms

from .depth_dermsim import PixelsError
from .icc_dermsim import (
    ADOBE_RGB,
    ADOBE_RGB_GAMMA,
    BT709,
    D65,
    SRGB_CURVE,
    Chromaticity,
    Curve,
    Primaries,
    grey_profile,
    rgb_profile,
)

_PNG_GAMMA = 1 / 2.2
"""What a PNG says for want of a better word when it means sRGB's curve."""

_SAME_GAMMA = 0.05  # a share: no eye sees the difference, and libpng converts nothing for it
_SAME_CHROMATICITY = 0.002

_EXIF_IFD, _INTEROP_IFD, _COLOR_SPACE, _INTEROP_INDEX = 0x8769, 0xA005, 0xA001, 1

_PRIMARIES: dict[int, tuple[Primaries, Chromaticity]] = {
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.310, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: (((0.63, 0.34), (0.31, 0.595), (0.155, 0.07)), D65),
    7: (((0.63, 0.34), (0.31, 0.595), (0.155, 0.07)), D65),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: (((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), (0.314, 0.351)),
    12: (((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65),
}
"""Colours and white by their numbers in ITU-T H.273, table 2; 1 and 2 (unsaid) are sRGB's."""

_CURVES: dict[int, Curve] = {4: 2.2, 5: 2.8, 8: 1.0}
"""From number to light, by H.273's table 3. Those of television (1, 6, 14, 15) are shown with
sRGB's, as browsers do, because still pictures bear them by default."""

_LIKE_SRGB = (1, 2, 6, 13, 14, 15)
_HIGH_RANGE = {16: "PQ", 18: "HLG"}

_SPACES = {"RGB": ("RGB ",), "L": ("GRAY", "RGB "), "CMYK": ("CMYK",), "LAB": ("Lab ",)}
"""Colour spaces of the profiles that pictures of a mode may have. A grey with an RGB profile is
red, green and blue in equal parts: what was made of a colour photograph often keeps its profile."""


def profile_of(
    image: Image.Image, exif: Image.Exif, name: str, *, cicp: Sequence[int] | None = None
) -> bytes | None:
    """Say which colours a picture's numbers mean.

    Args:
        image: A decoded picture.
        exif: Its EXIF data.
        name: What messages call it.
        cicp: What `png_cicp` found, where ``image.info`` does not hold it.

    Returns:
        An ICC profile, or None for sRGB.

    Raises:
        ValueError: If the numbers mean more light than a screen can show (PQ, HLG).
    """
    info = image.info
    if numbers := info.get("cicp", cicp):
        return _by_numbers(numbers, name)
    if profile := info.get("icc_profile"):
        return profile
    if "srgb" in info:
        return None
    if "gamma" in info or "chromaticity" in info:
        return _by_gamma(image, name)
    return rgb_profile(ADOBE_RGB, D65, ADOBE_RGB_GAMMA) if _is_adobe_rgb(exif) else None


def converter(profile: bytes | None, mode: str, name: str) -> Callable[[Image.Image], Image.Image]:
    """Return what shows colours as sRGB.

    Args:
        profile: What `profile_of` says.
        mode: RGB, L, CMYK or LAB, of the pictures that are to be shown.
        name: What messages call them.

    Returns:
        A picture of that mode -> the picture in mode RGB; the same object if it is that already
        and nothing changes.
    """
    if profile is not None:
        try:
            transform = _transform(profile, mode)
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            warnings.warn(
                f"{name} has a colour profile that does not fit it or is damaged ({reason}): its "
                "colours are taken for sRGB",
                stacklevel=3,
            )
        else:
            return as_rgb if transform is None else partial(_apply, transform=transform)
    if mode == "LAB":
        return partial(_apply, transform=_lab_transform())
    return as_rgb


def as_rgb(image: Image.Image) -> Image.Image:
    """Show a picture that says nothing of its colours, or nothing new; RGB is returned itself."""
    return image if image.mode == "RGB" else image.convert("RGB")


def png_cicp(stream: IO[bytes]) -> tuple[int, ...] | None:
    """Read what the chunk cICP of a PNG says, which Pillow passes over.

    Args:
        stream: The file, anywhere; it is left where it was.

    Returns:
        Numbers of primaries, transfer and matrix of ITU-T H.273, and whether the range is full;
        None where there is no such chunk.
    """
    before = stream.tell()
    try:
        stream.seek(8)
        while len(header := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", header)
            if kind == b"cICP" and length == 4:
                return tuple(stream.read(4))
            if kind in (b"IDAT", b"IEND"):
                return None
            stream.seek(length + 4, io.SEEK_CUR)
        return None
    finally:
        stream.seek(before)


def _by_numbers(cicp: Sequence[int], name: str) -> bytes | None:
    """Make the profile of a colour space that H.273 has a number for."""
    primaries, transfer = cicp[0], cicp[1]
    if transfer in _HIGH_RANGE:
        sentence = (
            "{name} has a high dynamic range ({transfer}): save it as an ordinary picture, in sRGB"
        )
        raise PixelsError("high_range", sentence, name=name, transfer=_HIGH_RANGE[transfer])
    known = primaries in (1, 2) or primaries in _PRIMARIES
    if not known or not (transfer in _LIKE_SRGB or transfer in _CURVES):
        warnings.warn(
            f"{name} has colours of an unknown kind (cICP {primaries}, {transfer}): they are taken "
            "for sRGB",
            stacklevel=4,
        )
        return None
    colors, white = _PRIMARIES.get(primaries, (BT709, D65))
    curve = _CURVES.get(transfer, SRGB_CURVE)
    return None if (colors, curve) == (BT709, SRGB_CURVE) else rgb_profile(colors, white, curve)


def _by_gamma(image: Image.Image, name: str) -> bytes | None:
    """Make the profile of what the PNG chunks gAMA and cHRM say."""
    gamma = image.info.get("gamma", _PNG_GAMMA)
    found = image.info.get("chromaticity", ())
    pairs = [(found[i], found[i + 1]) for i in range(0, len(found) - 1, 2)]
    white, primaries = (pairs[0], tuple(pairs[1:4])) if len(pairs) == 4 else (D65, BT709)
    offsets = np.subtract([white, *primaries], [D65, *BT709])
    usual = bool(np.abs(offsets).max() < _SAME_CHROMATICITY)
    if abs(gamma / _PNG_GAMMA - 1) < _SAME_GAMMA and usual:
        return None
    try:
        if not 0.1 <= gamma <= 10:
            raise ValueError(f"there is no gamma of {gamma:g}")
        if image.mode in ("1", "L", "LA", "I", "I;16"):
            return grey_profile(1 / gamma)
        return rgb_profile(primaries, white, 1 / gamma)
    except ValueError as error:
        warnings.warn(
            f"{name} describes its colours wrongly ({error}): they are taken for sRGB",
            stacklevel=4,
        )
        return None


def _is_adobe_rgb(exif: Image.Exif) -> bool:
    """Say whether EXIF says Adobe RGB, by DCF's index R03 or the number 2 of some cameras."""
    try:
        if exif.get_ifd(_EXIF_IFD).get(_COLOR_SPACE) == 2:
            return True
        return str(exif.get_ifd(_INTEROP_IFD).get(_INTEROP_INDEX, "")).strip("\0 ") == "R03"
    except KeyError:  # there is no such directory
        return False
    except Exception as error:  # EXIF of hostile or careless programs; it is left aside
        logging.getLogger(__name__).debug("EXIF cannot be read: %s", type(error).__name__)
        return False


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Make the way from a profile's colours to sRGB; None where nothing would change.

    Raises:
        ValueError: If the profile is not one for pictures of this mode.
        ImageCms.PyCMSError: If it is damaged.
    """
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = opened.profile.xcolor_space
    if space not in _SPACES.get(mode, ()):
        raise ValueError(f"it is one for {space.strip() or 'nothing'}, and the picture is {mode}")
    given = "RGB" if (mode, space) == ("L", "RGB ") else mode
    transform = _to_srgb(opened, given)
    if given in ("RGB", "L"):
        probe = _probe(given)
        before, after = (
            np.asarray(image, dtype=np.int16)
            for image in (probe.convert("RGB"), transform.apply(probe))
        )
        if np.abs(before - after).max() <= 1:
            return None
    return transform


def _to_srgb(profile: Any, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return _to_srgb(ImageCms.createProfile("LAB"), "LAB")


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    given = transform.input_mode
    return transform.apply(image if image.mode == given else image.convert(given))


@lru_cache(maxsize=2)
def _probe(mode: str) -> Image.Image:
    """Return every grey, or 4,913 colours all over the cube: what leaves them changes nothing."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(cube.reshape(17, 289, 3))
