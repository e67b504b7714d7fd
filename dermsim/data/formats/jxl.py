"""JPEG XL (ISO/IEC 18181), decoded by pillow-jxl-plugin.

That decodes while it opens, so the size is read from the header here, before.
"""

from __future__ import annotations

from typing import IO

from PIL import Image

from dermsim.core.refused import Refused
from dermsim.data.formats.boxes import walk
from dermsim.data.formats.extras import require_for
from dermsim.data.formats.registry import Check, Format, UnreadableError, check_frame

_CODESTREAM = b"\xff\x0a"
_FILE = b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"
_RATIOS = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SMALL = 2**16
_ORIENTATION = 0x0112


def accepts(prefix: bytes) -> bool:
    """Say whether a file that begins like this is a JPEG XL file or bare code stream."""
    return prefix.startswith((_CODESTREAM, _FILE))


def open_jxl(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Open a JPEG XL picture; see `Opener`."""
    require_for(name, "JPEG XL", package="pillow_jxl", extra="jxl")
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    data = stream.read()
    width, height = _size(_codestream(data))
    if width * height > _SMALL:  # a small one costs nothing, and may turn out to be damaged
        check(width, height)
    check_frame(frame, 1, name)
    stream.seek(0)
    try:
        image = JXLImageFile(stream, name)
    except BaseException as error:
        # a panic of Rust is no Exception; what either says is about libjxl and not about the file
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UnreadableError("jxl.damaged", name=name) from error
    check(*image.size)
    if not image.jpeg:
        # the decoder has turned the picture already; what EXIF says of it counts for JPEG alone
        exif = image.getexif()
        if exif.pop(_ORIENTATION, 1) != 1:
            image.info["exif"] = exif.tobytes()
    return image


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the code stream."""
    if data.startswith(_CODESTREAM):
        return data[:64]
    for whole in walk(data, b"jxlc"):
        return whole[:64]
    # each part has a number before its bytes, and the first may have next to none
    return b"".join(part[4:68] for part in walk(data, b"jxlp"))[:64]


def _size(codestream: bytes) -> tuple[int, int]:
    """Read width and height: ISO/IEC 18181-1, D.2, bits from the lowest up.

    Raises:
        ValueError: If there is no header.
    """
    if not codestream.startswith(_CODESTREAM):
        raise Refused("jxl.no_header")
    bits = _Bits(codestream[2:])
    small = bits.take(1)
    height = bits.length(small)
    ratio = bits.take(3)
    if ratio == 0:
        return bits.length(small), height
    wide, high = _RATIOS[ratio - 1]
    return height * wide // high, height


class _Bits:
    """Takes numbers from bytes, lowest bits first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def length(self, small: int) -> int:
        """Take the length of a side."""
        if small:
            return 8 * (self.take(5) + 1)
        return self.take((9, 13, 18, 30)[self.take(2)]) + 1


FORMAT = Format("JPEG XL", accepts, open_jxl)
