"""What a run does with outlines: crops around lesions, and lesions on other patients' skin.

Outlines say where the lesion of a training photograph lies. Views may then be cut around it at a
chosen scale, and its surroundings exchanged for those of another photograph, so that hairs, rulers
and dark corners say nothing about the diagnosis (as Xiao 2021, https://arxiv.org/abs/2006.09994,
measured it of backgrounds). The diagnosis is the lesion's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from dermsim.core.refused import Refused
from dermsim.data.pixels import map_images

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines

OWN = -1
"""Stands for a photograph that keeps its surroundings."""

_MOST = 0.5  # of a picture that a lesion may fill for its surroundings to be worth having
_RIM = 0.03  # width of the skin that goes with a lesion, in shorter sides


@dataclass(frozen=True)
class Lesions:
    """Where the lesions of N photographs lie.

    Attributes:
        masks: ``(M, H, W)`` bool on the pictures' device, of the photographs that have an outline.
        mask_of: ``(N,)`` int64 on the CPU, which of the masks is a photograph's; -1 without one.
        boxes: ``(N, 3)`` float32 on the CPU: the middle of a lesion, x and y from the picture's
            centre, and half its longer side, in halves of the picture's shorter side; zero without
            an outline.
        donors: ``(D,)`` int64 on the CPU, photographs whose lesion leaves enough skin around it.
    """

    masks: torch.Tensor
    mask_of: torch.Tensor
    boxes: torch.Tensor
    donors: torch.Tensor

    @classmethod
    def load(
        cls,
        sources: Sequence[Dataset],
        outlines: Outlines,
        *,
        fit: Callable[[Image.Image], np.ndarray],
        device: torch.device,
    ) -> Lesions:
        """Read the outlines of photographs.

        Args:
            sources: Rows with ``image`` and ``image_id``; those without an outline go without.
            outlines: By image_id.
            fit: What brings the photographs to their ``(3, H, W)``.
            device: Where the masks go.

        Raises:
            ValueError: If none has an outline, or one cannot be read or does not fit its picture.
        """
        masks: list[np.ndarray] = []
        mask_of: list[int] = []
        for rows in sources:
            names = list(rows["image_id"])
            known = [row for row, name in enumerate(names) if name in outlines]
            sizes = dict(zip(known, map_images(rows.select(known), lambda i: i.size), strict=True))
            for row, name in enumerate(names):
                if row in sizes:
                    outline = Image.fromarray(outlines.of(name, sizes[row])).convert("RGB")
                    masks.append(fit(outline)[0] >= 128)
                    # Nothing of it may be left in a picture that was cropped.
                    mask_of.append(len(masks) - 1 if masks[-1].any() else OWN)
                else:
                    mask_of.append(OWN)
        if not masks:
            raise Refused("lesions.no_outline")
        index = torch.tensor(mask_of)
        boxes = torch.zeros(len(index), 3)
        for row in (index >= 0).nonzero().flatten().tolist():
            boxes[row] = torch.from_numpy(_box(masks[index[row]]))
        share = np.array([mask.mean() for mask in masks])
        spacious = torch.from_numpy(share < _MOST)[index.clamp(min=0)] & (index >= 0)
        return cls(
            torch.from_numpy(np.stack(masks)).to(device), index, boxes, spacious.nonzero().flatten()
        )

    def draw_donors(self, n: int, share: float, *, generator: torch.Generator) -> torch.Tensor:
        """Draw whose surroundings n views get.

        Args:
            n: How many.
            share: Probability with which a view gets others than its own.
            generator: A CPU generator.

        Returns:
            ``(n,)`` int64, a photograph each, or `OWN`.
        """
        place = torch.randint(0, max(1, len(self.donors)), (n,), generator=generator)
        other = torch.rand(n, generator=generator) < share
        if len(self.donors) == 0:
            return torch.full((n,), OWN)
        return torch.where(other, self.donors[place], OWN)

    def exchange(
        self, pixels: torch.Tensor, rows: torch.Tensor, donors: torch.Tensor
    ) -> torch.Tensor:
        """Take photographs, and put the lesions of some of them on other skin.

        Args:
            pixels: ``(N, 3, H, W)`` uint8, all photographs.
            rows: ``(B,)`` int64, which are taken.
            donors: ``(B,)`` int64 on the CPU, whose surroundings each gets, or `OWN`; one without
                an outline keeps its own.

        Returns:
            ``(B, 3, H, W)`` uint8, a new tensor.
        """
        taken = pixels[rows]
        lesions = self.mask_of[rows.cpu()]
        moved = ((donors != OWN) & (lesions >= 0)).nonzero().flatten()
        if len(moved):
            where, device = moved.to(taken.device), self.masks.device
            givers = donors[moved].to(pixels.device)
            skin = without_lesions(
                pixels[givers].float(), self.masks[self.mask_of[donors[moved]].to(device)]
            )
            cover = soft_masks(self.masks[lesions[moved].to(device)])
            mixed = torch.lerp(skin, taken[where].float(), cover[:, None])
            taken[where] = mixed.round_().clamp_(0, 255).to(torch.uint8)
        return taken


def soft_masks(masks: torch.Tensor) -> torch.Tensor:
    """Widen masks by a rim of skin and soften their edge.

    Args:
        masks: ``(N, H, W)`` bool.

    Returns:
        ``(N, H, W)`` float32 in [0, 1]; 1 all over the mask, and falling to 0 around it.
    """
    reach = max(1, round(_RIM * min(masks.shape[-2:])))
    soft = F.max_pool2d(masks[:, None].float(), 4 * reach + 1, 1, 2 * reach)
    for _ in range(2):  # twice a box is a tent, which ends where the mask begins
        soft = F.avg_pool2d(soft, 2 * reach + 1, 1, reach, count_include_pad=False)
    return soft[:, 0]


def without_lesions(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Fill lesions with what surrounds them: averages of ever larger neighbourhoods, "push-pull".

    Gortler 1996, "The Lumigraph", https://doi.org/10.1145/237170.237200.

    Args:
        images: ``(N, 3, H, W)`` float.
        masks: ``(N, H, W)`` bool, what is to be filled; not all of an image.

    Returns:
        ``(N, 3, H, W)`` float; what is well outside the masks is as it was.
    """
    weight = 1 - soft_masks(masks)[:, None]
    value = images * weight
    levels = []
    while min(value.shape[-2:]) > 1:
        levels.append((value, weight))
        value, weight = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (value, weight))
    total = weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    filled = (value.sum(dim=(2, 3), keepdim=True) / total).expand_as(value)
    for value, weight in reversed(levels):
        larger = F.interpolate(filled, size=value.shape[-2:], mode="bilinear", align_corners=False)
        filled = value + (1 - weight) * larger
    return filled


def _box(mask: np.ndarray) -> np.ndarray:
    """Return the middle x and y and half the longer side of what a mask covers, see `Lesions`."""
    height, width = mask.shape
    left, right = np.flatnonzero(mask.any(axis=0))[[0, -1]] + (0, 1)
    top, bottom = np.flatnonzero(mask.any(axis=1))[[0, -1]] + (0, 1)
    middle = (left + right - width, top + bottom - height)
    longer = max(right - left, bottom - top)
    return np.array([*middle, longer], dtype=np.float32) / min(height, width)
