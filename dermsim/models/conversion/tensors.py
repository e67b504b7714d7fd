"""Weights of somebody else's, read without running anything, and a map that leaves none out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dermsim.core.refused import Refused

Tensors = Mapping[str, torch.Tensor]

NESTED = ("state_dict", "model_state_dict", "model")
"""Where the checkpoint of a training run keeps the weights."""


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors by name, in float32.

    A pickle is read with ``weights_only``: torch refuses anything in it that would be run.

    Args:
        path: ``.safetensors``, or a file of ``torch.save``.

    Raises:
        ValueError: If it is damaged, holds anything but tensors, or numbers that are none.
    """
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise Refused("conversion.unreadable", name=path.name, reason=reason) from error
    except Exception as error:  # torch raises pickle's own errors, which this project never imports
        raise Refused("conversion.pickled", name=path.name) from error
    if isinstance(found, dict):
        for name in NESTED:
            if isinstance(found.get(name), dict):
                found = found[name]
                break
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()
    ):
        raise Refused("conversion.not_tensors", name=path.name)
    tensors = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise Refused("conversion.not_finite", name=path.name, key=name)
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


class Keys:
    """Every tensor of a source: used once, dropped by name, or refused.

    Attributes:
        dropped: Names of those that are left out on purpose.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._left = dict(tensors)
        self.dropped: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> torch.Tensor:
        """Use a tensor.

        Raises:
            ValueError: If the source lacks it.
        """
        if name not in self._left:
            raise Refused("conversion.lacks", name=name)
        return self._left.pop(name)

    def take_all(self, names: Mapping[str, str]) -> dict[str, torch.Tensor]:
        """Use several, by the names that they get."""
        return {ours: self.take(theirs) for ours, theirs in names.items()}

    def drop(self, *names: str) -> None:
        """Leave tensors out, where the source has them."""
        for name in names:
            if self._left.pop(name, None) is not None:
                self.dropped.append(name)

    def finish(self) -> None:
        """Refuse what nobody asked for.

        Raises:
            ValueError: If anything is left.
        """
        if self._left:
            raise Refused("conversion.left", name=sorted(self._left)[0], count=len(self._left))
