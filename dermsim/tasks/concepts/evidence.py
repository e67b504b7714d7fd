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
    regions: Sequence[BoolArray],
    lesion: BoolArray,
) -> npt.NDArray[np.float64]:
    """Return the features of a picture as they are when a region looks like the rest of its lesion.

    Args:
        features: ``(G,)`` as `dermsim.models.stages.sum_up` made them.
        maps: Of the same picture.
        last: ``(F, h, w)``, the features that were pooled; an encoder that does not take their
            mean keeps its pooled features as they are.
        regions: R regions, each ``(g, g)`` bool, blotted out one at a time.
        lesion: ``(g, g)`` bool.

    Returns:
        ``(R, G)``, a row for each region.
    """
    channels = 2 * sum(len(stage) for stage in maps)
    pooled = np.asarray(features[: len(features) - channels], dtype=np.float64)
    pooled = np.broadcast_to(pooled, (len(regions), len(pooled)))
    plain = last.mean(axis=(1, 2))
    if plain.shape == pooled.shape[1:] and np.allclose(plain, pooled[0], atol=1e-3):
        pooled = _moments(last, regions, lesion)[0]
    moments = [_moments(stage, regions, lesion) for stage in maps]
    return np.concatenate(
        [pooled, *(mean for mean, _ in moments), *(spread for _, spread in moments)], axis=1
    )


def _moments(
    stage: npt.NDArray[np.floating], regions: Sequence[BoolArray], lesion: BoolArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and spread of each channel, ``(R, C)``, with each region filled.

    The cells of ``(C, h, w)`` under a region get the mean of the lesion's others: with r the share
    of a cell that is covered, v becomes v (1 - r) + rest r. Both moments follow from products of
    the map, and of its square, with the regions; no filled map is made.
    """
    grid = stage.shape[1:]
    values = np.asarray(stage, dtype=np.float64).reshape(len(stage), -1)
    covered = np.stack([_shares(region, grid).ravel() for region in regions])
    others = np.stack([_shares(lesion & ~region, grid).ravel() for region in regions])
    nothing = others.sum(axis=1) <= 0
    others[nothing] = 1 - covered[nothing]
    total = others.sum(axis=1)
    # a region that is the whole picture leaves nothing to fill it from, and stays
    covered[total <= 0] = 0
    rest = (others @ values.T) / np.maximum(total, 1e-12)[:, None]
    cells, seen = values.shape[1], 1 - covered
    mean = (seen @ values.T + rest * covered.sum(axis=1)[:, None]) / cells
    square = (
        seen**2 @ (values**2).T
        + 2 * rest * ((seen * covered) @ values.T)
        + rest**2 * (covered**2).sum(axis=1)[:, None]
    ) / cells
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _shares(region: BoolArray, cells: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return how much of each cell of a coarser grid a region covers, ``(h, w)`` in [0, 1]."""
    (height, width), (down, across) = region.shape, cells
    if height % down == 0 and width % across == 0:
        blocks = region.reshape(down, height // down, across, width // across)
        return blocks.mean(axis=(1, 3))
    side = down * across
    fine = on_grid(region.astype(np.float32), side).reshape(down, across, across, down)
    return fine.mean(axis=(1, 3)).astype(np.float64)
