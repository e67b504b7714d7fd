"""Logits whose softmax means what it says. Ships beside the weights; imports its siblings alone."""

from __future__ import annotations

from typing import Any

import torch

from .network_dermsim import DermSimOutput


class CalibratedLogits:
    """Divides a model's logits by the temperature that validation chose (Guo et al., 2017).

    It stands before a model among the bases of a class. Classes are told apart by the softmax of
    `logits`, as `transformers.pipeline` tells them: it gives the probabilities of
    `dermsim.DermSim.predict`. The biases of the classes are in the weights already. A model without
    a temperature keeps its logits.
    """

    config: Any

    def decode(self, features: Any, facts: torch.Tensor | None = None) -> DermSimOutput:
        """Ask the model, and calibrate its logits.

        Args:
            features: What its `encode` returned.
            facts: ``(B, facts_dim)``, for a model that takes them; a row of zeros, of which nothing
                is known, is calibrated as an image alone is.
        """
        given = () if facts is None else (facts,)
        output: DermSimOutput = super().decode(features, *given)  # type: ignore[misc]
        logits = output.logits
        temperatures = torch.full((len(logits), 1), self.config.calibration_temperature or 1.0)
        if facts is not None:
            known = (facts != 0).any(dim=1).cpu()
            temperatures[known] = self.config.calibration_temperature_facts or 1.0
        output.logits = (logits / temperatures.to(logits.device)).to(logits.dtype)
        return output
