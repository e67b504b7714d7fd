"""Heatmaps from the attention of transformers: which patches the answer was put together from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dermsim.tasks.explain.opening import Opened, members, reads_class_token
from dermsim.tasks.explain.targets import Target


def rollout(opened: Opened) -> list[Tensor]:
    """Follow attention through all blocks (Abnar & Zuidema 2020, arxiv.org/abs/2005.00928).

    The heads of each block are averaged, and half of what a token carries on is taken to be its
    own, by the connection around the block; the product over the blocks says how much of each
    patch is in what the heads of the model read. The same for every target.

    Args:
        opened: By `open_attention`.

    Returns:
        (B, h, w) of each member, none negative; at most 1 in all.
    """
    flows = []
    for attention in opened.taps:
        tokens = attention[0].shape[-1]
        own = torch.eye(tokens, device=attention[0].device)
        flow = own.expand(len(opened.pixel_values), tokens, tokens)
        for block in attention:
            flow = (0.5 * block.detach().float().mean(dim=1) + 0.5 * own) @ flow
        flows.append(flow)
    return _read_out(opened, flows)


def gradient_weighted(opened: Opened, targets: Sequence[Target]) -> list[Tensor]:
    """Follow the attention that raises a score (Chefer et al. 2021, arxiv.org/abs/2103.15679).

    Equations 5 and 6 there, for a transformer that attends to itself: in each block the heads'
    attention times its gradient, positive parts only, is averaged and carried on.

    Args:
        opened: By `open_attention`.
        targets: One per image.

    Returns:
        (B, h, w) of each member, none negative.
    """
    flows = []
    for attention, gradients in zip(opened.taps, opened.gradients(targets), strict=True):
        # Kept without a token's own relevance, 1 from the start: it is the same for every patch,
        # and would drown weak evidence in rounding.
        flow = torch.zeros_like(attention[0][:, 0], dtype=torch.float32)  # (B, N, N)
        for block, gradient in zip(attention, gradients, strict=True):
            raising = (block.detach() * gradient).float().clamp(min=0).mean(dim=1)
            flow = flow + raising + raising @ flow
        flows.append(flow)
    return _read_out(opened, flows)


def _read_out(opened: Opened, flows: Sequence[Tensor]) -> list[Tensor]:
    """Take the rows that the heads read, (B, N, N) to (B, h, w) of the patches."""
    maps = []
    for member, features, flow in zip(members(opened.model), opened.features, flows, strict=True):
        height, width = member.feature_map(features).shape[2:]
        prefix = flow.shape[1] - height * width
        pooled = slice(0, 1) if reads_class_token(member.backbone) else slice(prefix, None)
        read = flow[:, pooled].mean(dim=1)
        maps.append(read[:, prefix:].unflatten(1, (height, width)))
    return maps
