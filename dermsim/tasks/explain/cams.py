"""Class activation maps as formulas: from features and their gradients to raw maps.

Each formula maps activations and gradients, both (B, C, h, w), to raw maps (B, h, w). They are
checked in the tests against pytorch-grad-cam, which hooks the model it is given and so cannot be
asked from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def gradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight channels by their mean gradient (Selvaraju et al. 2017, arxiv.org/abs/1610.02391)."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def gradcam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight positive gradients by eq. 19 of Chattopadhay et al. 2018, arxiv.org/abs/1710.11063."""
    totals = activations.sum(dim=(2, 3), keepdim=True)
    alpha = gradients**2 / (2 * gradients**2 + totals * gradients**3 + 1e-6)
    weights = (gradients.clamp(min=0) * alpha).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def xgradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight gradients by share of activation (Fu et al. 2020, arxiv.org/abs/2008.02312)."""
    totals = activations.sum(dim=(2, 3), keepdim=True)
    weights = (gradients * activations / (totals + 1e-7)).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Multiply place by place, no averaging (Draelos & Carin 2020, arxiv.org/abs/2011.08891)."""
    return (gradients * activations).sum(dim=1)


def layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Keep only positive gradients (Jiang et al. 2021, doi.org/10.1109/TIP.2021.3089943)."""
    return (gradients.clamp(min=0) * activations).sum(dim=1)


def eigencam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Project on the first principal component (Muhammad & Yeasin 2020, arxiv.org/abs/2008.00299).

    The same for every target: it shows what dominates the features, not evidence for a class.
    The component's sign is arbitrary; the side that reaches further from zero is made positive.
    """
    del gradients  # the only method that asks nothing of the head
    height, width = activations.shape[-2:]
    places = activations.flatten(2).transpose(1, 2)  # (B, h*w, C)
    left, scales, _ = torch.linalg.svd(
        places - places.mean(dim=1, keepdim=True), full_matrices=False
    )
    projection = left[..., 0] * scales[..., :1]  # (B, h*w)
    flip = projection.amin(dim=1).abs() > projection.amax(dim=1)
    return torch.where(flip[:, None], -projection, projection).unflatten(1, (height, width))


FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "xgradcam": xgradcam,
    "hirescam": hirescam,
    "layercam": layercam,
    "eigencam": eigencam,
}
"""The methods that need no more than one gradient at one place."""

_SHARED_OUT = {
    *("gradcam", "xgradcam", "hirescam", "layercam", "rollout", "gradattention"),
    *("finercam", "shapleycam", "gradcamelementwise", "eigengradcam", "segeigencam"),
}
"""Methods whose maps share the score out over the places: the more of them, the less for each."""

_WITHOUT_UNIT = {"eigencam", "kpcacam", "fem"}
"""Methods that ask for no score, so that the maps of an ensemble's members have no common unit."""


def join(maps: Sequence[Tensor], method: str) -> Tensor:
    """Make one raw map of the raw maps of an ensemble's members.

    Args:
        maps: (B, h, w) of each member, negative values included.
        method: Key of `dermsim.core.explain_methods.METHODS` that made them.

    Returns:
        (B, h, w) on the finest of their grids; the map itself when there is but one.
    """
    if len(maps) == 1:
        return maps[0]
    # All methods but Eigen-CAM weigh each channel by itself and add the channels up, and the
    # channels of an ensemble are those of its members: on one grid, the sum of the members' maps is
    # the method applied to all channels together. How much a member counts is in its gradients
    # already, by the chain rule through the heads. So the maps are added, not averaged, and before
    # what is negative is cut off: what speaks against the target in one member's eyes is set off
    # against what speaks for it in another's.
    height, width = max((own.shape[1:] for own in maps), key=lambda grid: grid[0] * grid[1])
    parts = []
    for own in maps:
        if method in _SHARED_OUT:
            # a place of a coarse grid covers several of the fine one, and its share is theirs
            own = own * (own[0].numel() / (height * width))
        elif method in _WITHOUT_UNIT:
            # every member speaks equally loud
            loudest = own.abs().amax(dim=(1, 2), keepdim=True)
            own = own / torch.where(loudest > 0, loudest, 1)
        finer = F.interpolate(own[:, None], (height, width), mode="bilinear", align_corners=False)
        parts.append(finer[:, 0])
    return torch.stack(parts).sum(dim=0)
