"""Colour spaces as ICC profiles, for pictures that name theirs without carrying a profile.

Ships beside the weights; needs NumPy alone. The profiles are of version 4.3, with three colorants
and one tone curve (ICC.1:2010, https://www.color.org/specification/ICC1v43_2010-12.pdf).
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np

D65 = (0.3127, 0.3290)
"""Chromaticity of the white of most colour spaces."""

BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
"""Chromaticities of sRGB's red, green and blue."""

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Of sRGB, from number to light: ``(a x + b) ** g`` from d on, below it ``c x``; as g, a, b, c, d
(IEC 61966-2-1)."""

ADOBE_RGB_GAMMA = 563 / 256
"""Of Adobe RGB (1998), https://www.adobe.com/digitalimag/pdfs/AdobeRGB1998.pdf."""

ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
"""Chromaticities of Adobe RGB's red, green and blue."""

_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the white that ICC profiles are relative to
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""From XYZ to the responses of the eye's cones, in which whites are adapted (ICC.1, annex E)."""

Chromaticity = tuple[float, float]
Primaries = tuple[Chromaticity, Chromaticity, Chromaticity]
Curve = float | tuple[float, ...]
"""A gamma, the exponent from number to light; or five numbers like `SRGB_CURVE`."""


@lru_cache(maxsize=32)
def rgb_profile(primaries: Primaries, white: Chromaticity, curve: Curve) -> bytes:
    """Return the ICC profile of an RGB colour space.

    Args:
        primaries: CIE 1931 x and y of red, green and blue.
        white: Of its white.
        curve: From number to light.

    Raises:
        ValueError: If these are no colours, as when they lie on one line.
    """
    adaptation = _adaptation(white)
    colorants = adaptation @ _to_xyz(primaries, white)
    tags = {b"wtpt": _xyz(_D50), b"chad": _numbers(b"sf32", adaptation.ravel())}
    for name, column in zip(b"rgb", colorants.T, strict=True):
        tags[bytes([name]) + b"XYZ"] = _xyz(column)
        tags[bytes([name]) + b"TRC"] = _curve(curve)
    return _profile(b"RGB ", tags)


@lru_cache(maxsize=32)
def grey_profile(curve: Curve) -> bytes:
    """Return the ICC profile of greys.

    Args:
        curve: From number to light.

    Raises:
        ValueError: If the curve is none.
    """
    return _profile(b"GRAY", {b"wtpt": _xyz(_D50), b"kTRC": _curve(curve)})


def _to_xyz(primaries: Primaries, white: Chromaticity) -> np.ndarray:
    """Return the ``(3, 3)`` matrix from light of the three colours to XYZ."""
    directions = np.stack([_direction(color) for color in primaries], axis=1)
    try:
        amounts = np.linalg.solve(directions, _direction(white))
    except np.linalg.LinAlgError as error:
        raise ValueError("the three colours lie on one line") from error
    return directions * amounts


def _adaptation(white: Chromaticity) -> np.ndarray:
    """Return the ``(3, 3)`` matrix that makes a white that of ICC profiles (Bradford)."""
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ _direction(white))
    return np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD


def _direction(color: Chromaticity) -> np.ndarray:
    """Return XYZ of a chromaticity, with Y = 1."""
    x, y = color
    if not (0 < y <= 1 and 0 <= x <= 1 and x + y <= 1):
        raise ValueError(f"there is no colour of chromaticity {x:g}, {y:g}")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _numbers(kind: bytes, values: np.ndarray) -> bytes:
    """Write numbers as s15Fixed16."""
    fixed = np.round(np.asarray(values, dtype=np.float64) * 65536)
    if not (np.isfinite(fixed).all() and np.abs(fixed).max() < 2**31):
        raise ValueError("a number of the colour space is out of range")
    return kind + bytes(4) + struct.pack(f">{len(fixed)}i", *(int(value) for value in fixed))


def _xyz(values: np.ndarray) -> bytes:
    return _numbers(b"XYZ ", values)


def _curve(curve: Curve) -> bytes:
    parameters = (curve,) if isinstance(curve, float | int) else curve
    kind = {1: 0, 5: 3}[len(parameters)]  # of ICC.1, table 65: the exponent alone, or sRGB's form
    body = _numbers(b"para", np.asarray(parameters))
    return body[:8] + struct.pack(">HH", kind, 0) + body[8:]


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Put header, table of tags and tags together."""
    start = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4xI4s4s4s", start + len(body), 0x04300000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
