"""The attention weights of timm's backbones. Ships beside the weights; needs torch alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def attention_weights(encoder: nn.Module, *, wanted: bool) -> Iterator[list[torch.Tensor]]:
    """Collect what each attention layer attends to while an encoder runs.

    timm computes attention in one piece, which leaves no weights behind; meanwhile its layers do it
    step by step, whose answers differ in their last digits. So an encoder that other threads use at
    the same time is not to be watched.

    Args:
        encoder: With any number of timm's attention layers; a convolutional one has none.
        wanted: False changes nothing and collects nothing.

    Yields:
        A list that fills up with ``(B, heads, N, N)`` for N tokens, rows summing to 1, in the order
        in which the layers run; of window attention B counts windows.
    """
    seen: list[torch.Tensor] = []
    layers: list[Any] = [
        layer
        for layer in (encoder.modules() if wanted else ())  # a walk takes a millisecond
        if hasattr(layer, "fused_attn") and hasattr(layer, "attn_drop")
    ]
    fused = [layer.fused_attn for layer in layers]
    hooks = [
        layer.attn_drop.register_forward_pre_hook(lambda _drop, given: seen.append(given[0]))
        for layer in layers
    ]
    try:
        for layer in layers:
            layer.fused_attn = False
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for layer, before in zip(layers, fused, strict=True):
            layer.fused_attn = before
