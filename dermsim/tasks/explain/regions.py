"""The embedding of a part of an image: its features pooled under a region, the rest left out.

What comes out lies in the space of whole images' embeddings and is searched like one of them, so
that likeness can be asked of the lesion rather than of the skin, the ruler and the hair around it.
Only pooling is cut: features near the rim of a region still saw what lies beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dermsim.core.refused import Refused
from dermsim.tasks.explain.opening import (
    AnyExplainable,
    attention_blocks,
    check_input,
    members,
    reads_class_token,
    shadow,
)


def embed_regions(
    model: AnyExplainable,
    pixel_values: Tensor | npt.NDArray[np.float32],
    regions: npt.NDArray[np.generic],
) -> npt.NDArray[np.float32]:
    """Embed a region of each image.

    Where the heads read a pooled map, the map is filled with its mean over the region, so that
    whatever pooling and normalisation follow see the region alone. Where they read a class token,
    the last attention, by which that token gathers the patches, is kept to the region's patches.

    Args:
        model: In eval mode, such as `DermSimNetwork` or `DermSimEnsembleNetwork`.
        pixel_values: (B, 3, H, W) preprocessed images.
        regions: (B, H, W) weights in [0, 1] over the same pixels.

    Returns:
        (B, D) float32, rows of unit length.

    Raises:
        ValueError: If the model is in training mode, a shape is wrong, or a region is empty.
    """
    view: Any = model
    images = torch.as_tensor(pixel_values).to(next(view.parameters()).device)
    check_input(model, images)
    expected = (len(images), *images.shape[2:])
    if tuple(regions.shape) != expected:
        raise Refused("explain_regions.shape", expected=expected, shape=tuple(regions.shape))
    weights = torch.as_tensor(regions).to(torch.float32)
    if not ((weights >= 0) & (weights <= 1)).all():
        raise Refused("explain_regions.weights")
    if (empty := (weights.sum(dim=(1, 2)) == 0)).any():
        raise Refused("explain_regions.empty", number=int(empty.nonzero()[0]))
    weights = weights.to(images.device)
    if any(reads_class_token(getattr(m, "backbone", None)) for m in members(model)):
        view = shadow(model)
        for member in members(view):
            if reads_class_token(member.backbone):
                block = attention_blocks(member.backbone)[-1]
                block.fused_attn = False
                keep = partial(_keep_to_region, weights, member)
                block.attn_drop.register_forward_hook(keep)
    with torch.inference_mode(False), torch.no_grad():
        encoded = view.encode(images.clone())
        maps = view.feature_map(encoded)
        several = isinstance(encoded, tuple)
        for own in maps if several else (maps,):
            own.copy_(_mean_under(own, weights).expand_as(own))  # through the view, into `encoded`
        return view.decode(encoded).embeddings.float().cpu().numpy()


def _mean_under(features: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of features (B, C, h, w) under weights (B, H, W), as (B, C, 1, 1)."""
    shares = _on_grid(weights, features.shape[2:]).to(features.dtype)
    total = (features * shares).sum(dim=(2, 3), keepdim=True)
    return total / shares.sum(dim=(2, 3), keepdim=True)


def _on_grid(weights: Tensor, grid: Sequence[int]) -> Tensor:
    """Return how much of each place of a grid a region covers: (B, H, W) to (B, 1, h, w)."""
    return F.adaptive_avg_pool2d(weights[:, None], (grid[0], grid[1]))


def _keep_to_region(
    weights: Tensor, member: Any, module: nn.Module, inputs: Any, attention: Tensor
) -> Tensor:
    """Let the class token attend to a region and to no other patch: a forward hook."""
    prefix = member.backbone.num_prefix_tokens
    # as the image has it: an encoder may be given another size than it was made for
    grid = member.feature_map(attention[:, 0, 0, :, None]).shape[2:]
    kept = attention.clone()  # (B, heads, N, N)
    kept[:, :, 0, prefix:] *= _on_grid(weights, grid).flatten(1)[:, None]
    kept[:, :, 0] /= kept[:, :, 0].sum(dim=-1, keepdim=True)
    return kept
