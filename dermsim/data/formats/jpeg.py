"""JPEG: Pillow's, and what lacks only its end marker.

libjpeg fills what is missing with grey and says so in no way that reaches Python, so whether every
pixel is there is found out by decoding: if all are, then what follows the data makes no difference.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace

from PIL import Image, ImageChops, JpegImagePlugin

from dermsim.data.formats.pillow import pillow_format

_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""In the data of a scan: a marker that ends it."""

_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")
_FILLERS = (b"\xfe" * 64, b"\xaa" * 64, b"\x5a" * 64)
"""Data that no encoder would go on with, unlike the zeros that libjpeg goes on with."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _RESTART_INTERVAL = 0xDA, 0xDD
_ZEROS = 16
"""So many zeros in a row end no JPEG: they pad a file whose copy was cut off."""


def mend(data: bytes) -> tuple[bytes, str] | None:
    """Give a JPEG the end marker that alone it lacks.

    Args:
        data: A file that cannot be decoded.

    Returns:
        The whole file and what was amiss; None if anything else is missing, or too much is there.
    """
    data = _without_padding(data)
    restarts = _restarts_in_last_scan(data)
    if restarts is None or not _is_whole(data, restarts):
        return None
    shorter = data[:-2] if data.endswith(b"\xff\x00") else data[:-1]
    if _is_whole(shorter.rstrip(b"\xff"), restarts):
        return None  # what follows the picture is not known, and no byte of it is missed
    return data + _END, "lacks its end marker and is read all the same: every pixel is there"


FORMATS = (replace(pillow_format("JPEG", "JPEG"), mend=mend),)


def _without_padding(data: bytes) -> bytes:
    """Take off zeros that pad the file, and the first half of an end marker."""
    shorter = data.rstrip(b"\0")
    if len(data) - len(shorter) >= _ZEROS:
        data = shorter
    return data.rstrip(b"\xff")


def _restarts_in_last_scan(data: bytes) -> list[bytes] | None:
    """Find the restart markers of the scan that the file breaks off in.

    Returns:
        The low bytes of the markers, and the one that would come next at the end; empty where the
        file has none. None if the file breaks off elsewhere, or further scans must follow.
    """
    missing: dict[int, set[int]] = {}  # by component: coefficients not yet known to the last bit
    interval, position = 0, 2
    try:
        while True:
            marker = _MARKER.match(data, position)
            if marker is None:
                return None
            (length,) = struct.unpack_from(">H", data, marker.end())
            body = data[marker.end() + 2 : marker.end() + length]
            position, code = marker.end() + length, marker[1][0]
            if code in _FRAMES:
                missing = {body[6 + 3 * i]: set(range(64)) for i in range(body[5])}
            elif code == _RESTART_INTERVAL:
                (interval,) = struct.unpack(">H", body)
            elif code == _SCAN:
                first, last, accuracy = body[1 + 2 * body[0] :]
                for component in body[1 : 1 + 2 * body[0] : 2]:
                    if accuracy & 15 == 0:
                        missing[component] -= set(range(first, last + 1))
                end = _MARKER.search(data, position)
                if end is None:
                    break
                position = end.start()
    except (struct.error, IndexError, KeyError, ValueError):
        return None
    if any(missing.values()):
        return None
    if not interval:
        return []
    found = [bytes([match[1][0]]) for match in _RESTARTS.finditer(data, position)]
    return [*found, bytes([0xD0 + (found[-1][0] - 0xCF) % 8 if found else 0xD0])]


def _is_whole(data: bytes, restarts: list[bytes]) -> bool:
    """Say whether the picture is the same whatever follows its data."""
    expected = _decode(data + _END)
    if expected is None:
        return False
    for filler in _FILLERS:
        # the second piece is for the next interval: between two, libjpeg waits for a marker
        again = b"\xff" + restarts[-1] + filler if restarts else b""
        other = _decode(data + filler + again + _END)
        if other is None or ImageChops.difference(expected, other).getbbox() is not None:
            return False
    return True


def _decode(data: bytes) -> Image.Image | None:
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        image.load()
    except Exception:  # it was broken to begin with
        return None
    return image
