"""Between the square that an encoder sees and the photograph that it was cut from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.models.encoder import Processor
    from dermsim.tasks.explain import Heatmap


@dataclass(frozen=True)
class Frame:
    """Which square of a photograph an encoder sees, around the photograph's centre.

    Attributes:
        seen: Side of the square, as a share of one side of the photograph.
        whole: Whether that is the longer side, so that the square shows the whole frame and, beyond
            it, its mirror image; else it is the shorter one.
        squashed: Whether the share is of both sides: the square is the frame, stretched.
    """

    seen: float = 1.0
    whole: bool = False
    squashed: bool = False

    @classmethod
    def of(cls, processor: Processor) -> Frame:
        """Read what a processor cuts out."""
        size = dict(processor.size)
        if size.get("height"):
            return cls(processor.crop_size["height"] / size["height"], squashed=True)
        whole = not size.get("shortest_edge")
        edge = size["longest_edge" if whole else "shortest_edge"]
        return cls(processor.crop_size["height"] / edge, whole)

    def side(self, size: tuple[int, int]) -> int:
        """Return the side of the square in pixels of a photograph of this width and height."""
        return round((max(size) if self.whole else min(size)) * self.seen)

    def part(self, size: tuple[int, int], side: int) -> tuple[int, int, tuple[int, int, int, int]]:
        """Say what of a photograph is in the square, and where in the square it is.

        Args:
            size: Width and height of the photograph, in pixels.
            side: Of the square, in its own pixels.

        Returns:
            Width and height of the part, in pixels of the photograph; left, top, right and bottom
            of it in the square, in pixels of that.
        """
        width, height = size
        if self.squashed:
            across, down = (max(1, round(length * self.seen)) for length in size)
            return across, down, (0, 0, side, side)
        shown = self.side(size)
        across, down = min(shown, width), min(shown, height)
        return across, down, _shown_part(side, shown, across, down)


def place_heatmap(heatmap: Heatmap, size: tuple[int, int], frame: Frame) -> Heatmap:
    """Lay a heatmap of the square the encoder sees where it belongs on the photograph.

    Args:
        heatmap: Of the square.
        size: Width and height of the photograph, in pixels.
        frame: Where the square lies.

    Returns:
        The heatmap of the whole photograph, ``(H, W)``; zero where the encoder does not look. What
        it says of a mirror image beyond the photograph is left out.
    """
    width, height = size
    across, down, box = frame.part(size, len(heatmap.values))
    part = Image.fromarray(heatmap.values).resize((across, down), Image.Resampling.BILINEAR, box)
    values = np.zeros((height, width), dtype=np.float32)
    above, before = (height - down) // 2, (width - across) // 2
    values[above : above + down, before : before + across] = np.asarray(part).clip(0, 1)
    seen = (
        before / width,
        above / height,
        (before + across) / width,
        (above + down) / height,
    )
    return replace(heatmap, values=values, seen=seen)


def place_region(
    log_odds: npt.NDArray[np.floating], size: tuple[int, int], frame: Frame
) -> npt.NDArray[np.bool_]:
    """Lay a region of the square that the encoder sees where it belongs on the photograph.

    Args:
        log_odds: ``(g, g)`` over the square, above 0 within the region.
        size: Width and height of the photograph, in pixels.
        frame: Where the square lies.

    Returns:
        ``(H, W)`` bool; False where the encoder does not look.
    """
    width, height = size
    across, down, box = frame.part(size, len(log_odds))
    part = Image.fromarray(np.asarray(log_odds, dtype=np.float32)).resize(
        (across, down), Image.Resampling.BILINEAR, box
    )
    found = np.zeros((height, width), dtype=bool)
    above, before = (height - down) // 2, (width - across) // 2
    found[above : above + down, before : before + across] = np.asarray(part) > 0
    return found


def cut_region(
    region: npt.NDArray[np.generic], size: tuple[int, int], *, side: int, frame: Frame
) -> npt.NDArray[np.float32]:
    """Cut what the encoder sees out of a region of a photograph: `place_heatmap` the other way.

    Args:
        region: ``(H, W)`` over the whole photograph, bool or weights in [0, 1].
        size: Width and height of the photograph, in pixels.
        side: Of the square that the encoder takes, in pixels.
        frame: Where the square lies.

    Returns:
        ``(side, side)`` float32 in [0, 1]: how much of each pixel the region covers; nothing of a
        mirror image beyond the photograph.

    Raises:
        ValueError: If the region has another size than the photograph, or other values.
    """
    width, height = size
    weights = np.asarray(region, dtype=np.float32)
    if weights.shape != (height, width):
        raise Refused("framing.region_shape", shape=np.shape(region), width=width, height=height)
    if not (weights.min() >= 0 and weights.max() <= 1):
        raise Refused("framing.region_values")
    across, down, box = frame.part(size, side)
    top, left = (height - down) // 2, (width - across) // 2
    part = Image.fromarray(weights[top : top + down, left : left + across])
    left, top, right, bottom = box
    covered = np.zeros((side, side), dtype=np.float32)
    covered[top:bottom, left:right] = np.asarray(
        part.resize((right - left, bottom - top), Image.Resampling.BOX)
    )
    return covered


def _shown_part(side: int, shown: int, across: int, down: int) -> tuple[int, int, int, int]:
    """Return where in the encoder's square the photograph lies, as `whole_frame` puts it there.

    Args:
        side: Of the square, in its own pixels.
        shown: Of the square, in pixels of the photograph.
        across: Width of what is both in the square and in the photograph, in the latter's pixels.
        down: Its height, likewise.

    Returns:
        Left, top, right and bottom, in the square's own pixels.
    """
    columns, rows = (max(1, round(length * side / shown)) for length in (across, down))
    left, top = (side - columns) // 2, (side - rows) // 2
    return left, top, left + columns, top + rows
