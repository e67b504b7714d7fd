"""The encoder: one image in; one embedding, seven logits and a feature map out.

Ships beside the weights, so it imports nothing of dermsim but its sibling configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_dermsim import DermSimConfig


@dataclass
class DermSimOutput(ModelOutput):
    """What the encoder says of a batch of B images.

    Attributes:
        loss: Cross-entropy against `labels`, a scalar; None without labels.
        logits: ``(B, num_labels)``, one score per diagnosis before the softmax.
        embeddings: ``(B, D)``, rows of unit length: the cosine of two is their similarity.
        features: ``(B, C, h, w)``, the backbone's last feature map.
        pooled_features: ``(B, F)``, the feature map pooled by the backbone; what both heads read.
        pooler_output: `embeddings` again, under the name transformers pipelines look for.
    """

    # ModelOutput wants a default for every field; `decode` fills all but the loss.
    loss: torch.Tensor | None = None
    logits: torch.Tensor = None  # type: ignore[assignment]
    embeddings: torch.Tensor = None  # type: ignore[assignment]
    features: torch.Tensor = None  # type: ignore[assignment]
    pooled_features: torch.Tensor = None  # type: ignore[assignment]
    pooler_output: torch.Tensor = None  # type: ignore[assignment]


class DermSimModel(PreTrainedModel):
    """A timm backbone with a projection head and a linear classifier.

    The projection head is the two-layer perceptron of SimCLR (Chen 2020,
    https://arxiv.org/abs/2002.05709). Unlike there, its output is what users keep: it is trained
    with labels (SupCon, Khosla 2020, https://arxiv.org/abs/2004.11362), so it holds what matters.
    """

    config: DermSimConfig
    config_class = DermSimConfig
    base_model_prefix = "dermsim"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012 as transformers declares it

    backbone: Any

    def __init__(self, config: DermSimConfig, *, pretrained_backbone: bool = False) -> None:
        """Build the encoder with random weights.

        Args:
            config: What to build.
            pretrained_backbone: Fetch timm's weights for the backbone. For training only:
                `from_pretrained` never sets it, so that loading a checkpoint asks nobody.

        Raises:
            ConnectionError: If timm's weights cannot be fetched.
        """
        super().__init__(config)
        self.backbone = _backbone(config, pretrained=pretrained_backbone)
        width: int = self.backbone.num_features
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, config.embed_dim)
        )
        self.dropout = nn.Dropout(config.drop_rate)
        self.classifier = nn.Linear(width, len(config.id2label or ()))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        # transformers calls this for every module, timm's too: those already have their weights,
        # and re-drawing them would wipe out a pretrained backbone.
        if module in (self.projector[0], self.projector[2], self.classifier):
            init.trunc_normal_(module.weight, std=0.02 if module is self.classifier else 0.05)
            init.zeros_(module.bias)
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()

    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run the backbone.

        Args:
            pixel_values: ``(B, 3, H, W)`` float, as `DermSimImageProcessor` makes them.

        Returns:
            The backbone's features in timm's own layout, as `decode` takes them.
        """
        return self.backbone.forward_features(pixel_values)

    def feature_map(self, features: torch.Tensor) -> torch.Tensor:
        """Bring timm's features, whatever their layout, to ``(B, C, h, w)``.

        Args:
            features: What `encode` returned: a map ``(B, C, h, w)``, a map with the channels last
                ``(B, h, w, C)``, or tokens ``(B, prefix + h * w, C)``.

        Returns:
            A view of the same numbers as ``(B, C, h, w)``; prefix tokens are left out.
        """
        if features.ndim == 3:
            tokens = features[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
            grid = getattr(getattr(self.backbone, "patch_embed", None), "grid_size", None)
            height = grid[0] if grid else int(tokens.shape[1] ** 0.5)
            return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)
        if getattr(self.backbone, "output_fmt", "NCHW") == "NHWC":
            return features.permute(0, 3, 1, 2)
        return features

    def decode(self, features: torch.Tensor) -> DermSimOutput:
        """Pool features and apply both heads: all that comes after the backbone.

        Args:
            features: What `encode` returned.

        Returns:
            The output without a loss.
        """
        pooled = self.backbone.forward_head(features, pre_logits=True)
        # The length is taken in float32: in bfloat16 it would be off by up to 1 %.
        embeddings = F.normalize(self.projector(pooled).float(), dim=-1)
        return DermSimOutput(
            logits=self.classifier(self.dropout(pooled)),
            embeddings=embeddings,
            features=self.feature_map(features),
            pooled_features=pooled,
            pooler_output=embeddings,
        )

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
    ) -> DermSimOutput | tuple[torch.Tensor, ...]:
        """Encode a batch of images.

        Args:
            pixel_values: ``(B, 3, H, W)`` float, as `DermSimImageProcessor` makes them.
            labels: ``(B,)`` int64 diagnoses; when given, the output has a `loss`.
            return_dict: False returns a tuple of the fields that are not None.

        Returns:
            A `DermSimOutput`.

        Raises:
            ValueError: If `pixel_values` is not ``(B, 3, H, W)``.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(
                f"pixel_values has shape {tuple(pixel_values.shape)}, but must be (B, 3, H, W)."
            )
        output = self.decode(self.encode(pixel_values))
        if labels is not None:
            output.loss = F.cross_entropy(output.logits.float(), labels)
        return output if return_dict is not False else output.to_tuple()


def _backbone(config: DermSimConfig, *, pretrained: bool) -> nn.Module:
    options = {"num_classes": 0, **(config.backbone_kwargs or {})}
    if not pretrained:
        return timm.create_model(config.backbone, **options)
    try:
        return timm.create_model(config.backbone, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"timm's weights for {config.backbone} could not be fetched from the Hub "
            f"({str(error).splitlines()[0]}); go online, or start from random weights."
        ) from error
