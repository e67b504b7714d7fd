"""Boxes: how JPEG 2000, JPEG XL, HEIF and AVIF files are divided (ISO/IEC 14496-12, 15444-1).

A box is a length, a name of four letters and a content, which may be boxes again. What Pillow does
not tell of such a file, its colours, is looked up here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


def walk(data: bytes, *path: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes at the end of a path of names.

    Args:
        data: Boxes one after another. What is cut off or makes no sense ends the walk.
        path: Names, outermost first. ``b"meta"`` begins with four bytes of its own, which are
            passed over.
    """
    for name, content in _boxes(data):
        if name != path[0]:
            continue
        if len(path) == 1:
            yield content
        else:
            yield from walk(content[4:] if name == b"meta" else content, *path[1:])


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if length == 1 and start + 8 <= len(data):  # the length needs 64 bits
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = len(data) if length == 0 else place + length
        if end < start:
            return
        yield name, data[start:end]
        place = end


def coding_points(colour: bytes) -> tuple[int, int, int, int] | None:
    """Return what a ``colr`` box says in numbers of ITU-T H.273, None if it does not.

    Returns:
        Primaries, transfer, matrix and whether the full range is used.
    """
    if colour[:4] != b"nclx" or len(colour) < 11:
        return None
    primaries, transfer, matrix, flags = struct.unpack_from(">3HB", colour, 4)
    return primaries, transfer, matrix, flags >> 7
