"""Samples of a depth that is known, as the 8 bits that a screen shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def scale_to_8_bits(values: npt.NDArray[np.integer], bits: int) -> npt.NDArray[np.uint8]:
    """Scale unsigned samples to 0..255, rounded to the nearest.

    Where a file only says that there are 16 bits, `dermsim.data.depth_dermsim.to_8_bits` finds out
    how many of them are used.

    Args:
        values: Numbers of any shape, in 0..2^bits - 1; what is above counts as white.
        bits: 1 to 32.
    """
    if bits == 8 and values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    top = (1 << bits) - 1
    clipped = np.minimum(values, top).astype(np.float32 if bits <= 16 else np.float64)
    return np.asarray(clipped * (255 / top) + 0.5, dtype=np.uint8)
