"""An encoder that has learned nothing, to hold the explanations of one that has against."""

from __future__ import annotations

import torch

from dermsim.models.encoder import Encoder, redraw_encoder


def untrained(model: Encoder, *, seed: int = 0) -> Encoder:
    """Build the same encoder with the weights it would start from.

    Args:
        model: The encoder to copy the shape of; it is not changed.
        seed: Of the weights. The process's own random state is as before afterwards.

    Returns:
        An encoder in eval mode on the same device.
    """
    # modules draw their first weights from the global generator and take no other
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        fresh = redraw_encoder(model)
    return fresh.to(model.device).eval()
