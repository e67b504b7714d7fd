"""What numbers stand for: samples of any depth, as the 8 bits that a screen shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_DEPTHS = (10, 12)


def used_bits(values: npt.NDArray[np.integer], allocated: int) -> int:
    """Tell how many of the bits of 16-bit samples are used.

    Cameras and microscopes store 10 or 12 bits in 16. Were the samples of such a picture read as 16
    bits, its brightest place would have a sixteenth of white, which no photograph has.

    Args:
        values: ``(...)`` of an unsigned dtype.
        allocated: Bits of each sample in the file.
    """
    if allocated != 16 or not values.size:
        return allocated
    most = int(values.max())
    return next((bits for bits in _DEPTHS if (1 << 8) <= most < (1 << bits)), allocated)


def to_eight_bits(values: npt.NDArray[np.integer], bits: int) -> npt.NDArray[np.uint8]:
    """Scale unsigned samples of ``bits`` bits to 0..255, rounded to the nearest.

    Args:
        values: ``(...)`` in 0..2^bits - 1; what is above counts as white.
        bits: 1 to 32.
    """
    if bits == 8 and values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    top = (1 << bits) - 1
    clipped = np.minimum(values, top).astype(np.float32 if bits <= 16 else np.float64)
    return np.asarray(clipped * (255 / top) + 0.5, dtype=np.uint8)
