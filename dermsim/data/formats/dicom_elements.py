"""Reads the elements of a DICOM file that are asked for, and no others."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dermsim.data.formats.registry import UnreadableError

PICTURE = (
    *("SOPClassUID", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ICCProfile"),
    *("OpticalPathSequence", "BurnedInAnnotation", "ExtendedOffsetTable"),
    *("ExtendedOffsetTableLengths", "PixelData"),
    *(
        f"{part}{colour}PaletteColorLookupTable{what}"
        for colour in ("Red", "Green", "Blue")
        for part, what in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    ),
)
"""The elements that describe a picture: none says whose it is."""

_START = 132  # preamble and DICM
_INFLATED = 2**29
"""Bytes that a deflated file may have; more than 150 million pixels of 24 bits."""

_PYDICOM = r"pydicom\b"
_LONG = frozenset((b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"OD", b"OL", b"UC", b"UR", b"OV"))


def read_elements(data: bytes, name: str, *, keywords: Sequence[str] = PICTURE) -> Dataset:
    """Read some elements.

    Args:
        data: The whole file, with or without preamble and file meta information.
        name: What messages call it.
        keywords: Of the elements; all others are passed over.

    Returns:
        The elements, and a transfer syntax in ``file_meta`` even if the file has none.

    Raises:
        UnreadableError: If it inflates to more than is accepted.
        Exception: Whatever pydicom raises if it is damaged.
    """
    _keep_quiet()
    syntax, start = _transfer_syntax(data)
    if syntax == DeflatedExplicitVRLittleEndian:
        data = _without_deflation(data[start:], name)
    elements = dcmread(BytesIO(data), force=True, specific_tags=list(keywords))
    if "TransferSyntaxUID" not in elements.file_meta:
        implicit, little = elements.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        elements.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return elements


def _keep_quiet() -> None:
    """Have the warnings of pydicom ignored: they are about how files are written, and quote them.

    `warnings.catch_warnings` would do so for all threads, and undo what others did meanwhile.
    """
    if not any(
        action == "ignore" and module is not None and module.pattern == _PYDICOM
        for action, _, _, module, _ in warnings.filters
    ):
        warnings.filterwarnings("ignore", module=_PYDICOM)


def _transfer_syntax(data: bytes) -> tuple[str, int]:
    """Return the transfer syntax, "" if it is not said, and where the data set begins."""
    place = _START if data[_START - 4 : _START] == b"DICM" else 0
    syntax = ""
    while data[place : place + 2] == b"\x02\x00" and place + 12 <= len(data):
        tag, vr, length = struct.unpack_from("<2x H 2s H", data, place)
        start = place + 8
        if vr in _LONG:
            (length,) = struct.unpack_from("<I", data, start)
            start += 4
        if tag == 0x0010:
            syntax = data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = start + length
    return syntax, place


def _without_deflation(packed: bytes, name: str) -> bytes:
    """Write the file as it was before it was deflated; pydicom would inflate it without bounds."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(packed, _INFLATED)
    if inflater.unconsumed_tail:
        raise UnreadableError("dicom_elements.inflates", name=name, inflated=_INFLATED // 2**20)
    uid = ExplicitVRLittleEndian.encode() + b"\0"
    syntax = struct.pack("<HH2sH", 2, 0x0010, b"UI", len(uid)) + uid
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(syntax))
    return bytes(_START - 4) + b"DICM" + length + syntax + content
