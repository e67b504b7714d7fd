"""Fits the whole frame of a photograph into a square. Ships beside the weights.

It imports nothing of dermsim: NumPy and Pillow, which transformers resizes pictures with, too.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def whole_frame(image: np.ndarray, side: int, resample: int) -> np.ndarray:
    """Resize the longer side of a picture, and fill the square up with its mirror image.

    A mirror image brings no edge and no colour that the photograph does not have: bars of one
    colour would tell an encoder the shape of the frame, and with it the clinic.

    Args:
        image: ``(3, H, W)`` uint8.
        side: S, in pixels.
        resample: PIL's number of the filter.

    Returns:
        ``(3, S, S)`` uint8; the picture is in its middle, between rows or columns of its own.
    """
    height, width = fitted_size(image.shape[-2], image.shape[-1], side)
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    resized = picture.resize((width, height), Image.Resampling(resample))
    small = np.moveaxis(np.asarray(resized), -1, 0)
    above, before = (side - height) // 2, (side - width) // 2
    margins = ((0, 0), (above, side - height - above), (before, side - width - before))
    return np.pad(small, margins, mode="symmetric")


def fitted_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the height and width at which a picture just fits into a square, in pixels."""
    longer = max(height, width)
    return max(1, round(height * side / longer)), max(1, round(width * side / longer))
