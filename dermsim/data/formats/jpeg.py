"""JPEG: Pillow's, and what lacks only its end marker.

libjpeg fills what is missing with grey and says so in no way that reaches Python, so whether every
pixel is there is found out by decoding: if all are, then what follows the data makes no difference.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace
from typing import IO

from PIL import Image, ImageChops, JpegImagePlugin

from dermsim.core.refused import RefusedOSError
from dermsim.data.formats.pillow import pillow_format
from dermsim.data.formats.registry import Check

_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""In the data of a scan: a marker that ends it."""

_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")
_FILLERS = tuple(pattern * 4096 for pattern in (b"\xfe", b"\xaa", b"\x5a"))
"""Data that no encoder would go on with, unlike the zeros that libjpeg goes on with; more than the
ten blocks that belong together can hold."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _RESTART_INTERVAL = 0xDA, 0xDD
_ZEROS = 16
"""So many zeros at the end of a JPEG without an end marker stand for what was not copied."""

_TAIL = 32
"""Bytes at the end of a whole picture that may say nothing, as that no block has more to come."""


def mend(data: bytes) -> tuple[bytes, str] | None:
    """Give a JPEG the end marker that alone it lacks.

    Args:
        data: A file that cannot be decoded.

    Returns:
        The whole file and what was amiss; None if anything else is missing, or too much is there.
    """
    # The first half of an end marker may be there, and copies that were cut off end in zeros.
    without_zeros = data.rstrip(b"\0")
    if without_zeros.endswith(b"\xff"):
        without_zeros += data[len(without_zeros) :][:1]
    for candidate in dict.fromkeys((data.rstrip(b"\xff"), without_zeros)):
        # If much at the end is of no consequence, it is not known what it is.
        if _is_whole(candidate) and not _is_whole(candidate[:-_TAIL].rstrip(b"\xff")):
            amiss = "lacks its end marker and is read all the same: every pixel is there"
            return candidate + _END, amiss
    return None


_PILLOWS = pillow_format("JPEG", "JPEG")


def _open(stream: IO[bytes], name: str, *, frame: int, check: Check) -> Image.Image:
    """Open a JPEG; one that breaks off and is padded with zeros is not taken for a whole one."""
    image = _PILLOWS.open(stream, name, frame=frame, check=check)
    position = stream.tell()
    stream.seek(max(0, stream.seek(0, io.SEEK_END) - _ZEROS))
    padded = not stream.read().strip(b"\0")
    if padded:
        stream.seek(0)
        data = stream.read()
        if data.find(_END, data.rfind(b"\xff\xda")) < 0:
            raise RefusedOSError("jpeg.zeros")
    stream.seek(position)
    return image


FORMATS = (replace(_PILLOWS, open=_open, mend=mend),)


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


def _is_whole(data: bytes) -> bool:
    """Say whether the picture is the same whatever follows its data."""
    restarts = _restarts_in_last_scan(data)
    expected = None if restarts is None else _decode(data + _END)
    if restarts is None or expected is None:
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
