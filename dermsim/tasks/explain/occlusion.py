"""Occlusion: how much of the score is lost when a part of the picture cannot be seen.

After Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901. No gradient is asked, so that it still
says something where the score is at its top and its gradient vanishes, as the likeness of two
pictures that are nearly the same. Hidden parts are blurred rather than painted grey: a grey square
is a thing of its own, which no photograph of skin holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dermsim.tasks.explain.opening import Opened
from dermsim.tasks.explain.targets import Target, score_each

GRID = 8
"""Places down and across that are hidden in turn."""

REACH = 2
"""Width of what is hidden, in steps of the grid: neighbours overlap."""

BLUR = 1 / 8
"""Standard deviation of the blur, as a share of the picture's shorter side: half the width of what
is hidden, so that nothing of its structure is left."""

BATCH = 32
"""Pictures per forward pass."""


def occlusion(
    opened: Opened, targets: Sequence[Target], *, batch_size: int = BATCH
) -> list[Tensor]:
    """Hide one place after another, and return what the score loses.

    Args:
        opened: A look at the images.
        targets: One per image.
        batch_size: Pictures per forward pass.

    Returns:
        One raw map (B, `GRID`, `GRID`) for all members together; negative where the score rises.
    """
    model: Any = opened.model
    images = opened.pixel_values
    with torch.inference_mode(False), torch.no_grad():
        images = images.clone()
        masks, hidden = _masks(images), _blurred(images)
        rows = [(image, place) for image in range(len(images)) for place in range(len(masks))]
        found = []
        for start in range(0, len(rows), batch_size):
            owners, places = (
                list(part) for part in zip(*rows[start : start + batch_size], strict=True)
            )
            shown = torch.where(masks[places], hidden[owners], images[owners])
            found.append(score_each(targets, model.decode(model.encode(shown)), owners).float())
        # asked in the same way as the others, so that rounding is the same
        whole = score_each(targets, model.decode(model.encode(images)), range(len(images))).float()
        lost = whole[:, None] - torch.cat(found).unflatten(0, (len(images), -1))
    return [lost.unflatten(1, (GRID, GRID))]


def _masks(images: Tensor) -> Tensor:
    """Return which pixels each place hides, (GRID * GRID, 1, H, W) bool, row by row."""
    height, width = images.shape[-2:]
    down, across = (_spans(length, images) for length in (height, width))
    return (down[:, None, :, None] & across[None, :, None, :]).flatten(0, 1)[:, None]


def _spans(length: int, images: Tensor) -> Tensor:
    """Return which of `length` pixels each step of the grid hides, (GRID, length) bool."""
    pixels = torch.arange(length, device=images.device) + 0.5
    middles = (torch.arange(GRID, device=images.device) + 0.5) * (length / GRID)
    return (pixels[None] - middles[:, None]).abs() < REACH * length / GRID / 2


def _blurred(images: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur

    sigma = BLUR * min(images.shape[-2:])
    reach = min(int(2 * sigma), min(images.shape[-2:]) - 1)  # mirroring ends at the picture's side
    return gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2)
