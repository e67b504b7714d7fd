"""What a file is that is not read, by its first bytes, and what to do about it."""

from __future__ import annotations

from dermsim.core.lfs import is_lfs_pointer
from dermsim.core.refused import Phrase, Refused

_AS_PICTURE = "save_as_picture"
_RAW = "develop"
_VIDEO = "save_frame"
_UNPACK = "unpack"

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "pdf", "save_page"),
    (b"8BPS", "photoshop", _AS_PICTURE),
    (b"%!PS", "postscript", _AS_PICTURE),
    (b"\xc5\xd0\xd3\xc6", "postscript", _AS_PICTURE),
    (b"gimp xcf", "gimp", _AS_PICTURE),
    (b"PK\x03\x04", "zip", _UNPACK),
    (b"\x1f\x8b", "gzip", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "archive_7z", _UNPACK),
    (b"Rar!", "archive_rar", _UNPACK),
    (b"FUJIFILMCCD-RAW", "raw_fujifilm", _RAW),
    (b"IIRO", "raw_olympus", _RAW),
    (b"IIRS", "raw_olympus", _RAW),
    (b"IIU\0", "raw_panasonic", _RAW),
    (b"FOVb", "raw_sigma", _RAW),
    (b"\0MRM", "raw_minolta", _RAW),
    (b"II\xbc", "jpeg_xr", _AS_PICTURE),
    (b"v/1\x01", "openexr", _AS_PICTURE),
    (b"#?RADIANCE", "radiance_hdr", _AS_PICTURE),
    (b"SIMPLE  =", "fits", _AS_PICTURE),
    (b"\x89HDF", "hdf5", _AS_PICTURE),
    (b"\x93NUMPY", "numpy", "load_array"),
    (b"\0\0\x01\0", "icon", _AS_PICTURE),
    (b"\0\0\x01\xba", "video", _VIDEO),
    (b"\x1aE\xdf\xa3", "video", _VIDEO),
    (b"\0\0\x01\xb3", "video", _VIDEO),
    (b"qoif", "qoi", _AS_PICTURE),
    (b"PAR1", "parquet", "load_data_set"),
)
"""Begins with; the keys of what it is and of what to do."""

_NETPBM = frozenset(b"P%d" % number for number in range(1, 8))
_BRANDS = {
    b"crx": ("raw_canon", _RAW),
    **dict.fromkeys((b"hei", b"hev", b"mif", b"msf", b"avi"), ("heif_family", _AS_PICTURE)),
}
"""Of the container of MP4, by the first letters of its brand; every other is a video."""


def foreign(start: bytes, name: str) -> Refused | None:
    """Say what a file is that is not read.

    Args:
        start: Its first bytes.
        name: What messages call it.

    Returns:
        The refusal, which names what it is and what to do; None if it is nothing that is known.
    """
    if is_lfs_pointer(start):
        return Refused("foreign.lfs_pointer", name=name)
    if not start.strip(b"\0"):
        return Refused("foreign.zeros", name=name)
    if (known := _known(start)) is None:
        return None
    kind, advice = (Phrase(f"foreign.{word}") for word in known)
    return Refused("foreign.not_read", name=name, kind=kind, advice=advice)


def _known(start: bytes) -> tuple[str, str] | None:
    for beginning, kind, advice in _STARTS:
        if start.startswith(beginning):
            return kind, advice
    if start[:2] in _NETPBM and start[2:3].isspace():
        return "netpbm", _AS_PICTURE
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:11], ("video", _VIDEO))
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "video", _VIDEO
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "svg", _AS_PICTURE
    if text.startswith((b"<!doctype html", b"<html")):
        return "web_page", "download_again"
    return None
