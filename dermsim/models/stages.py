"""What an encoder sees at several depths: the maps of its last stages, and what sums them up.

Fine structures, such as a pigment network, are drawn on the maps of the middle stages, and are
gone from the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from dermsim.models.encoder import Encoder
    from dermsim.models.network_dermsim import DermSimOutput

DEPTHS = 4
"""How many stages are kept, the last ones of each network: the first hold edges alone, at twice the
size of all others together."""


def has_stages(model: Encoder) -> bool:
    """Say whether timm can tell what the stages of an encoder's networks give."""
    return all(hasattr(member.backbone, "forward_intermediates") for member in model.members)


def encode_depths(
    model: Encoder, pixel_values: torch.Tensor
) -> tuple[DermSimOutput, tuple[torch.Tensor, ...]]:
    """Run an encoder once and keep the maps of its last stages.

    Args:
        model: In eval mode.
        pixel_values: ``(B, 3, H, W)``.

    Returns:
        The output, the same as without the maps, and the maps ``(B, C, h, w)``, from fine to
        coarse; of an ensemble its members', one member after the other.

    Raises:
        ValueError: If timm cannot tell what the stages give.
    """
    encoder: Any = model
    features, stages = encoder.encode_stages(pixel_values)
    each = len(stages) // len(model.members)
    kept = tuple(stage for place, stage in enumerate(stages) if place % each >= each - DEPTHS)
    return encoder.decode(features), kept


def sum_up(pooled: torch.Tensor, stages: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return what concept heads read: pooled features, and mean and spread of each channel.

    Args:
        pooled: ``(B, F)``.
        stages: Maps ``(B, C, h, w)``.

    Returns:
        ``(B, F + 2 * sum(C))`` float32: pooled features, all means, all standard deviations.
    """
    flat = [stage.float().flatten(2) for stage in stages]
    means = [own.mean(dim=2) for own in flat]
    spreads = [own.std(dim=2, correction=0) for own in flat]
    return torch.cat([pooled.float(), *means, *spreads], dim=1)
