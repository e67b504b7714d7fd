"""The encoder as a model of transformers: saved, loaded and initialised as its Auto classes expect.

Ships beside the weights, so it imports nothing of dermsim but its siblings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel
from transformers import initialization as init

from .calibrated_dermsim import CalibratedLogits
from .configuration_dermsim import DermSimConfig
from .network_dermsim import DermSimNetwork

if TYPE_CHECKING:  # never imported here, but transformers copies what is named so along
    from .pipelines_dermsim import DermSimImageClassificationPipeline  # noqa: F401


class DermSimModel(DermSimNetwork, PreTrainedModel):  # type: ignore[misc]
    """`DermSimNetwork` with all that transformers' models can do; the one to train.

    Everything it computes is written there: a timm backbone with a projection head and a linear
    classifier.

    Examples:
        >>> import torch
        >>> from dermsim import DermSimConfig, DermSimModel
        >>> model = DermSimModel(DermSimConfig(backbone="test_resnet", image_size=64)).eval()
        >>> output = model(torch.zeros(2, 3, 64, 64))
        >>> tuple(output.embeddings.shape), tuple(output.logits.shape)
        ((2, 128), (2, 7))
    """

    config_class = DermSimConfig
    base_model_prefix = "dermsim"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012 as transformers declares it

    def __init__(self, config: DermSimConfig) -> None:
        """Build the encoder with random weights; nothing is fetched.

        Args:
            config: What to build.
        """
        PreTrainedModel.__init__(self, config)
        self.build(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        # transformers calls this for every module, timm's too: those already have their weights,
        # and re-drawing them would wipe out a pretrained backbone.
        if module in (self.projector[0], self.projector[2]):
            init.trunc_normal_(module.weight, std=0.05)
            init.zeros_(module.bias)
        elif module in (self.classifier, self.malignancy_classifier):
            init.trunc_normal_(module.weight, std=0.02)
            init.zeros_(module.bias)
        elif self.facts_head is not None and module is self.facts_head.hidden:
            init.trunc_normal_(module.weight, std=0.2)  # few of its inputs are not 0
        elif self.facts_head is not None and module is self.facts_head.output:
            init.zeros_(module.weight)  # training starts from the image model
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()


class DermSimForImageClassification(CalibratedLogits, DermSimModel):
    """`DermSimModel` with calibrated logits: the same weights, divided by its temperature."""
