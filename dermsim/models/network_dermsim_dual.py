"""The picture half of a text-image encoder: an image in; an embedding, logits and a map out.

The text half is not needed for that: what it says of the diagnoses' names is a matrix in here. It
ships beside the weights, so it imports nothing of dermsim but its siblings.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_dermsim import DermSimConfig
from .configuration_dermsim_dual import DermSimDualConfig
from .network_dermsim import DermSimNetwork, DermSimOutput, new_backbone


class DermSimDualNetwork(DermSimNetwork):
    """A timm tower, its projection, and the directions of the diagnoses' names.

    The contract is that of `DermSimNetwork`:

    - `pooled_features` are what the tower gives, before the projection.
    - `embeddings` are projected and of unit length: their cosine with a text's embedding says how
      well the text fits (Radford et al. 2021, https://arxiv.org/abs/2103.00020).
    - `logits` are ``exp(logit_scale) E P^T + b``: the rows of P, the weight of `classifier`, are
      the embeddings of the diagnoses' names.
    """

    config: DermSimDualConfig
    projection: nn.Module

    def build(self, config: DermSimConfig) -> None:
        """Make the layers.

        Args:
            config: What to build.

        Raises:
            ValueError: If timm has no such tower, or cannot make it for pictures of this size.
        """
        assert isinstance(config, DermSimDualConfig)
        self.backbone, self.only_size = new_backbone(config)
        width: int = getattr(self.backbone, "head_hidden_size", self.backbone.num_features)
        if config.double_norm:
            if not isinstance(getattr(self.backbone, "fc_norm", None), nn.LayerNorm):
                raise ValueError(f"{config.backbone} has no norm after its pooling to double.")
            self.backbone.norm = copy.deepcopy(self.backbone.fc_norm)
        if config.projection == "linear":
            self.projection = nn.Linear(width, config.embed_dim, bias=config.projection_bias)
        else:
            if width != config.embed_dim:
                raise ValueError(
                    f"Without a projection embed_dim is the tower's width {width}, "
                    f"got {config.embed_dim}."
                )
            self.projection = nn.Identity()
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.classifier = nn.Linear(config.embed_dim, len(config.id2label or ()))
        self.malignancy_classifier = None
        self.facts_head = None
        self.width = width

    @property
    def feature_width(self) -> int:
        """F, the numbers in a row of `pooled_features`."""
        return self.width

    def decode(self, features: torch.Tensor, facts: torch.Tensor | None = None) -> DermSimOutput:
        """Pool features, project them, and compare them with the diagnoses' names.

        Args:
            features: What `encode` returned, ``(B, prefix + h * w, C)`` of a transformer.
            facts: None: such an encoder takes the image alone, not ``(B, facts_dim)`` as others.

        Returns:
            The output without a loss.

        Raises:
            ValueError: If there are facts.
        """
        if facts is not None:
            raise ValueError("Facts were given, but a text-image encoder takes none.")
        pooled = self.backbone.forward_head(features, pre_logits=True)
        embeddings = F.normalize(self.projection(pooled).float(), dim=-1)
        alike = F.linear(embeddings, self.classifier.weight.float())
        logits = self.logit_scale.float().exp() * alike + self.classifier.bias.float()
        return DermSimOutput(
            logits=logits.to(pooled.dtype),
            embeddings=embeddings,
            features=self.feature_map(features),
            pooled_features=pooled,
            pooler_output=embeddings,
        )
