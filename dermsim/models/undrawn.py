"""Networks whose weights are not drawn, because they are about to get their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class UndrawnWeights(TorchFunctionMode):
    """Makes zeros of random weights, for a network that is about to get its own.

    Drawing takes longer than reading them, and would move torch's global generator on. Zeros, and
    not what memory happens to hold, because torch draws from a truncated normal distribution until
    it likes what it sees. Buffers that are not kept with the weights are computed as ever: none of
    timm's is random.
    """

    DRAWING = (
        *(torch.Tensor.normal_, torch.Tensor.uniform_),
        # torch asks about these before they come to those
        *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_),
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Fill a tensor with zeros where it would be filled at random."""
        named = kwargs or {}
        if func in self.DRAWING:
            tensor: torch.Tensor = named["tensor"] if "tensor" in named else args[0]
            with torch.no_grad():
                return tensor.zero_()
        return func(*args, **named)
