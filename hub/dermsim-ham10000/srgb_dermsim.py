"""What a careful viewer shows of a picture, as upright sRGB of 8 bits.

Ships beside the weights, so that the image processor shows the encoder what `read_image` does; it
needs Pillow and NumPy and imports nothing of dermsim but its siblings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

from .colour_dermsim import as_rgb, converter, png_cicp, profile_of
from .depth_dermsim import PixelsError, deep_png, float_to_8_bits, to_8_bits

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation upright."""

_STRIP = 2**20
"""Pixels that are converted at a time: copies of a whole picture would come to several times it."""


def to_srgb(
    image: Image.Image, name: str = "the image", *, at_least: int | None = None
) -> Image.Image:
    """Show a picture as upright sRGB of 8 bits.

    In this order: it is decoded, more than 8 bits are scaled to 8, colours become sRGB
    (`dermsim.data.colour_dermsim` says by which profile), transparency is put on white, and the
    picture is turned as EXIF says. What comes out says nothing of profile or orientation any more,
    so doing it again changes nothing.

    Args:
        image: Of any mode, decoded or just opened; it is not changed, except that it is decoded.
        name: What messages call it.
        at_least: If given, the mean of squares of 2, 3 or more pixels may be returned in their
            place, as long as both sides have this many pixels left.

    Returns:
        A picture in mode RGB; the given one if it is that already.

    Raises:
        ValueError: If it cannot be decoded or its numbers have no known range; one sentence.
    """
    decoded, cicp = _decode(image, name)
    exif = _exif(decoded)
    profile = profile_of(decoded, exif, name, cicp=cicp)
    factor = 1 if at_least is None else max(1, min(decoded.size) // max(1, at_least))
    if decoded.mode == "RGB" and "transparency" not in decoded.info:
        show = converter(profile, "RGB", name)
    else:
        decoded = _eight_bits(decoded, name)
        show = _flattening(decoded, profile, name)
    if decoded.mode == "RGB" and show is as_rgb:
        shown = decoded.reduce(factor) if factor > 1 else decoded
    else:
        shown = _in_strips(decoded, show, factor)
    if (turn := _UPRIGHT.get(exif.get(_ORIENTATION, 1))) is not None:
        shown = shown.transpose(turn)
    if shown is not image and shown.info:
        shown.info = {}
    return shown


def _decode(image: Image.Image, name: str) -> tuple[Image.Image, tuple[int, ...] | None]:
    """Decode a picture, and find what only the file of a PNG says of its colours."""
    cicp = None
    try:
        if isinstance(image, PngImagePlugin.PngImageFile) and image.fp:
            cicp = png_cicp(image.fp)
        if (deep := deep_png(image, name)) is not None:
            return deep, cicp
        image.load()
    except Exception as error:  # decoders raise anything on hostile bytes; it all means unreadable
        sentence = "{name} is truncated or damaged: {error}"
        raise PixelsError("truncated", sentence, name=name, error=str(error)) from error
    return image, cicp


def _exif(image: Image.Image) -> Image.Exif:
    """Return what EXIF says; nothing if it is damaged, as viewers show such a picture, too."""
    try:
        exif = image.getexif()
        exif.get(_ORIENTATION)
        return exif
    except Exception as error:  # of hostile or careless programs
        logging.getLogger(__name__).debug("EXIF cannot be read: %s", type(error).__name__)
        return Image.Exif()


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Bring what has more than 8 bits per number to mode L."""
    if image.mode.startswith("I"):
        return Image.fromarray(to_8_bits(np.asarray(image), name))
    if image.mode == "F":
        return Image.fromarray(float_to_8_bits(np.asarray(image), name))
    return image


def _in_strips(
    image: Image.Image, show: Callable[[Image.Image], Image.Image], factor: int
) -> Image.Image:
    """Convert a picture a strip at a time, and shrink it by a whole factor on the way."""
    width, height = image.size
    rows = max(1, _STRIP // width // factor) * factor
    found = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = show(image.crop((0, top, width, min(top + rows, height))))
        found.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return found


def _flattening(
    image: Image.Image, profile: bytes | None, name: str
) -> Callable[[Image.Image], Image.Image]:
    """Return what converts colours of any mode, and puts what is transparent on white."""
    if not image.has_transparency_data:
        plain = _plain_mode(image.crop((0, 0, 1, 1)), name).mode
        convert = converter(profile, plain, name)
        return lambda strip: convert(_plain_mode(strip, name))
    grey = image.mode in ("1", "L", "LA", "La")
    convert = converter(profile, "L" if grey else "RGB", name)

    def flatten(strip: Image.Image) -> Image.Image:
        layered = strip.convert("LA" if grey else "RGBA")
        color = convert(layered.getchannel("L") if grey else layered.convert("RGB"))
        flat = Image.new("RGB", strip.size, "white")
        flat.paste(color, mask=layered.getchannel("A"))
        return flat

    return flatten


def _plain_mode(image: Image.Image, name: str) -> Image.Image:
    """Bring palettes, black and white and the like to one of the modes that profiles are for."""
    if image.mode in ("RGB", "L", "CMYK", "LAB"):
        return image
    try:
        return image.convert("L" if image.mode == "1" else "RGB")
    except ValueError as error:
        sentence = "{name} has colour mode {mode}: save it as RGB"
        raise PixelsError("mode", sentence, name=name, mode=image.mode) from error
