"""Several encoders as one: one image in; one embedding, seven logits and a map per member out.

Ships beside the weights, so it imports nothing of dermsim but its siblings; like `network_dermsim`
it needs torch and timm alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .attention_dermsim import attention_weights
from .configuration_dermsim_ensemble import DermSimEnsembleConfig
from .network_dermsim import DermSimNetwork, DermSimOutput, chosen


class DermSimEnsembleNetwork(nn.Module):
    """M encoders and the meta-learner that makes one answer of theirs.

    What it gives is a `DermSimOutput`, so that whatever works with one encoder works with several:

    - `logits` are a linear layer, `stack`, of the members' log-probabilities side by side (Wolpert,
      1992, https://doi.org/10.1016/S0893-6080(05)80023-1). Their mean is taken out of each row. No
      probability notices, but without it the logit of a diagnosis the members are sure of would be
      a log-probability close to 0, with hardly a gradient left to explain it by.
    - `embeddings` are the members' side by side, over √M: of unit length again, and the cosine of
      two of them is the mean of the members' cosines.
    - `pooled_features` are the members' side by side.
    - `features` is a tuple of the members' feature maps, ``(B, C, h, w)`` each: as the members
      differ in C, h and w, there is no one map. `encode`, `feature_map` and `decode` are those of
      an encoder, with such a tuple in the place of one tensor.
    """

    config: DermSimEnsembleConfig
    member_class: type[DermSimNetwork] = DermSimNetwork
    members: Any

    def __init__(self, config: DermSimEnsembleConfig) -> None:
        """Build the network with weights as torch and timm draw them."""
        super().__init__()
        self.config = config
        self.build(config)

    def build(self, config: DermSimEnsembleConfig) -> None:
        """Make the members and the stack."""
        members = [self.member_class(member) for member in config.member_configs()]
        self.members = nn.ModuleList(members)
        classes = len(config.id2label or ())
        self.stack = nn.Linear(classes * len(members), classes)

    @property
    def device(self) -> torch.device:
        """Device that holds the weights."""
        return self.stack.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.stack.weight.dtype

    def encode(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the backbones.

        Args:
            pixel_values: ``(B, 3, H, W)`` float, as `DermSimImageProcessor` makes them.

        Returns:
            Each member's features in timm's own layout, as `decode` takes them.
        """
        return tuple(member.encode(pixel_values) for member in self.members)

    def encode_stages(
        self, pixel_values: torch.Tensor
    ) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Run the backbones and keep what each of their stages gives.

        Args:
            pixel_values: As for `encode`.

        Returns:
            What `encode` returns, and the stages' maps ``(B, C, h, w)``, member after member.

        Raises:
            ValueError: As for `DermSimNetwork.encode_stages`.
        """
        runs = [member.encode_stages(pixel_values) for member in self.members]
        return tuple(own for own, _ in runs), tuple(map_ for _, maps in runs for map_ in maps)

    def feature_map(self, features: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Bring each member's features, or their gradients, to ``(B, C, h, w)``."""
        pairs = zip(self.members, features, strict=True)
        return tuple(member.feature_map(own) for member, own in pairs)

    def decode(self, features: tuple[torch.Tensor, ...]) -> DermSimOutput:
        """Ask every member, and make one answer of theirs.

        Args:
            features: As from `encode`.

        Returns:
            The output without a loss; `features` is a tuple.
        """
        outputs = [m.decode(own) for m, own in zip(self.members, features, strict=True)]
        answers = [F.log_softmax(output.logits.float(), dim=-1) for output in outputs]
        stacked = self.stack(torch.cat(answers, dim=-1).to(self.stack.weight.dtype))
        embeddings = torch.cat([output.embeddings for output in outputs], dim=-1)
        embeddings = embeddings / math.sqrt(len(outputs))
        return DermSimOutput(
            logits=stacked - stacked.mean(dim=-1, keepdim=True),
            embeddings=embeddings,
            features=tuple(output.features for output in outputs),
            pooled_features=torch.cat([output.pooled_features for output in outputs], dim=-1),
            pooler_output=embeddings,
        )

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        facts: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> DermSimOutput | tuple[Any, ...]:
        """Encode a batch of images.

        Args:
            pixel_values: ``(B, 3, H, W)`` float, as `DermSimImageProcessor` makes them.
            labels: ``(B,)`` int64 diagnoses; when given, the output has a `loss`.
            return_dict: As for `DermSimNetwork.forward`.
            facts: As for `DermSimNetwork.forward`, and always None: an ensemble takes images alone.
            output_hidden_states: True returns `hidden_states`, as `encode_stages` gives them.
            output_attentions: True returns the members' `attentions`, one member after the other.

        Returns:
            A `DermSimOutput`, its `features` a tuple of the members'.

        Raises:
            ValueError: If `pixel_values` is not ``(B, 3, H, W)``, or there are facts; as for
                `encode_stages`, where hidden states are asked for.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(
                f"pixel_values has shape {tuple(pixel_values.shape)}, but must be (B, 3, H, W)."
            )
        if facts is not None:
            raise ValueError("Facts were given, but an ensemble takes none.")
        attended = chosen(output_attentions, self.config.output_attentions)
        with attention_weights(self, wanted=attended) as attentions:
            if chosen(output_hidden_states, self.config.output_hidden_states):
                features, stages = self.encode_stages(pixel_values)
            else:
                features, stages = self.encode(pixel_values), None
        output = self.decode(features)
        output.hidden_states, output.attentions = stages, tuple(attentions) or None
        if labels is not None:
            output.loss = F.cross_entropy(output.logits.float(), labels)
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()
