"""Where a concept is: a small network over the encoder's maps of several depths.

At each cell of a fine grid it reads the maps of all stages, brought to the grid by bilinear
interpolation: a hypercolumn (Hariharan 2015, https://arxiv.org/abs/1411.5752). One hidden layer
follows. Interpolation and the first layer are both linear, so that the layer is applied to each
map where it is coarse, which costs next to nothing. `dermsim.training.dense` fits one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused

Maps = Sequence[npt.NDArray[np.floating]]
"""Of N pictures, for each stage ``(N, C, h, w)``."""


@dataclass(frozen=True, eq=False)
class DenseHead:
    """A map for each of K outputs.

    Attributes:
        laterals: For each stage the first layer's weights ``(H, C)`` float32.
        hidden_bias: ``(H,)`` float32.
        output: ``(K, H)`` float32.
        output_bias: ``(K,)`` float32.
        grid: Cells along each side of what it gives.
    """

    laterals: tuple[npt.NDArray[np.float32], ...]
    hidden_bias: npt.NDArray[np.float32]
    output: npt.NDArray[np.float32]
    output_bias: npt.NDArray[np.float32]
    grid: int

    def __post_init__(self) -> None:
        """Refuse layers that do not follow one another."""
        width = len(self.hidden_bias)
        fits = all(part.ndim == 2 and len(part) == width for part in self.laterals)
        fits &= self.output.shape == (len(self.output_bias), width)
        if not (self.laterals and fits and type(self.grid) is int and self.grid > 0):
            raise Refused("concepts_dense.layers")
        if not all(np.isfinite(part).all() for part in self.arrays("").values()):
            raise Refused("concepts_dense.not_finite")

    def __call__(self, maps: Maps) -> npt.NDArray[np.float32]:
        """Return ``(N, K, grid, grid)`` float32: how much speaks for each output, as log-odds.

        Args:
            maps: What the encoder gives of N pictures.

        Raises:
            ValueError: If they are of another encoder.
        """
        widths = [part.shape[1] for part in self.laterals]
        if [stage.shape[1] for stage in maps] != widths:
            raise Refused(
                "concepts_dense.other_encoder",
                widths=widths,
                maps=[stage.shape[1] for stage in maps],
            )
        count, width = len(maps[0]), len(self.hidden_bias)
        hidden = np.empty((count, width, self.grid, self.grid), dtype=np.float32)
        hidden[:] = self.hidden_bias[:, None, None]
        for weight, stage in zip(self.laterals, maps, strict=True):
            cells = stage.shape[2:]
            flat = np.asarray(stage, dtype=np.float32).reshape(count, stage.shape[1], -1)
            hidden += on_grid((weight @ flat).reshape(count, width, *cells), self.grid)
        np.maximum(hidden, 0, out=hidden)
        found = self.output @ hidden.reshape(count, width, -1) + self.output_bias[:, None]
        return found.reshape(count, -1, self.grid, self.grid).astype(np.float32)

    def arrays(self, name: str) -> dict[str, npt.NDArray[np.float32]]:
        """Return the weights by name, as `from_arrays` takes them."""
        found = {f"{name}.lateral.{place}": part for place, part in enumerate(self.laterals)}
        return {
            **found,
            f"{name}.hidden_bias": self.hidden_bias,
            f"{name}.output": self.output,
            f"{name}.output_bias": self.output_bias,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[np.generic]], name: str, *, grid: int
    ) -> DenseHead:
        """Rebuild the head from arrays of the shapes that `arrays` gives, as from a file.

        Raises:
            ValueError: If a layer is missing or does not fit.
        """
        try:
            laterals: list[npt.NDArray[np.float32]] = []
            while (key := f"{name}.lateral.{len(laterals)}") in arrays:
                laterals.append(arrays[key].astype(np.float32))
            bias, output, output_bias = (
                arrays[f"{name}.{part}"].astype(np.float32)
                for part in ("hidden_bias", "output", "output_bias")
            )
        except KeyError as error:
            raise Refused("concepts_dense.lacks", name=name, error=error) from error
        return cls(tuple(laterals), bias, output, output_bias, grid)


def on_grid(maps: npt.NDArray[np.float32], grid: int) -> npt.NDArray[np.float32]:
    """Bring maps ``(..., h, w)`` to a square grid by bilinear interpolation.

    It is that of `torch.nn.functional.interpolate` with ``align_corners=False``: cells are squares
    whose middles are joined.
    """
    if maps.shape[-2:] == (grid, grid):
        return maps
    down, across = (_interpolation(length, grid) for length in maps.shape[-2:])
    return np.asarray(down @ maps @ across.T, dtype=np.float32)


@functools.lru_cache(maxsize=64)
def _interpolation(length: int, grid: int) -> npt.NDArray[np.float32]:
    """Return the matrix ``(grid, length)`` that interpolates along one side."""
    place = np.clip((np.arange(grid) + 0.5) * length / grid - 0.5, 0, length - 1)
    low = np.minimum(np.floor(place).astype(np.int64), max(length - 2, 0))
    share = place - low
    matrix = np.zeros((grid, length), dtype=np.float32)
    rows = np.arange(grid)
    matrix[rows, low] += 1 - share
    matrix[rows, np.minimum(low + 1, length - 1)] += share
    return matrix
