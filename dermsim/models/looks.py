"""What the encoder's input looks like apart from what the encoder says of it: hashes, and figures.

They are made of the prepared square, so that what is compared and judged is what the encoder sees.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.data.duplicates.looks import HASHED, fine_hashes
from dermsim.tasks.detect.statistics import SIDE, pixel_statistics

if TYPE_CHECKING:
    import torch

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


def look_at(
    pixel_values: torch.Tensor | npt.NDArray[np.floating],
    processor: Processor,
    *,
    statistics: bool = True,
) -> Looks:
    """Say what prepared pictures look like.

    Args:
        pixel_values: ``(N, 3, S, S)`` as `processor` makes them.
        processor: Says how they were normalised.
        statistics: False leaves them out, ``(N, 0)``: they take most of the time.
    """
    return looks_of(shown(pixel_values, processor), statistics=statistics)


def looks_of(pixels: npt.NDArray[np.float32], *, statistics: bool = True) -> Looks:
    """Say what pictures ``(N, 3, S, S)`` in [0, 1] look like, as `look_at`."""
    grey = np.einsum("nchw,c->nhw", pixels, np.array(GREY, dtype=np.float32))
    squares = averaged(grey, HASHED)
    none = np.zeros((len(squares), 0), np.float32)
    return Looks(fine_hashes(squares), _statistics(pixels) if statistics else none)


def describe(pictures: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the statistics ``(N, K)`` of pictures ``(N, S, S, 3)`` in [0, 1]."""
    return _statistics(np.moveaxis(np.asarray(pictures, dtype=np.float32), -1, 1))


def _statistics(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the statistics of pictures ``(N, 3, S, S)``."""
    return pixel_statistics(np.moveaxis(averaged(pixels.clip(0, 1), SIDE), 1, -1))


def averaged(pictures: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """Reduce pictures to a side by averages over areas that may overlap by a pixel.

    Args:
        pictures: ``(..., H, W)``.
        side: S, in pixels.

    Returns:
        ``(..., S, S)`` float32, what torch's adaptive average pooling gives.
    """
    height, width = pictures.shape[-2:]
    small = _areas(height, side) @ pictures @ _areas(width, side).T
    return np.asarray(small, dtype=np.float32)


@functools.cache
def _areas(length: int, side: int) -> npt.NDArray[np.float32]:
    """Return ``(S, L)``, how much of each pixel there is in each of S areas of a line."""
    weights = np.zeros((side, length), dtype=np.float32)
    for place in range(side):
        first, last = place * length // side, -(-(place + 1) * length // side)
        weights[place, first:last] = 1 / (last - first)
    return weights


def shown(
    pixel_values: torch.Tensor | npt.NDArray[np.floating], processor: Processor
) -> npt.NDArray[np.float32]:
    """Return the pictures ``(N, 3, S, S)`` in [0, 1] that were normalised."""
    if not isinstance(pixel_values, np.ndarray):  # whoever holds a tensor has imported torch
        pixel_values = pixel_values.detach().cpu().float().numpy()
    mean, std = (
        np.asarray(channels, dtype=np.float32)[:, None, None]
        for channels in (processor.image_mean, processor.image_std)
    )
    return pixel_values * std + mean
