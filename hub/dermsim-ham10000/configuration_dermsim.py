"""What a DermSim encoder is made of. Ships beside the weights, so it imports nothing of dermsim."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

DIAGNOSIS_CODES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The seven HAM10000 diagnoses in label order; the same as `dermsim.labels.CODES`."""


class DermSimConfig(PreTrainedConfig):
    """Configuration of a `DermSimModel`.

    Attributes:
        backbone: Name of any timm model that has a feature map.
        backbone_kwargs: Further arguments of `timm.create_model`, or None.
        embed_dim: D, the dimension of the embedding.
        drop_rate: Dropout before the classifier, in [0, 1).
        image_size: Side in pixels of the square images the encoder is meant to see.
    """

    model_type = "dermsim"

    backbone: str = "resnet18"
    backbone_kwargs: dict[str, Any] | None = None
    embed_dim: int = 128
    drop_rate: float = 0.0
    image_size: int = 112

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in the seven diagnoses, and refuse values no encoder can have."""
        if not {"id2label", "num_labels"} & kwargs.keys() and self.id2label is None:
            self.id2label = dict(enumerate(DIAGNOSIS_CODES))
            self.label2id = {code: index for index, code in enumerate(DIAGNOSIS_CODES)}
        super().__post_init__(**kwargs)
        if self.embed_dim < 1 or self.image_size < 1:
            raise ValueError(
                f"embed_dim ({self.embed_dim}) and image_size ({self.image_size}) must be positive."
            )
        if not 0.0 <= self.drop_rate < 1.0:
            raise ValueError(f"drop_rate is {self.drop_rate}, but must be in [0, 1).")
