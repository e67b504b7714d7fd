"""Numbers of any depth as 8 bits. Ships beside the weights; needs Pillow and NumPy alone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

_DEPTHS = (8, 10, 12, 14, 16)
"""Bits per sample that cameras and scanners have."""


class PixelsError(ValueError):
    """Why a picture cannot be shown, as one sentence.

    Args:
        kind: Which reason it is, by which dermsim knows the sentence in other languages.
        sentence: In English, with the values in ``{braces}``.
        values: What it speaks of.
    """

    def __init__(self, kind: str, sentence: str, **values: Any) -> None:
        super().__init__(kind, sentence)
        self.kind, self.sentence, self.values = kind, sentence, values

    def __str__(self) -> str:
        return self.sentence.format(**self.values)


def to_8_bits(values: np.ndarray, name: str, *, alpha: np.ndarray | None = None) -> np.ndarray:
    """Scale numbers of up to 16 bits to 8, by the bits that are really used.

    Microscopes and cameras of 10, 12 or 14 bits store their numbers in 16 as they are. The depth is
    the least of 8, 10, 12, 14 and 16 bits that holds the largest number; where it is less than 16
    and the picture is not black, a warning says so.

    Args:
        values: Whole numbers, 0 to 65,535, of any shape.
        name: What messages call the picture.
        alpha: How opaque each pixel is, ``(H, W)`` where `values` are ``(H, W, C)``: pixels that
            nobody sees do not count. None where all are seen.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: If a number is negative or larger.
    """
    if values.size and (values.min() < 0 or values.max() > 65535):
        sentence = "{name} has more than 16 bits per grey value: save it with 8 or 16 bits"
        raise PixelsError("too_many_bits", sentence, name=name)
    return _table(_depth(_largest(values, alpha), name))[values]


def _largest(values: np.ndarray, alpha: np.ndarray | None) -> int:
    """Return the largest number that is seen."""
    seen = values if alpha is None else values[alpha > 0]
    return int(seen.max()) if seen.size else 0


def _depth(largest: int, name: str) -> int:
    """Return the depth by the largest number, and warn where it is not the whole 16 bits."""
    depth = next(bits for bits in _DEPTHS if largest < 2**bits)
    if depth < 16 and largest:
        warnings.warn(
            f"{name} uses {depth} of its 16 bits (its largest value is {largest:,}): it is read as "
            f"a picture of {depth} bits",
            stacklevel=4,
        )
    return depth


def float_to_8_bits(values: np.ndarray, name: str) -> np.ndarray:
    """Scale floating-point numbers from 0 to 1 to 8 bits.

    Args:
        values: Numbers of any shape.
        name: What messages call the picture.

    Returns:
        uint8 of the same shape.

    Raises:
        ValueError: If a number is none, negative or above 1.
    """
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if not (np.isfinite(low) and np.isfinite(high)):
        sentence = "{name} holds NaN or infinity: its values must lie between 0 and 1"
        raise PixelsError("not_finite", sentence, name=name)
    if low < 0 or high > 1:
        sentence = (
            "{name} has floating-point values from {low:g} to {high:g}: scale them to 0 to 1, or "
            "save it with 8 or 16 bits"
        )
        raise PixelsError("out_of_range", sentence, name=name, low=float(low), high=float(high))
    return (values * 255 + 0.5).astype(np.uint8)


def deep_png(image: Image.Image, name: str) -> Image.Image | None:
    """Decode a PNG of 16 bits per channel; Pillow alone would keep only the upper 8.

    Each number is put together from its two bytes, which Pillow decodes one after the other.

    Args:
        image: A picture that was opened and not decoded yet.
        name: What messages call it.

    Returns:
        A picture in mode L, LA, RGB or RGBA with the information of the other; None if it is
        another kind of file, or decoded already.

    Raises:
        ValueError: As `to_8_bits`.
    """
    if not isinstance(image, PngImagePlugin.PngImageFile) or len(image.tile) != 1:
        return None
    rawmode = str(image.tile[0].args)
    stream = image.fp
    if rawmode not in _PLANES or stream is None or image.is_animated:
        return None
    before = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(before)
    decoded = [_decode(data, *plane) for plane in _PLANES[rawmode]]
    info = dict(decoded[0].info)
    transparency = info.pop("transparency", None)
    strips = partial(_strips, decoded, transparency)
    depth = _depth(max(_largest(color, alpha) for _, color, alpha in strips()), name)
    shown: np.ndarray | None = None
    for rows, color, alpha in strips():
        part = _table(depth)[color]
        if alpha is not None:
            part = np.concatenate([part, _table(16)[alpha][..., None]], axis=-1)
        if shown is None:
            shown = np.empty((image.height, *part.shape[1:]), dtype=np.uint8)
        shown[rows] = part
    assert shown is not None  # a PNG has a row
    del strips, decoded  # which are twice as large
    found = Image.fromarray(shown[..., 0] if shown.shape[-1] == 1 else shown)
    found.info = info
    return found


_STRIP = 2**20
"""Pixels whose numbers are put together at a time."""


def _strips(
    planes: list[Image.Image], transparency: Any
) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """Yield the rows, the colours and how opaque they are, uint16, of one strip after the other."""
    height = planes[0].height
    count = max(1, _STRIP // planes[0].width)
    for top in range(0, height, count):
        box = (0, top, planes[0].width, min(top + count, height))
        values = _put_together([np.asarray(plane.crop(box)) for plane in planes])
        color, alpha = values, None
        if values.shape[-1] in (2, 4):
            color, alpha = values[..., :-1], values[..., -1]
        elif transparency is not None:
            opaque = (values != np.asarray(transparency)).any(axis=-1)
            alpha = np.where(opaque, np.uint16(65535), np.uint16(0))
        yield slice(top, box[3]), color, alpha


_PLANES: dict[str, list[tuple[str, str]]] = {
    "I;16B": [("LA", "LA")],
    "LA;16B": [("RGBA", "RGBA")],
    "RGB;16B": [("RGB", "RGB;16B"), ("RGB", "RGB;16L")],
    "RGBA;16B": [("RGBA", "RGBA;16B"), ("RGBA", "RGBA;16L")],
}
"""How to have Pillow decode the bytes of 16-bit numbers: modes and raw modes of as many bits."""


def _decode(data: bytes, mode: str, rawmode: str) -> Image.Image:
    opened: Any = PngImagePlugin.PngImageFile(io.BytesIO(data))
    opened._mode = mode
    opened.tile = [opened.tile[0]._replace(args=rawmode)]
    opened.load()
    return opened


def _put_together(planes: list[np.ndarray]) -> np.ndarray:
    """Return ``(H, W, channels)`` uint16 of upper and lower bytes, which may lie side by side."""
    if len(planes) == 2:
        return planes[0].astype(np.uint16) << 8 | planes[1]
    return np.ascontiguousarray(planes[0]).view(">u2").astype(np.uint16)


@lru_cache(maxsize=8)
def _table(bits: int) -> np.ndarray:
    """Return what each 16-bit number is in 8 bits, of a picture of so many bits."""
    numbers = np.arange(65536, dtype=np.float32) * (255 / (2**bits - 1)) + 0.5
    return numbers.clip(0, 255).astype(np.uint8)
