"""Score-CAM: how high the score still is when all but what a channel responds to is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dermsim.tasks.explain.opening import Opened
from dermsim.tasks.explain.targets import Target, score_each

BATCH = 32
"""Masked images per forward pass."""


def scorecam(opened: Opened, targets: Sequence[Target], *, batch_size: int = BATCH) -> list[Tensor]:
    """Weigh each channel by the score of the image under it (Wang et al. 2020, 1910.01279).

    Each channel, stretched to [0, 1] and to the size of the image, dims the image; the softmax over
    channels of the scores weighs them. Every image and channel shares the batches, and a mask is
    asked once however many channels give it: those without any response, and on a coarse map those
    that respond at the same single place, are many. The channels of an ensemble are those of all
    its members, each asked of all.

    Args:
        opened: At the features to weigh.
        targets: One per image.
        batch_size: Masked images per forward pass.

    Returns:
        Raw maps (B, h, w) of each member, negative values included.
    """
    maps = [own.float() for own in opened.as_maps([tap.detach() for (tap,) in opened.taps])]
    with torch.inference_mode(False), torch.no_grad():
        jobs = [_Masks(own) for own in maps]
        scores = [masks.scatter(_ask(opened, targets, masks, batch_size)) for masks in jobs]
        weights = torch.softmax(torch.cat(scores, dim=1), dim=1).split(
            [m.shape[1] for m in maps], 1
        )
        return [
            torch.einsum("bc,bchw->bhw", weight, own)
            for weight, own in zip(weights, maps, strict=True)
        ]


class _Masks:
    """The distinct masks of a batch of feature maps (B, C, h, w).

    Attributes:
        distinct: (M, h, w) in [0, 1].
        owners: (M,) which image each is for.
    """

    def __init__(self, maps: Tensor) -> None:
        low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
        # bilinear interpolation stays between the corners of a cell and meets them, so that
        # stretching to [0, 1] may as well come before it
        span = torch.where(high > low, high - low, 1)
        scaled = ((maps - low) / span).flatten(2)
        found = [torch.unique(own, dim=0, return_inverse=True) for own in scaled]
        self.distinct = torch.cat([masks for masks, _ in found]).unflatten(1, maps.shape[2:])
        sizes = [len(masks) for masks, _ in found]
        self.owners = [image for image, size in enumerate(sizes) for _ in range(size)]
        starts = torch.tensor([0, *sizes]).cumsum(0).tolist()
        self._rows = torch.stack([rows + s for (_, rows), s in zip(found, starts, strict=False)])

    def scatter(self, scores: Tensor) -> Tensor:
        """Give each channel the score of its mask: (M,) to (B, C)."""
        return scores[self._rows]


def _ask(opened: Opened, targets: Sequence[Target], masks: _Masks, batch_size: int) -> Tensor:
    """Return the score of each image under each of its masks, (M,)."""
    model: Any = opened.model
    size = opened.pixel_values.shape[-2:]
    scores = []
    for start in range(0, len(masks.owners), batch_size):
        rows = slice(start, start + batch_size)
        owners = masks.owners[rows]
        mask = masks.distinct[rows, None]
        # corners on corners, as in the authors' code and in pytorch-grad-cam
        stretched = F.interpolate(mask, size=size, mode="bilinear", align_corners=True)
        hidden = opened.pixel_values[owners] * stretched.to(opened.pixel_values.dtype)
        scores.append(score_each(targets, model.decode(model.encode(hidden)), owners).float())
    return torch.cat(scores)
