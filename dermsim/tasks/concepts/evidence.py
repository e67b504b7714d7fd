"""Does a region carry a finding? It is blotted out on the encoder's maps, and the head asked again.

The maps' cells under the region get the mean of the lesion's other cells, which blurs away what is
special about them; the summary that concept heads read is made anew. Nothing runs through the
encoder again, so that a description costs little more than a prediction.
`dermsim.evaluation.protocols.blur_protocol` checks the same on blurred pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.tasks.concepts.dense import on_grid

BoolArray = npt.NDArray[np.bool_]
Maps = Sequence[npt.NDArray[np.floating]]
"""Of one picture, for each stage ``(C, h, w)``, fine to coarse."""


def blot_out(
    features: npt.NDArray[np.floating],
    maps: Maps,
    last: npt.NDArray[np.floating],
    region: BoolArray,
    lesion: BoolArray,
) -> npt.NDArray[np.float64]:
    """Return the features of a picture whose region looks like the rest of its lesion.

    Args:
        features: ``(G,)`` as `dermsim.models.stages.sum_up` made them.
        maps: Of the same picture.
        last: ``(F, h, w)``, the features that were pooled; an encoder that does not take their
            mean keeps its pooled features as they are.
        region: ``(g, g)`` bool.
        lesion: ``(g, g)`` bool, larger than the region.

    Returns:
        ``(G,)``.
    """
    edited = [_filled(stage, region, lesion) for stage in maps]
    pooled = np.asarray(features[: len(features) - 2 * sum(len(m) for m in maps)], np.float64)
    means = last.mean(axis=(1, 2))
    if means.shape == pooled.shape and np.allclose(means, pooled, atol=1e-3):
        pooled = _filled(last, region, lesion).mean(axis=(1, 2))
    return np.concatenate(
        [
            pooled,
            *(stage.mean(axis=(1, 2)) for stage in edited),
            *(stage.std(axis=(1, 2)) for stage in edited),
        ]
    )


def _filled(
    stage: npt.NDArray[np.floating], region: BoolArray, lesion: BoolArray
) -> npt.NDArray[np.float64]:
    """Fill the cells of ``(C, h, w)`` under a region with the mean of the lesion's others."""
    covered = _shares(region, stage.shape[1:])
    others = _shares(lesion & ~region, stage.shape[1:])
    values = np.asarray(stage, dtype=np.float64)
    if others.sum() <= 0:
        others = 1 - covered
    total = others.sum()
    if total <= 0:
        return values
    rest = (values * others).sum(axis=(1, 2)) / total
    filled: npt.NDArray[np.float64] = values * (1 - covered) + rest[:, None, None] * covered
    return filled


def _shares(region: BoolArray, cells: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return how much of each cell of a coarser grid a region covers, ``(h, w)`` in [0, 1]."""
    (height, width), (down, across) = region.shape, cells
    if height % down == 0 and width % across == 0:
        blocks = region.reshape(down, height // down, across, width // across)
        return blocks.mean(axis=(1, 3))
    side = down * across
    fine = on_grid(region.astype(np.float32), side).reshape(down, across, across, down)
    return fine.mean(axis=(1, 3)).astype(np.float64)
