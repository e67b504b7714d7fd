"""What a source becomes, whatever its layout: a tower, what shows it pictures, a text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from dermsim.core.refused import Refused
from dermsim.models.preparation import ImagePreparation

Tensors = dict[str, torch.Tensor]

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
"""What open_clip normalises with where a configuration says nothing: `open_clip.constants`."""

ACTIVATIONS = {"gelu": "gelu", "quick_gelu": "quick_gelu", "gelu_pytorch_tanh": "gelu_tanh"}
"""timm's name of an activation by transformers' name."""


@dataclass(frozen=True)
class Vision:
    """The picture half.

    Attributes:
        shape: Fields of `DermSimDualConfig`.
        tensors: Of `DermSimDualNetwork`, without scale and classifier.
    """

    shape: Mapping[str, Any]
    tensors: Tensors


@dataclass(frozen=True)
class Text:
    """The text half.

    Attributes:
        settings: Fields of `TextSettings` that the source knows; those about tokens come later.
        tensors: Of `TextTower`.
    """

    settings: Mapping[str, Any]
    tensors: Tensors


@dataclass(frozen=True)
class Source:
    """All of a source.

    Attributes:
        vision: The picture half.
        text: The text half.
        preparation: Shows pictures to the tower.
        scale: ``logit_scale``, a logarithm.
        bias: ``logit_bias``, 0 where there is none.
        dropped: Names of tensors that were left out on purpose.
    """

    vision: Vision
    text: Text
    preparation: ImagePreparation
    scale: float
    bias: float = 0.0
    dropped: list[str] = field(default_factory=list)


def activation(name: object) -> str:
    """Return timm's name of an activation.

    Raises:
        ValueError: If no tower has it.
    """
    if name not in ACTIVATIONS:
        raise Refused("conversion.activation", name=name, known=list(ACTIVATIONS))
    return ACTIVATIONS[str(name)]


def check_value(where: str, name: str, value: object, expected: object) -> None:
    """Refuse a setting that would make another network.

    Raises:
        ValueError: If it is not what the towers here have.
    """
    if value != expected:
        raise Refused("conversion.setting", where=where, name=name, value=value, expected=expected)


def ratio(inner: int, width: int) -> float:
    """Return timm's ``mlp_ratio`` of which it makes this inner width again."""
    return (inner + 0.5) / width


def square(value: object, name: str) -> int:
    """Return the side of a square.

    Raises:
        ValueError: If it is none.
    """
    sides = list(value) if isinstance(value, list | tuple) else [value]
    if len(set(sides)) != 1 or type(sides[0]) is not int or sides[0] < 1:
        raise Refused("conversion.square", name=name, value=value)
    return sides[0]
