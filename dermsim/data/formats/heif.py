"""HEIC, HEIF and AVIF: what phones and browsers save in place of JPEG.

Both are ISO/IEC 23008-12 files and are told apart by their brands. Pillow decodes AVIF; for HEIC it
needs pillow-heif. Both turn the picture as the file says, or say so in its EXIF.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import IO, Any

from PIL import AvifImagePlugin, Image

from dermsim.data.formats.boxes import coding_points, walk
from dermsim.data.formats.extras import require_for
from dermsim.data.formats.registry import Check, Format, UnreadableError, check_frame

_HEIF = frozenset((*(b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), b"mif1", b"msf1"))
_POINTS = (
    *("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag"),
)
_AVIF = frozenset((b"avif", b"avis"))


def _brands(prefix: bytes) -> tuple[bytes, ...]:
    """Return the brands of the file, the main one first; none if it is no such file."""
    if len(prefix) < 16 or prefix[4:8] != b"ftyp":
        return ()
    (length,) = struct.unpack_from(">I", prefix)
    words = [prefix[8:12], *(prefix[at : at + 4] for at in range(16, min(length, len(prefix)), 4))]
    return tuple(words)


def accepts_avif(prefix: bytes) -> bool:
    """Say whether a file that begins like this is an AVIF."""
    return not _AVIF.isdisjoint(_brands(prefix))


def accepts_heif(prefix: bytes) -> bool:
    """Say whether a file that begins like this is a HEIC or another HEIF."""
    return not _HEIF.isdisjoint(_brands(prefix)) and not accepts_avif(prefix)


def open_avif(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Open an AVIF; see `Opener`."""
    data = stream.read()
    stream.seek(0)
    image = AvifImagePlugin.AvifImageFile(stream, name)
    check(*image.size)
    check_frame(frame, image.n_frames, name)
    image.seek(frame)
    for colour in walk(data, b"meta", b"iprp", b"ipco", b"colr"):
        if "icc_profile" not in image.info and (points := coding_points(colour)):
            image.info["cicp"] = points
            break
    return image


def open_heif(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Open a HEIC or another HEIF; see `Opener`.

    Frame 0 is the primary image; further ones follow in the order of the file.
    """
    plugin = require_for(name, "HEIC", package="pillow_heif", extra="heic").HeifImageFile
    try:
        return _decode_heif(plugin, stream, name, frame=frame, check=check)
    except UnreadableError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())  # it comes in lines
        raise UnreadableError("heif.damaged", name=name, reason=reason) from error


def _decode_heif(
    plugin: Callable[..., Any], stream: IO[bytes], name: str, *, frame: int, check: Check
) -> Image.Image:
    image = plugin(stream, name)
    check(*image.size)
    count = image.n_frames
    check_frame(frame, count, name)
    first = image.tell()
    if frame:
        image.seek([first, *(place for place in range(count) if place != first)][frame])
        check(*image.size)
    points = image.info.get("nclx_profile")
    if points and "icc_profile" not in image.info:
        image.info["cicp"] = tuple(int(points[part]) for part in _POINTS)
    image.load()  # pillow-heif may change the size while it decodes
    check(*image.size)
    return image


FORMATS = (Format("AVIF", accepts_avif, open_avif), Format("HEIC", accepts_heif, open_heif))
"""In the order in which they are tried."""
