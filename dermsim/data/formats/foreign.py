"""What a file is that is not read, by its first bytes, and what to do about it."""

from __future__ import annotations

from dermsim.core.lfs import is_lfs_pointer

_AS_PICTURE = "save it as JPEG, PNG or TIFF"
_RAW = "develop it in a raw converter and save it as JPEG or TIFF"
_VIDEO = "save one frame of it as a picture"
_UNPACK = "unpack it first"

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF document", "save the picture in it as JPEG or PNG"),
    (b"8BPS", "a Photoshop document", _AS_PICTURE),
    (b"%!PS", "a PostScript document", _AS_PICTURE),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document", _AS_PICTURE),
    (b"gimp xcf", "a GIMP document", _AS_PICTURE),
    (b"PK\x03\x04", "a zip archive or an office document", _UNPACK),
    (b"\x1f\x8b", "packed with gzip", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"FUJIFILMCCD-RAW", "a raw file of a Fujifilm camera", _RAW),
    (b"IIRO", "a raw file of an Olympus camera", _RAW),
    (b"IIRS", "a raw file of an Olympus camera", _RAW),
    (b"IIU\0", "a raw file of a Panasonic camera", _RAW),
    (b"FOVb", "a raw file of a Sigma camera", _RAW),
    (b"\0MRM", "a raw file of a Minolta camera", _RAW),
    (b"II\xbc", "JPEG XR", _AS_PICTURE),
    (b"v/1\x01", "OpenEXR", _AS_PICTURE),
    (b"#?RADIANCE", "Radiance HDR", _AS_PICTURE),
    (b"SIMPLE  =", "FITS", _AS_PICTURE),
    (b"\x89HDF", "HDF5", _AS_PICTURE),
    (b"\x93NUMPY", "a NumPy file", "load it with numpy and pass the array"),
    (b"\0\0\x01\0", "an icon", _AS_PICTURE),
    (b"\0\0\x01\xba", "a video", _VIDEO),
    (b"\x1aE\xdf\xa3", "a video", _VIDEO),
    (b"\0\0\x01\xb3", "a video", _VIDEO),
    (b"qoif", "QOI", _AS_PICTURE),
    (b"PAR1", "a Parquet file", "load it as a data set"),
)
"""Begins with; is; what to do."""

_NETPBM = frozenset(b"P%d" % number for number in range(1, 8))
_BRANDS = {
    b"crx": ("a raw file of a Canon camera", _RAW),
    **dict.fromkeys((b"hei", b"hev", b"mif", b"msf", b"avi"), ("of the HEIF family", _AS_PICTURE)),
}
"""Of the container of MP4, by the first letters of its brand; every other is a video."""


def name_foreign(start: bytes, name: str) -> str | None:
    """Say what a file is that is not read.

    Args:
        start: Its first bytes.
        name: What messages call it.

    Returns:
        One sentence that names what it is and what to do; None if it is nothing that is known.
    """
    if is_lfs_pointer(start):
        return f"{name} is a Git LFS pointer and not the picture: run git lfs pull where it lies"
    if not start.strip(b"\0"):
        return f"{name} begins with nothing but zeros, as after a copy that failed: copy it again"
    what = _known(start)
    return None if what is None else f"{name} is {what[0]}, which is not read: {what[1]}"


def _known(start: bytes) -> tuple[str, str] | None:
    for beginning, kind, advice in _STARTS:
        if start.startswith(beginning):
            return kind, advice
    if start[:2] in _NETPBM and start[2:3].isspace():
        return "a Netpbm picture", _AS_PICTURE
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:11], ("a video", _VIDEO))
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "a video", _VIDEO
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return "an SVG drawing", _AS_PICTURE
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, as when a download needed a login", "download the picture again"
    return None
