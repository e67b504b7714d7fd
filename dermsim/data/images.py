"""Reads any photograph a user may hand over, or refuses it with one sentence.

The first step of every flow. The size is checked from the header before anything is decoded, so a
picture that would fill the memory never gets the chance.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from dermsim.core.refused import Phrase, Refused, RefusedFileNotFoundError, RefusedTypeError
from dermsim.data.admission import PIXELS
from dermsim.data.arrays_dermsim import array_picture, array_size, is_array
from dermsim.data.depth_dermsim import PixelsError
from dermsim.data.folders import walk_files
from dermsim.data.formats import FORMATS
from dermsim.data.formats.foreign import foreign
from dermsim.data.formats.registry import PREFIX, Check, Format, UnreadableError, recognise
from dermsim.data.srgb_dermsim import to_srgb

if TYPE_CHECKING:  # whoever holds a tensor has imported it
    import torch

    ImageSource: TypeAlias = Image.Image | str | Path | bytes | np.ndarray | torch.Tensor
else:
    ImageSource = Image.Image | str | Path | bytes | np.ndarray
"""What `read_image` accepts; tensors, too."""

IMAGE_SUFFIXES = frozenset(
    (
        *(".avif", ".bmp", ".dcm", ".dicom", ".dng", ".gif", ".heic", ".heif", ".j2k", ".jfif"),
        *(".jif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".jxl", ".png", ".tif", ".tiff"),
        ".webp",
    )
)
"""Lower-case file endings taken for pictures when a folder is walked; those that cannot be read are
named."""


def read_image(
    source: ImageSource,
    *,
    max_pixels: int = 50_000_000,
    min_side: int = 16,
    at_least: tuple[int, int] | None = None,
    frame: int = 0,
) -> Image.Image:
    """Read one photograph as a careful viewer shows it: upright, in sRGB of 8 bits.

    More than 8 bits are scaled by those that are really used, colours are converted from what the
    picture says they are, transparency is put on white, and it is turned as EXIF says
    (`dermsim.data.srgb_dermsim.to_srgb`). A PIL image passed in is never changed; if it needs no
    conversion it is returned itself. What is read all the same though something is amiss, such as a
    JPEG without its end marker, is told by a `UserWarning`.

    Args:
        source: A PIL image, a path, the bytes of an encoded file, or an array or tensor as
            `dermsim.data.arrays_dermsim.array_picture` takes it.
        max_pixels: Largest width x height accepted, in pixels.
        min_side: Smallest width and height accepted, in pixels.
        at_least: If given as ``(width, height)``, a picture may be decoded, or made when it is
            decoded, a whole number of times smaller, as long as the result still covers this many
            pixels. Several times faster for a JPEG, and less memory for any file. Pictures and
            arrays that are passed in stay as large as they are.
        frame: Which picture of a file that holds several, counted from 0.

    Returns:
        An image in mode ``"RGB"``.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If the source is not a readable image or its size is out of bounds; one sentence
            naming the file and the reason.
        TypeError: If the source is none of the accepted types.
    """
    name = source.name if isinstance(source, Path) else THE_IMAGE
    name = Path(source).name if isinstance(source, str) else name
    check = partial(_check_size, name=name, max_pixels=max_pixels, min_side=min_side)
    with _worded():
        return _read(source, name, frame=frame, check=check, at_least=at_least)


@contextmanager
def _worded() -> Iterator[None]:
    """Raise what is refused so that it can be said in any language."""
    try:
        yield
    except PixelsError as error:
        raise Refused(f"pixels.{error.kind}", **_named(error.values)) from error
    except Refused as error:
        error.values = _named(error.values)
        raise


def _named(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("name") != THE_IMAGE:
        return values
    return values | {"name": Phrase("images.the_image")}


def _read(
    source: ImageSource,
    name: str,
    *,
    frame: int,
    check: Check,
    at_least: tuple[int, int] | None,
) -> Image.Image:
    if isinstance(source, bytes):
        return _read_file(BytesIO(source), name, frame=frame, check=check, at_least=at_least)
    if isinstance(source, str | Path):
        with _open_file(Path(source)) as stream:
            return _read_file(stream, name, frame=frame, check=check, at_least=at_least)
    if not (isinstance(source, Image.Image) or is_array(source)):
        raise RefusedTypeError("images.type", kind=type(source).__name__)
    if frame:
        raise Refused("images.frame")
    if isinstance(source, Image.Image):
        check(*source.size)
        return to_srgb(source, name)
    check(*array_size(source, name))
    return to_srgb(array_picture(source, name), name)


THE_IMAGE = "the image"
"""What messages call a picture without a name."""


class _MeasuredError(UnreadableError):
    """Raised in place of decoding, once the size is known."""


def pixels_to_decode(source: str | Path | bytes) -> int:
    """Return how many pixels `read_image` will hold room for while it decodes a file.

    Only the header is read. Pixels of more than 8 bits count several times.

    Args:
        source: A path, or the bytes of the file.

    Returns:
        Width x height, weighted; 0 for what is no readable picture.
    """
    found = 0

    def measure(width: int, height: int) -> None:
        nonlocal found
        found = width * height
        raise _MeasuredError("images.measured")

    name = THE_IMAGE
    try:
        with BytesIO(source) if isinstance(source, bytes) else _open_file(Path(source)) as stream:
            kind = _recognise(stream, name)
            weight = kind.weight(stream.read(PREFIX))
            stream.seek(0)
            kind.open(stream, name, frame=0, check=measure)
    except _MeasuredError:
        return found * weight
    except Exception as error:  # `read_image` will say what is wrong with it
        logging.getLogger(__name__).debug("not measured: %s", type(error).__name__)
    return 0


def as_list(images: ImageSource | Iterable[ImageSource]) -> Iterable[ImageSource]:
    """Return several pictures as they are, and one as a list of it.

    An array or tensor of four dimensions is several.
    """
    one = isinstance(images, Image.Image | str | Path | bytes) or (
        is_array(images) and images.ndim < 4
    )
    return [images] if one else images  # type: ignore[list-item,return-value]


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
                raise Refused(
                    "images.empty_folder", path=path, image_suffixes=sorted(IMAGE_SUFFIXES)
                )
            found.extend(inside)
        elif path.exists():
            found.append(path)
        else:
            raise RefusedFileNotFoundError("images.no_path", path=path)
    return found


def _open_file(path: Path) -> IO[bytes]:
    """Open a regular file; anything else (a folder, a pipe that would block) is refused."""
    if not path.exists():
        raise RefusedFileNotFoundError("images.no_file", path=path)
    if path.is_dir():
        raise Refused("images.folder", name=path.name)
    if not path.is_file():
        raise Refused("images.not_regular", name=path.name)
    try:
        return path.open("rb")
    except OSError as error:
        raise Refused("images.not_opened", name=path.name, reason=error.strerror) from error


def _read_file(
    stream: IO[bytes],
    name: str,
    *,
    frame: int,
    check: Check,
    at_least: tuple[int, int] | None,
) -> Image.Image:
    """Read a picture file, and once more as its format mends it if it cannot be decoded."""
    kind = _recognise(stream, name)
    try:
        return _decode(kind, stream, name, frame=frame, check=check, at_least=at_least)
    except UnreadableError:
        raise
    except ValueError:
        stream.seek(0)
        mended = kind.mend(stream.read()) if kind.mend else None
        if mended is None:
            raise
    data, amiss = mended
    warnings.warn(f"{name} {amiss}", stacklevel=3)
    return _decode(kind, BytesIO(data), name, frame=frame, check=check, at_least=at_least)


def _recognise(stream: IO[bytes], name: str) -> Format:
    """Return the format of a file by its first bytes."""
    prefix = stream.read(PREFIX)
    if not prefix:
        raise Refused("images.empty", name=name)
    kind = recognise(prefix, FORMATS)
    if kind is None:
        formats = [known.name for known in FORMATS]
        raise foreign(prefix, name) or Refused("images.not_an_image", name=name, formats=formats)
    stream.seek(0)
    return kind


def _decode(
    kind: Format,
    stream: IO[bytes],
    name: str,
    *,
    frame: int,
    check: Check,
    at_least: tuple[int, int] | None,
) -> Image.Image:
    """Decode a picture of a known format, once there is room for so many pixels."""
    weight = kind.weight(stream.read(PREFIX))
    stream.seek(0)
    with ExitStack() as room:

        def admit(width: int, height: int) -> None:
            check(width, height)
            room.pop_all().close()  # a format may ask again, of another size
            room.enter_context(PIXELS.hold(width * height * weight))

        return _decoded(kind, stream, name, frame=frame, check=admit, at_least=at_least)


def _decoded(
    kind: Format,
    stream: IO[bytes],
    name: str,
    *,
    frame: int,
    check: Check,
    at_least: tuple[int, int] | None,
) -> Image.Image:
    try:
        image = kind.open(stream, name, frame=frame, check=check)
    except UnreadableError:
        raise
    except Exception as error:  # decoders raise anything on hostile bytes; it all means damaged
        raise Refused("images.damaged", name=name, kind=kind.name, error=error) from error
    enough = None if at_least is None else max(at_least)
    if enough is not None:
        # Orientation may swap the sides, so both are kept at least as long as the longer one.
        image.draft(None, (enough, enough))
    shown = to_srgb(image, name, at_least=enough)
    if shown is image:  # only a plain image may outlive the stream it was read from
        shown = shown.copy()
        shown.info = {}
    return shown


def _check_size(width: int, height: int, *, name: str, max_pixels: int, min_side: int) -> None:
    """Refuse a picture that is too large to decode safely or too small to show a lesion."""
    if width * height > max_pixels:
        raise UnreadableError(
            "images.too_large", name=name, width=width, height=height, most=max_pixels / 1e6
        )
    if min(width, height) < min_side:
        raise UnreadableError(
            "images.too_small", name=name, width=width, height=height, least=min_side
        )
