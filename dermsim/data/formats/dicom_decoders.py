"""Which decoder reads which compression of DICOM, and the size that a compressed frame says it has.

The pixels of a lossy picture depend on the decoder, so that one is named for each rather than
whichever happens to be installed.
"""

from __future__ import annotations

import struct

from pydicom import Dataset, uid
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder

from dermsim.core.refused import Refused
from dermsim.data.formats.boxes import walk
from dermsim.data.formats.registry import UnreadableError

_PILLOW, _PYLIBJPEG, _PYJPEGLS = "pillow", "pylibjpeg", "pyjpegls"
_PLUGINS = {
    uid.JPEGBaseline8Bit: _PILLOW,
    uid.JPEGExtended12Bit: _PYLIBJPEG,
    uid.JPEGLossless: _PYLIBJPEG,
    uid.JPEGLosslessSV1: _PYLIBJPEG,
    uid.JPEGLSLossless: _PYJPEGLS,
    uid.JPEGLSNearLossless: _PYJPEGLS,
    uid.JPEG2000Lossless: _PYLIBJPEG,
    uid.JPEG2000: _PYLIBJPEG,
    uid.HTJ2KLossless: _PYLIBJPEG,
    uid.HTJ2KLosslessRPCL: _PYLIBJPEG,
    uid.HTJ2K: _PYLIBJPEG,
    uid.RLELossless: _PYLIBJPEG,
}
_WITH_LIBJPEG = frozenset((uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1))
_VIDEO = ("MPEG", "HEVC", "SMPTE")

_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""Markers of JPEG and JPEG-LS that begin a frame and give its size."""

_ALONE = frozenset((0x01, *range(0xD0, 0xDA)))
"""Markers without a length."""


def decoding_plugin(elements: Dataset, name: str) -> str:
    """Return what pydicom calls the decoder of a file; "" for pixels that are not compressed.

    Raises:
        UnreadableError: If there is none, or it is not installed.
    """
    syntax = elements.file_meta.TransferSyntaxUID
    if syntax.is_transfer_syntax and not syntax.is_compressed:
        return ""
    kind = syntax.name.split(",")[0].split("(")[0].strip()
    if any(word in kind for word in _VIDEO):
        raise UnreadableError("dicom_decoders.video", name=name)
    plugin = _PLUGINS.get(syntax)
    if plugin is None:
        if syntax.is_transfer_syntax:
            raise UnreadableError("dicom_decoders.compression", name=name, kind=kind)
        raise UnreadableError("dicom_decoders.own_compression", name=name)
    if syntax == uid.JPEGExtended12Bit and elements.BitsStored <= 8:
        plugin = _PILLOW
    if plugin in get_decoder(syntax).available_plugins:
        return plugin
    if syntax in _WITH_LIBJPEG:
        raise UnreadableError("dicom_decoders.needs_gpl", name=name, kind=kind)
    raise UnreadableError("dicom_decoders.needs_extra", name=name, kind=kind)


def check_encoded_size(elements: Dataset, frame: int) -> None:
    """Refuse a compressed frame of another size than the file says, before it is decoded.

    Raises:
        ValueError: If the sizes differ; a few bytes can stand for any number of pixels.
    """
    if elements.file_meta.TransferSyntaxUID == uid.RLELossless:
        return  # it has no size of its own
    offsets = None
    if "ExtendedOffsetTable" in elements:
        offsets = (elements.ExtendedOffsetTable, elements.ExtendedOffsetTableLengths)
    data = get_frame(
        elements.PixelData,
        frame,
        number_of_frames=int(elements.get("NumberOfFrames") or 1),
        extended_offsets=offsets,
    )
    declared = (int(elements.Columns), int(elements.Rows))
    if (found := encoded_size(data)) != declared:
        raise Refused("dicom_decoders.frame_size", found=found, declared=declared)


def encoded_size(data: bytes) -> tuple[int, int]:
    """Return the width and height in the header of a JPEG, JPEG-LS or JPEG 2000 code stream.

    Raises:
        ValueError: If there is none.
    """
    stream = next(walk(data, b"jp2c"), b"") if data[4:8] == b"jP  " else data
    if stream.startswith(b"\xff\x4f\xff\x51"):
        right, below, left, above = struct.unpack_from(">4I", stream, 8)
        return right - left, below - above
    place = 2
    while data[:2] == b"\xff\xd8" and place + 9 <= len(data):
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker in _SIZED:
            height, width = struct.unpack_from(">2H", data, place + 5)
            return width, height
        if marker == 0xFF:  # filling
            place += 1
        elif marker in _ALONE:
            place += 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise Refused("dicom_decoders.no_size")
