"""Training on a CPU in bfloat16, without the detour that depthwise convolutions take there.

oneDNN's bfloat16 kernels for the gradient of a depthwise convolution are several times slower than
those in single precision: of the input where it strides, of the weights of a 5 x 5 kernel
(benchmarks/bench_depthwise.py). EfficientNet, MobileNet and ConvNeXt spend most of a training step
there. The forward pass stays in bfloat16, where it is fast; the gradient is taken in float32, which
also rounds less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class QuickDepthwise(TorchFunctionMode):
    """While it is entered, depthwise ``conv2d`` on a CPU under autocast has float32 gradients."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace ``conv2d`` where it is depthwise; all else passes through."""
        if func is F.conv2d and not kwargs and len(args) == 7 and _slow(args):
            x, weight, bias, stride, padding, dilation, _ = args
            y = _Depthwise.apply(x, weight, _pair(stride), _pair(padding), _pair(dilation))
            return y if bias is None else y + bias.to(y.dtype)[:, None, None]
        return func(*args, **(kwargs or {}))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        stride: list[int],
        padding: list[int],
        dilation: list[int],
    ) -> torch.Tensor:
        x = x.to(torch.bfloat16)
        context.save_for_backward(x, weight)
        context.geometry = (stride, padding, dilation)
        return F.conv2d(x, weight.to(torch.bfloat16), None, stride, padding, dilation, len(weight))

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = context.saved_tensors
        of_x = of_weight = None
        if context.needs_input_grad[0]:
            of_x = _gradient_of_input(gradients[0], x, weight, *context.geometry)
        if context.needs_input_grad[1]:
            # Up to 3 x 3 oneDNN is quick in bfloat16, beyond that in float32.
            kind = torch.bfloat16 if weight.shape[-1] <= 3 else torch.float32
            of_weight = _backward(
                gradients[0].to(kind), x.to(kind), weight.to(kind), *context.geometry, of="weight"
            ).to(weight.dtype)
        return of_x, of_weight, None, None, None


def _gradient_of_input(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> torch.Tensor:
    """Take it as a convolution of stride 1: with zeros between the outputs where it strode."""
    small = weight.to(x.dtype)
    if stride == [1, 1]:
        return _backward(gradient, x, small, stride, padding, dilation, of="input")
    reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    before = [r - p for r, p in zip(reach, padding, strict=True)]
    if min(before) < 0:
        return _backward(gradient, x, small, stride, padding, dilation, of="input")
    # The size that a convolution of stride 1 needs to give x's own size back.
    size = [side + reached for side, reached in zip(x.shape[2:], reach, strict=True)]
    apart = gradient.new_zeros(*gradient.shape[:2], *size)
    apart = apart.contiguous(memory_format=torch.channels_last)
    rows, columns = gradient.shape[2:]
    (top, left), (down, right) = before, stride
    apart[:, :, top : top + down * rows : down, left : left + right * columns : right] = gradient
    return F.conv2d(apart, small.flip(2, 3), None, 1, 0, dilation, len(weight))


def _backward(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    *,
    of: str,
) -> torch.Tensor:
    wanted = [of == "input", of == "weight", False]
    found = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, dilation, False, [0, 0], len(weight), wanted
    )
    return found[0] if of == "input" else found[1]


def _slow(args: tuple[Any, ...]) -> bool:
    x, weight, groups = args[0], args[1], args[6]
    return (
        torch.is_autocast_enabled("cpu")
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.ndim == 4
        and groups == x.shape[1] == weight.shape[0]
        and groups > 1
        and not isinstance(args[4], str)
    )


def _pair(value: int | tuple[int, ...] | list[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
