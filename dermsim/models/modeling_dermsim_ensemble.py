"""Several encoders as one model of transformers.

Ships beside the weights, so it imports nothing of dermsim but its siblings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers import initialization as init

from .calibrated_dermsim import CalibratedLogits
from .configuration_dermsim_ensemble import DermSimEnsembleConfig
from .modeling_dermsim import DermSimModel
from .network_dermsim import DermSimNetwork
from .network_dermsim_ensemble import DermSimEnsembleNetwork


class DermSimEnsembleModel(DermSimEnsembleNetwork, PreTrainedModel):  # type: ignore[misc]
    """`DermSimEnsembleNetwork` with all that transformers' models can do.

    Everything it computes is written there: M encoders and the meta-learner that makes one answer
    of theirs.

    Examples:
        >>> import torch
        >>> from dermsim import DermSimEnsembleConfig, DermSimEnsembleModel
        >>> config = DermSimEnsembleConfig(members=[{"backbone": "test_resnet"}] * 2)
        >>> output = DermSimEnsembleModel(config).eval()(torch.zeros(1, 3, 112, 112))
        >>> tuple(output.embeddings.shape), tuple(output.logits.shape)
        ((1, 256), (1, 7))
    """

    config_class = DermSimEnsembleConfig
    base_model_prefix = "dermsim_ensemble"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012 as transformers declares it
    member_class = DermSimModel

    def __init__(self, config: DermSimEnsembleConfig) -> None:
        """Build members with random weights, and the stack as their plain average."""
        PreTrainedModel.__init__(self, config)
        self.build(config)
        self.post_init()

    @classmethod
    def from_members(cls, members: Sequence[DermSimNetwork]) -> DermSimEnsembleModel:
        """Join trained encoders, their weights copied; the stack is their plain average.

        Args:
            members: At least two, for the same classes and image size.

        Raises:
            ValueError: If they do not belong together.

        Examples:
            >>> from dermsim import DermSimConfig, DermSimEnsembleModel, DermSimModel
            >>> members = [DermSimModel(DermSimConfig(backbone="test_resnet")) for _ in range(2)]
            >>> len(DermSimEnsembleModel.from_members(members).members)
            2
        """
        first = members[0].config
        config = DermSimEnsembleConfig(
            members=[member.config.to_dict() for member in members],
            id2label=first.id2label,
            label2id=first.label2id,
        )
        model = cls(config)
        for ours, theirs in zip(model.members, members, strict=True):
            ours.load_state_dict(theirs.state_dict())
        return model.eval()

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        # The members see to their own: transformers asks each model for its own modules only.
        if module is self.stack:
            count = len(self.members)
            average = torch.eye(module.out_features, device=module.weight.device) / count
            init.copy_(module.weight, average.repeat(1, count))
            init.zeros_(module.bias)


class DermSimEnsembleForImageClassification(CalibratedLogits, DermSimEnsembleModel):
    """`DermSimEnsembleModel` with calibrated logits; those of its members stay raw."""
