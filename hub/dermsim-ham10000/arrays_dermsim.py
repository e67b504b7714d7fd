"""Pictures that come as NumPy arrays or tensors, with their range checked.

Ships beside the weights; needs Pillow and NumPy and imports nothing of dermsim but its sibling.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from PIL import Image

from .depth_dermsim import PixelsError, float_to_8_bits, to_8_bits

if TYPE_CHECKING:  # whoever holds a tensor has imported it
    import torch


def is_array(source: object) -> TypeGuard[np.ndarray | torch.Tensor]:
    """Say whether something is a NumPy array or a tensor."""
    return isinstance(source, np.ndarray) or _is_tensor(source)


def array_size(array: np.ndarray | torch.Tensor, name: str) -> tuple[int, int]:
    """Return width and height of the picture that an array is.

    Args:
        array: An array ``(H, W)`` or ``(H, W, C)``, or a tensor ``(H, W)`` or ``(C, H, W)``.
        name: What messages call the picture.

    Raises:
        ValueError: If its shape is none of a picture.
    """
    tensor = _is_tensor(array)
    shape = tuple(array.shape)
    channels = 1 if len(shape) == 2 else shape[0 if tensor else -1] if len(shape) == 3 else 0
    if channels not in (1, 3, 4):
        if tensor:
            sentence = (
                "{name} is a tensor of shape {shape}: expected (H, W), (3, H, W) or (4, H, W)"
            )
            raise PixelsError("tensor_shape", sentence, name=name, shape=shape)
        sentence = "{name} is an array of shape {shape}: expected (H, W), (H, W, 3) or (H, W, 4)"
        raise PixelsError("array_shape", sentence, name=name, shape=shape)
    height, width = shape[-2:] if tensor else shape[:2]
    return width, height


def array_picture(array: np.ndarray | torch.Tensor, name: str) -> Image.Image:
    """Make a picture of an array.

    Args:
        array: ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``, or a tensor with its channels first, as
            torchvision has them: grey, RGB, or RGB and opacity, as sRGB. uint8, uint16 of the
            bits that are really used, or floating-point numbers from 0 to 1.
        name: What messages call it.

    Returns:
        A picture of 8 bits in mode L, RGB or RGBA, which shares no memory with the array.

    Raises:
        ValueError: If its shape, type or range is another.
    """
    array_size(array, name)
    values: Any = array
    if _is_tensor(array):
        values = array.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
        values = values.transpose(1, 2, 0) if values.ndim == 3 else values
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return Image.fromarray(np.ascontiguousarray(_eight_bits(values, name)).copy())


def _eight_bits(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if np.issubdtype(values.dtype, np.floating):
        return float_to_8_bits(values, name)
    if values.dtype != np.uint16:
        sentence = (
            "{name} holds numbers of type {dtype}: pass uint8, uint16, or floating-point numbers "
            "from 0 to 1"
        )
        raise PixelsError("dtype", sentence, name=name, dtype=str(values.dtype))
    if values.ndim == 2 or values.shape[-1] == 3:
        return to_8_bits(values, name)
    color, alpha = values[..., :3], values[..., 3]
    opaque = (alpha.astype(np.float32) / 257 + 0.5).astype(np.uint8)
    return np.concatenate([to_8_bits(color, name, alpha=alpha), opaque[..., None]], axis=-1)


def _is_tensor(source: object) -> TypeGuard[torch.Tensor]:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)
