"""Between the square that an encoder sees and the photograph that it was cut from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from dermsim.tasks.explain import Heatmap


def place_heatmap(heatmap: Heatmap, size: tuple[int, int], *, seen: float) -> Heatmap:
    """Lay a heatmap of the square the encoder sees where it belongs on the photograph.

    Args:
        heatmap: Of the central square.
        size: Width and height of the photograph, in pixels.
        seen: Side of the square as a share of the photograph's shorter side.

    Returns:
        The heatmap of the whole photograph, ``(H, W)``; zero where the encoder does not look.
    """
    width, height = size
    side = round(min(width, height) * seen)
    square = Image.fromarray(heatmap.values).resize((side, side), Image.Resampling.BILINEAR)
    values = np.zeros((height, width), dtype=np.float32)
    top, left = (height - side) // 2, (width - side) // 2
    values[top : top + side, left : left + side] = np.asarray(square).clip(0, 1)
    return replace(heatmap, values=values)


def cut_region(
    region: npt.NDArray[np.generic], size: tuple[int, int], *, side: int, seen: float
) -> npt.NDArray[np.float32]:
    """Cut what the encoder sees out of a region of a photograph: `place_heatmap` the other way.

    Args:
        region: ``(H, W)`` over the whole photograph, bool or weights in [0, 1].
        size: Width and height of the photograph, in pixels.
        side: Of the square that the encoder takes, in pixels.
        seen: Side of the square as a share of the photograph's shorter side.

    Returns:
        ``(side, side)`` float32 in [0, 1]: how much of each pixel the region covers.

    Raises:
        ValueError: If the region has another size than the photograph, or other values.
    """
    width, height = size
    weights = np.asarray(region, dtype=np.float32)
    if weights.shape != (height, width):
        raise ValueError(
            f"A region of shape {np.shape(region)} came with a photograph of {width} x {height} "
            f"pixels; it must be ({height}, {width})."
        )
    if not (weights.min() >= 0 and weights.max() <= 1):
        raise ValueError("A region must hold bools or weights in [0, 1].")
    shown = round(min(width, height) * seen)
    top, left = (height - shown) // 2, (width - shown) // 2
    square = Image.fromarray(weights[top : top + shown, left : left + shown])
    return np.asarray(square.resize((side, side), Image.Resampling.BOX))
