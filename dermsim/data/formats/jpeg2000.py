"""JPEG 2000: Pillow decodes it, but does not pass on the colour profile of a JP2 file."""

from __future__ import annotations

from typing import IO

from PIL import Image, Jpeg2KImagePlugin

from dermsim.data.formats.boxes import walk
from dermsim.data.formats.registry import Check, Format, check_frame

_CODESTREAM = b"\xff\x4f\xff\x51"
_FILE = b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a"
_ICC_METHODS = (2, 3)  # of the colr box: a restricted profile, any profile


def accepts(prefix: bytes) -> bool:
    """Say whether a file that begins like this is a JPEG 2000 file or bare code stream."""
    return prefix.startswith((_CODESTREAM, _FILE))


def open_jpeg2000(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Open a JPEG 2000 picture; see `Opener`."""
    image = Jpeg2KImagePlugin.Jpeg2KImageFile(stream, name)
    check(*image.size)
    check_frame(frame, 1, name)
    stream.seek(0)
    data = stream.read() if image.codec == "jp2" else b""
    for colour in walk(data, b"jp2h", b"colr"):
        if colour and colour[0] in _ICC_METHODS:
            image.info["icc_profile"] = colour[3:]
            break
    return image


FORMAT = Format("JPEG 2000", accepts, open_jpeg2000)
