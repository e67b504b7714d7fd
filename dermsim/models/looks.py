"""What the encoder's input looks like apart from what the encoder says of it: hashes, and figures.

They are made of the prepared square, so that what is compared and judged is what the encoder sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dermsim.data.duplicates.looks import HASHED, fine_hashes
from dermsim.tasks.detect.statistics import SIDE, pixel_statistics

if TYPE_CHECKING:
    from dermsim.models.encoder import Processor

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What N pictures look like.

    Attributes:
        hashes: ``(N, 8, 4)`` uint64, perceptual hashes of each held in all eight ways; see
            `dermsim.data.duplicates.looks.fine_hashes`.
        statistics: ``(N, K)`` float32, of `dermsim.tasks.detect.statistics.pixel_statistics`.
    """

    hashes: npt.NDArray[np.uint64]
    statistics: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """N."""
        return len(self.hashes)

    @property
    def cases(self) -> npt.NDArray[np.uint64]:
        """Hashes ``(N, 4)`` of the pictures as they are: what a gallery keeps of its cases."""
        return self.hashes[:, 0]

    @classmethod
    def join(cls, parts: Sequence[Looks]) -> Looks:
        """Put the looks of several batches together."""
        return cls(
            np.concatenate([part.hashes for part in parts]),
            np.concatenate([part.statistics for part in parts]),
        )


def look_at(pixel_values: torch.Tensor, processor: Processor, *, statistics: bool = True) -> Looks:
    """Say what prepared pictures look like.

    Args:
        pixel_values: ``(N, 3, S, S)`` as `processor` makes them.
        processor: Says how they were normalised.
        statistics: False leaves them out, ``(N, 0)``: they take most of the time.
    """
    pixels = shown(pixel_values, processor)
    weights = pixels.new_tensor(GREY)[:, None, None]
    grey = (pixels * weights).sum(dim=1, keepdim=True)
    squares = torch.nn.functional.adaptive_avg_pool2d(grey, HASHED)[:, 0].numpy()
    none = np.zeros((len(squares), 0), np.float32)
    return Looks(fine_hashes(squares), _statistics(pixels) if statistics else none)


def describe(pictures: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the statistics ``(N, K)`` of pictures ``(N, S, S, 3)`` in [0, 1]."""
    return _statistics(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())


def _statistics(pixels: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return the statistics of pictures ``(N, 3, S, S)``."""
    small = torch.nn.functional.interpolate(pixels.clamp(0, 1), size=(SIDE, SIDE), mode="area")
    return pixel_statistics(small.permute(0, 2, 3, 1).numpy())


def shown(pixel_values: torch.Tensor, processor: Processor) -> torch.Tensor:
    """Return the pictures ``(N, 3, S, S)`` in [0, 1] that were normalised, on the CPU."""
    values = pixel_values.detach().cpu().float()
    mean, std = (
        values.new_tensor(tuple(channels))[:, None, None]
        for channels in (processor.image_mean, processor.image_std)
    )
    return values * std + mean
