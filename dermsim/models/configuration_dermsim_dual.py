"""What the picture half of a text-image encoder is made of. Ships beside the weights."""

from __future__ import annotations

from typing import Any

from .configuration_dermsim import DermSimConfig

PROJECTIONS = ("linear", "none")
"""How pooled features become an embedding: by one matrix, or not at all."""


class DermSimDualConfig(DermSimConfig):
    """Configuration of a `DermSimDualModel`.

    Attributes:
        projection: One of `PROJECTIONS`.
        projection_bias: Whether a number is added to each dimension after that matrix.
        double_norm: Whether the tokens are normalised before they are averaged, and their mean
            once more, as in the encoder of PanDerm.
    """

    model_type = "dermsim_dual"

    projection: str = "linear"
    projection_bias: bool = False
    double_norm: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse values that no such encoder has."""
        super().__post_init__(**kwargs)
        if self.projection not in PROJECTIONS:
            raise ValueError(
                f"projection is {self.projection!r}, but must be {' or '.join(PROJECTIONS)}."
            )
        if self.facts_dim or self.malignancy_head:
            raise ValueError("A text-image encoder takes no facts and has no second classifier.")
