"""What a picture's format is to `dermsim.data.images.read_image`, and how one is recognised.

What every module of this package, one a family of formats, agrees on:

- A format is recognised by the first `PREFIX` bytes of the file, never by its ending.
- `Format.open` reads the header, calls ``check(width, height)`` with the size that the decoded
  picture will have, and decodes nothing before that. It may return a picture that is not decoded
  yet; then `read_image` decodes it.
- It raises `UnreadableError` with one whole sentence, which begins with `name`, where it knows what
  to do about the file, such as which extra to install. Whatever else it raises means that the file
  is damaged: decoders raise anything on hostile bytes.
- The picture it returns may have any mode and lie on its side. Its ``info`` says how to show it, as
  Pillow does: ``icc_profile`` (bytes), ``exif`` (bytes), ``gamma``, ``chromaticity``, ``srgb``,
  ``transparency``, and ``cicp`` (four integers of ITU-T H.273: primaries, transfer, matrix, full
  range). `dermsim.data.srgb_dermsim.to_srgb` heeds them, once for all formats: depth, colour,
  transparency, orientation. A format whose decoder has turned the picture upright, or has converted
  its colours, leaves ``exif`` or ``icc_profile`` out.
- Numbers of more than 8 bits that no mode of Pillow holds are scaled by
  `dermsim.data.depth_dermsim.to_8_bits`, which takes arrays of any shape.
- What the caller should know of a picture that is read all the same, such as that a file has
  several pages, is said by ``warnings.warn(sentence, stacklevel=2)``, a `UserWarning`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from PIL import Image

from dermsim.core.refused import Refused

PREFIX = 512
"""Bytes of a file that its format is recognised by; a short file has fewer."""

Check = Callable[[int, int], None]
"""Raises `UnreadableError` if a picture of this width and height must not be decoded."""


class UnreadableError(Refused):
    """Why a picture is not read and what to do, as one sentence that begins with its name."""


class Opener(Protocol):
    """Opens a file of one format."""

    def __call__(self, stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
        """Open a picture.

        Args:
            stream: The whole file, at its beginning; it stays open until the picture is decoded.
            name: What messages call it.
            frame: Which picture of the file, counted from 0: a page, a frame, an image.
            check: Called with width and height before anything is decoded.

        Returns:
            The picture, decoded or not.

        Raises:
            UnreadableError: If it is known what to do about it; `check` raises it, too.
        """


@dataclass(frozen=True)
class Format:
    """A format of picture files.

    Attributes:
        name: As people call it, such as ``"JPEG"``.
        accepts: Says from the first `PREFIX` bytes of a file whether it is of this format.
        open: Opens one.
        mend: Is given a whole file that cannot be decoded; returns one that can be, if every pixel
            is there, and a sentence without the name that says what was amiss. None where there is
            no such way.
        weight: Says from the first bytes how much memory a pixel takes while it is decoded, in
            that of 8-bit colours with opacity.
    """

    name: str
    accepts: Callable[[bytes], bool]
    open: Opener
    mend: Callable[[bytes], tuple[bytes, str] | None] | None = None
    weight: Callable[[bytes], int] = lambda prefix: 1


def recognise(prefix: bytes, formats: Sequence[Format]) -> Format | None:
    """Return the first format that accepts the first bytes of a file, or None."""
    return next((kind for kind in formats if kind.accepts(prefix)), None)


def check_frame(frame: int, count: int, name: str) -> None:
    """Refuse a frame that a file does not have.

    Raises:
        UnreadableError: If `frame` is not one of 0 to ``count - 1``.
    """
    if not 0 <= frame < count:
        if count == 1:
            raise UnreadableError("formats_registry.one_frame", name=name, frame=frame)
        raise UnreadableError(
            "formats_registry.no_frame", name=name, count=count, last=count - 1, frame=frame
        )
