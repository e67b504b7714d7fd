"""Reads any photograph a user may hand over, or refuses it with one sentence.

The first step of every flow. The size is checked from the header before anything is decoded, so a
picture that would fill the memory never gets the chance.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from dermsim.data.folders import walk_files
from dermsim.data.formats import FORMATS
from dermsim.data.formats.registry import (
    PREFIX,
    Check,
    UnreadableError,
    recognise,
)

ImageSource = Image.Image | str | Path | bytes
"""What `read_image` accepts."""

IMAGE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dcm", ".dicom", ".dng", ".gif", ".heic", ".heif", ".j2k", ".jfif"),
        *(".jif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".jxl", ".png", ".tif", ".tiff"),
        ".webp",
    )
)
"""Lower-case file endings taken for pictures when a folder is walked; those that cannot be read are
named."""

_EXIF_ORIENTATION = 0x0112
_SIXTEEN_BIT_MAX = 65535


def read_image(
    source: ImageSource,
    *,
    max_pixels: int = 50_000_000,
    min_side: int = 16,
    at_least: tuple[int, int] | None = None,
    frame: int = 0,
) -> Image.Image:
    """Read one photograph as upright 8-bit RGB.

    EXIF orientation is applied, the first frame of an animation is taken, transparency is flattened
    on white, CMYK and palettes are converted and 16-bit greys are scaled to 8 bits. A PIL image
    passed in is never changed; if it needs no conversion it is returned itself.

    Args:
        source: A PIL image, a path, or the bytes of an encoded file.
        max_pixels: Largest width x height accepted, in pixels.
        min_side: Smallest width and height accepted, in pixels.
        at_least: If given as ``(width, height)``, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its
            size as long as the result still covers this many pixels. Several times faster.
        frame: Which picture of a file that holds several, counted from 0.

    Returns:
        An image in mode ``"RGB"``.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If the source is not a readable image or its size is out of bounds; one sentence
            naming the file and the reason.
        TypeError: If the source is none of the accepted types.
    """
    name = "the image"
    check = partial(_check_size, name=name, max_pixels=max_pixels, min_side=min_side)
    if isinstance(source, Image.Image):
        if frame:
            raise ValueError("frame is for files: use seek() of the PIL image")
        check(*source.size)
        return _to_upright_rgb(source, name)
    if isinstance(source, bytes):
        stream: IO[bytes] = BytesIO(source)
    elif isinstance(source, str | Path):
        stream = _open_file(Path(source))
        name = Path(source).name
        check = partial(check, name=name)
    else:
        raise TypeError(
            f"cannot read an image from {type(source).__name__}: pass a PIL image, a path or bytes"
        )
    with stream:
        image = _open_picture(stream, name, frame=frame, check=check)
        if at_least is not None:
            # Orientation may swap the sides, so both are kept at least as long as the longer one.
            image.draft(None, (max(at_least), max(at_least)))
        upright = _to_upright_rgb(image, name)
        # Only a plain image may outlive the stream it was read from.
        return upright.copy() if upright is image else upright


def is_image_path(path: str | Path) -> bool:
    """Tell whether a path ends like a picture (the file itself is not looked at)."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """Collect picture files from files and folders.

    Args:
        paths: Files, kept as they are whatever their ending, and folders, walked to any depth for
            files that end like a picture; links are followed, hidden files left out.

    Returns:
        The files in the order given, those of one folder sorted by path.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If a folder holds no pictures.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        if path.is_dir():
            inside = sorted(filter(is_image_path, walk_files(path)))
            if not inside:
                raise ValueError(
                    f"no pictures in the folder {path}: expected files ending in "
                    f"{', '.join(sorted(IMAGE_SUFFIXES))}"
                )
            found.extend(inside)
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"no file or folder at {path}: check the path")
    return found


def _open_file(path: Path) -> IO[bytes]:
    """Open a regular file; anything else (a folder, a pipe that would block) is refused."""
    if not path.exists():
        raise FileNotFoundError(f"no image at {path}: check the path")
    if path.is_dir():
        raise ValueError(f"{path.name} is a folder, not an image: pass one file")
    if not path.is_file():
        raise ValueError(f"{path.name} is not a regular file: pass an image file")
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"{path.name} cannot be opened: {error.strerror}") from error


def _open_picture(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Recognise the format by its first bytes and open the picture; few formats decode it yet."""
    prefix = stream.read(PREFIX)
    if not prefix:
        raise ValueError(f"{name} is empty (0 bytes): pass an image file")
    kind = recognise(prefix, FORMATS)
    if kind is None:
        expected = ", ".join(known.name for known in FORMATS)
        raise ValueError(f"{name} is not an image: expected one of {expected}")
    stream.seek(0)
    try:
        return kind.open(stream, name, frame=frame, check=check)
    except UnreadableError:
        raise
    except Exception as error:  # decoders raise anything on hostile bytes; it all means damaged
        raise ValueError(f"{name} is a damaged {kind.name} file: {error}") from error


def _check_size(width: int, height: int, *, name: str, max_pixels: int, min_side: int) -> None:
    """Refuse a picture that is too large to decode safely or too small to show a lesion."""
    if width * height > max_pixels:
        raise UnreadableError(
            f"{name} is {width} x {height} pixels, more than the {max_pixels / 1e6:g} million "
            "accepted: scale it down first"
        )
    if min(width, height) < min_side:
        raise UnreadableError(
            f"{name} is {width} x {height} pixels, too small to analyse: "
            f"at least {min_side} x {min_side} are needed"
        )


def _to_upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Decode, turn upright and convert to RGB; an image that is all that already is returned."""
    try:
        image.load()
        if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise anything on hostile bytes; it all means unreadable
        raise ValueError(f"{name} is truncated or damaged: {error}") from error
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _sixteen_bit_to_rgb(image, name)
    return _flatten(image) if image.has_transparency_data else _convert(image, name)


def _sixteen_bit_to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Scale 0..65535 to 0..255. PIL's own conversion clips, which turns such pictures white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > _SIXTEEN_BIT_MAX:
        raise ValueError(f"{name} has more than 16 bits per grey value: save it with 8 or 16 bits")
    return Image.fromarray((values.astype(np.float32) / 257 + 0.5).astype(np.uint8)).convert("RGB")


def _flatten(image: Image.Image) -> Image.Image:
    """Put a picture with transparency on white."""
    layered = image.convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(layered, mask=layered.getchannel("A"))
    return flat


def _convert(image: Image.Image, name: str) -> Image.Image:
    """Convert palettes, greys, CMYK and the like."""
    if image.mode in ("F", "LAB"):  # of unknown range; PIL has no conversion
        raise ValueError(f"{name} has colour mode {image.mode}: save it as RGB")
    return image.convert("RGB")
