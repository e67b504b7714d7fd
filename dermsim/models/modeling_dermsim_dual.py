"""The picture half of a text-image encoder as a model of transformers. Ships beside the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel
from transformers import initialization as init

from .calibrated_dermsim import CalibratedLogits
from .configuration_dermsim_dual import DermSimDualConfig
from .network_dermsim_dual import DermSimDualNetwork

if TYPE_CHECKING:  # never imported here, but transformers copies what is named so along
    from .pipelines_dermsim import DermSimImageClassificationPipeline  # noqa: F401


class DermSimDualModel(DermSimDualNetwork, PreTrainedModel):  # type: ignore[misc]
    """`DermSimDualNetwork` with all that transformers' models can do.

    Everything it computes is written there: a timm tower, its projection, and the directions of
    names.
    """

    config_class = DermSimDualConfig
    base_model_prefix = "dermsim_dual"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012 as transformers declares it

    def __init__(self, config: DermSimDualConfig) -> None:
        """Build the encoder with random weights; nothing is fetched.

        Args:
            config: What to build.
        """
        PreTrainedModel.__init__(self, config)
        self.build(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        # timm has drawn the tower's weights already; see `DermSimModel`
        own = module is self.classifier or module is self.projection
        if own and isinstance(module, torch.nn.Linear):
            init.trunc_normal_(module.weight, std=0.05)
            if module.bias is not None:
                init.zeros_(module.bias)
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()


class DermSimDualForImageClassification(CalibratedLogits, DermSimDualModel):
    """`DermSimDualModel` with calibrated logits: the same weights, divided by its temperature."""
