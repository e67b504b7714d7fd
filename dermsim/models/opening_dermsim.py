"""Any picture that transformers may be handed, as `dermsim.DermSim` reads it.

Ships beside the weights; imports nothing of dermsim but its siblings. The `load_image` of
transformers will not do: it clips 16 bits to white and leaves the colour profile aside.
"""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from dermsim.data.arrays_dermsim import array_picture, is_array
from dermsim.data.srgb_dermsim import to_srgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What Pillow reads as dermsim does."""

_ELSEWHERE = "convert it to PNG, or read it with dermsim.data.images.read_image first"
_BITS, _PHOTOMETRIC, _COMPRESSION = 258, 262, 259
_WHITE_IS_ZERO, _YCBCR, _ICC_LAB = 0, 6, 9


def open_picture(source: Any, *, timeout: float | None = None) -> Any:
    """Open a picture without decoding or converting it.

    Args:
        source: A path, the bytes of a file, a URL, a data URL or base64 text. Anything else, such
            as a PIL image or an array, is returned as it is.
        timeout: Seconds to wait for a URL; None to wait without end.

    Returns:
        A PIL image, or what was given.

    Raises:
        FileNotFoundError: If there is no file at a path, and it is no base64 either.
        ValueError: If it is no picture, or one that only dermsim itself reads right.
    """
    if isinstance(source, bytes):
        name, data = "the image", source
    elif isinstance(source, str | Path):
        name, data = str(source)[:200], _fetched(str(source), timeout)
    else:
        return source
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        known = "JPEG, PNG, WebP, GIF, BMP or plain TIFF"
        raise ValueError(f"{name} is not a picture in {known}: {_ELSEWHERE}") from error
    if isinstance(image, TiffImagePlugin.TiffImageFile) and not _is_plain(image):
        raise ValueError(f"{name} is a TIFF of several pages or unusual colours: {_ELSEWHERE}")
    return image


def shown_picture(source: Any, *, timeout: float | None = None) -> Image.Image:
    """Show a picture as upright sRGB of 8 bits, as `dermsim.data.images.read_image` does.

    Args:
        source: What `open_picture` takes, or an array or tensor as
            `dermsim.data.arrays_dermsim.array_picture` takes it.
        timeout: As for `open_picture`.

    Raises:
        FileNotFoundError: As for `open_picture`.
        TypeError: If it is nothing that a picture can be.
        ValueError: If it cannot be read; one sentence.
    """
    opened = open_picture(source, timeout=timeout)
    if is_array(opened):
        opened = array_picture(opened, "the image")
    if not isinstance(opened, Image.Image):
        raise TypeError(
            f"cannot read an image from {type(source).__name__}: pass a PIL image, a path, a URL, "
            "bytes, or an array of pixels"
        )
    return to_srgb(opened)


def _fetched(source: str, timeout: float | None) -> bytes:
    """Return the bytes that lie at a path or URL, or that base64 text stands for."""
    if source.startswith(("http://", "https://")):
        import httpx

        answer = httpx.get(source, timeout=timeout, follow_redirects=True)
        return answer.raise_for_status().content
    try:
        if not source.startswith("data:"):
            return Path(source).read_bytes()
    except IsADirectoryError as error:
        raise ValueError(f"{source} is a folder, not an image: pass one file") from error
    except OSError as error:  # base64 is no path, or too long for one
        absent: OSError | None = error
    else:
        absent = None
    try:
        return base64.b64decode("".join(source.rpartition(",")[2].split()), validate=True)
    except binascii.Error as error:
        raise FileNotFoundError(f"no image at {source[:200]}: check the path") from absent or error


def _is_plain(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Say whether a TIFF is one page that Pillow decodes right."""
    tags = image.tag_v2
    kind = tags.get(_PHOTOMETRIC)
    return (
        image.n_frames == 1
        and max(tags.get(_BITS, (1,))) <= 8
        and kind != _ICC_LAB
        and not (kind == _WHITE_IS_ZERO and image.mode not in ("1", "L"))
        and not (kind == _YCBCR and tags.get(_COMPRESSION, 1) == 1)
    )
