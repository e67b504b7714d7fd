"""ICC profiles and pictures in their colours, made byte by byte and apart from the package's own.

The colorants are those that the colour spaces' published profiles hold, adapted to D50.
"""

import struct
import zlib

import numpy as np

COLORANTS = {  # columns: red, green, blue; rows: X, Y, Z
    "sRGB": [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]],
    "Display P3": [
        [0.51512, 0.29198, 0.15710],
        [0.24120, 0.69225, 0.06657],
        [-0.00105, 0.04189, 0.78407],
    ],
    "Adobe RGB": [
        [0.60974, 0.20528, 0.14919],
        [0.31111, 0.62567, 0.06322],
        [0.01947, 0.06087, 0.74457],
    ],
    "ProPhoto": [[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82491]],
}
GAMMAS = {"sRGB": None, "Display P3": None, "Adobe RGB": 563 / 256, "ProPhoto": 461 / 256}
"""None is sRGB's curve."""

SPACES = tuple(COLORANTS)


def to_light(numbers, gamma=None):
    """From 0..1 to light."""
    numbers = np.asarray(numbers, dtype=np.float64)
    if gamma is not None:
        return numbers**gamma
    return np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)


def to_numbers(light, gamma=None):
    """From light to 0..1, clipped."""
    light = np.clip(light, 0, 1)
    if gamma is not None:
        return light ** (1 / gamma)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def in_space(pixels, space):
    """Write sRGB pixels, uint8, with the numbers of another space."""
    light = to_light(np.asarray(pixels) / 255) @ np.transpose(COLORANTS["sRGB"])
    other = light @ np.linalg.inv(np.transpose(COLORANTS[space]))
    return (to_numbers(other, GAMMAS[space]) * 255).round().astype(np.uint8)


def as_srgb(pixels, space):
    """Show the numbers of another space as sRGB pixels, uint8."""
    light = to_light(np.asarray(pixels) / 255, GAMMAS[space]) @ np.transpose(COLORANTS[space])
    own = light @ np.linalg.inv(np.transpose(COLORANTS["sRGB"]))
    return (to_numbers(own) * 255).round().astype(np.uint8)


def rgb_profile(space):
    """A matrix profile of version 2."""
    gamma, tags = GAMMAS[space], {b"wtpt": _xyz((0.9642, 1, 0.8249))}
    for name, column in zip(b"rgb", np.transpose(COLORANTS[space]), strict=True):
        tags[bytes([name]) + b"XYZ"] = _xyz(column)
        tags[bytes([name]) + b"TRC"] = _curve(gamma)
    return profile(b"RGB ", b"XYZ ", b"mntr", tags)


def grey_profile(gamma=None):
    return profile(
        b"GRAY", b"XYZ ", b"mntr", {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"kTRC": _curve(gamma)}
    )


def cmyk_profile(lab_of):
    """A printer's profile of two steps an ink: `lab_of` says what (c, m, y, k) of 0 and 1 is."""
    ramp = bytes(range(256))
    corners = np.array([lab_of(i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(16)])
    clut = np.stack([corners[:, 0] * 2.55, corners[:, 1] + 128, corners[:, 2] + 128], axis=1)
    body = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    body += struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    body += ramp * 4 + clut.round().astype(np.uint8).tobytes() + ramp * 3
    return profile(b"CMYK", b"Lab ", b"prtr", {b"wtpt": _xyz((0.9642, 1, 0.8249)), b"A2B0": body})


def profile(space, pcs, kind, tags):
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02400000, kind, space, pcs)
    header += bytes(12) + b"acsp" + bytes(28) + _xyz((0.9642, 1, 0.8249))[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * float(v)) for v in values))


def _curve(gamma):
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    steps = (to_light(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + steps.tobytes()


def png_with(data, *chunks):
    """Put chunks, pairs of a name and a body, after the header of a PNG."""
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return data[:33] + made + data[33:]
