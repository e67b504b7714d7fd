"""What a photograph is compared by: perceptual hashes, a small copy, a digest of its pixels."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

GreyArray = npt.NDArray[np.uint8]

SIDE = 96
"""Pixels along the short side of the grey copy; a smaller photograph keeps its own."""

TURNS = 8
"""Ways to hold a picture: turned by quarters, and the same mirrored."""

VIEWS = ("centre", "whole")
"""The central square, which survives a change of framing, and the whole frame squeezed to one."""

HASHED = 32
"""Pixels along each side of the square that is hashed."""

FINE_WORDS = 4
"""Words of 64 bits in a fine hash."""

_FREQUENCIES = 8
_FINE_FREQUENCIES = 16


@dataclass(frozen=True, eq=False)
class Look:
    """What one photograph is compared by.

    Attributes:
        hashes: ``(2, 8)`` uint64, a perceptual hash of each of `VIEWS` held in each of the `TURNS`;
            the first is the picture as it is.
        grey: ``(h, w)``, the short side at most `SIDE`.
        digest: Of the size and the pixels: equal only for pictures that are equal in all of them.
    """

    hashes: npt.NDArray[np.uint64]
    grey: GreyArray
    digest: bytes


def look_at(image: Image.Image) -> Look:
    """Reduce a photograph to what it is compared by.

    Args:
        image: RGB.
    """
    width, height = image.size
    grey = image.convert("L")
    short = min(width, height)
    scale = min(1.0, SIDE / short)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (width - short) // 2, (height - short) // 2
    views = (
        grey.resize((HASHED,) * 2, Image.Resampling.BOX, (left, top, left + short, top + short)),
        grey.resize((HASHED,) * 2, Image.Resampling.BOX),
    )
    pixels = hashlib.blake2b(f"{width} {height} ".encode(), digest_size=16)
    pixels.update(image.tobytes())
    return Look(
        np.stack([perceptual_hashes(np.asarray(view)) for view in views]),
        np.asarray(grey.resize(size, Image.Resampling.BOX)),
        pixels.digest(),
    )


def perceptual_hashes(square: GreyArray) -> npt.NDArray[np.uint64]:
    """Hash a picture by its coarse structure, held in all eight ways.

    Of the discrete cosine transform the 8 x 8 lowest frequencies, but for the constant, each say
    whether they are above their median (Zauner 2010, "Implementation and Benchmarking of Perceptual
    Image Hash Functions"). Pictures that differ in a few of the 63 bits look alike.

    Args:
        square: ``(S, S)`` grey values.

    Returns:
        ``(8,)``.
    """
    held = np.stack([turned(square, turn) for turn in range(TURNS)]).astype(np.float64)
    waves = _lowest_waves(held, _FREQUENCIES)
    lowest = waves.reshape(TURNS, -1)[:, 1:]
    bits = lowest > np.median(lowest, axis=1, keepdims=True)
    packed = np.packbits(np.pad(bits, ((0, 0), (0, 1))), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64)[:, 0]


def fine_hashes(squares: npt.NDArray[np.floating]) -> npt.NDArray[np.uint64]:
    """Hash pictures in more detail, each held in all eight ways.

    As `perceptual_hashes`, of the 16 x 16 lowest frequencies. Of the 255 bits, copies of one
    photograph in other sizes, compressed or brightened, differ in 24 at most; other photographs
    seldom in less than 40.

    Args:
        squares: ``(N, HASHED, HASHED)`` grey values.

    Returns:
        ``(N, 8, 4)``; the first of the eight is the picture as it is.
    """
    held = np.stack([_turned(squares, turn) for turn in range(TURNS)], axis=1).astype(np.float64)
    waves = _lowest_waves(held, _FINE_FREQUENCIES)
    lowest = waves.reshape(*held.shape[:2], -1)[..., 1:]
    bits = lowest > np.median(lowest, axis=-1, keepdims=True)
    packed = np.packbits(np.pad(bits, ((0, 0), (0, 0), (0, 1))), axis=-1)
    return np.ascontiguousarray(packed).view(np.uint64)


def _lowest_waves(squares: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return the lowest frequencies ``(..., K, K)`` of a discrete cosine transform (type II)."""
    waves = _cosines(squares.shape[-1], count)
    return waves @ squares @ waves.T


@functools.cache
def _cosines(side: int, count: int) -> npt.NDArray[np.float64]:
    """Return ``(K, S)``, waves of unit length: as many halves of one as their number says."""
    places = (np.arange(side) + 0.5) / side
    waves = np.cos(np.pi * np.arange(count)[:, None] * places) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return waves


def _turned(squares: npt.NDArray[np.floating], turn: int) -> npt.NDArray[np.floating]:
    quarters = np.rot90(squares, turn % 4, axes=(1, 2))
    return quarters[..., ::-1] if turn >= 4 else quarters


def turned(picture: GreyArray, turn: int) -> GreyArray:
    """Hold a picture in one of the `TURNS`: quarters to the left, from 4 on mirrored as well."""
    quarters = np.rot90(picture, turn % 4)
    return np.ascontiguousarray(quarters[:, ::-1] if turn >= 4 else quarters)
