"""Which weights learn when, and how fast: resting stages of a backbone, and a rate of its own."""

from __future__ import annotations

import math
from typing import Any

from timm.models import group_modules, group_parameters
from timm.optim import param_groups_layer_decay, param_groups_weight_decay

from dermsim.core.refused import Refused
from dermsim.models import DermSimNetwork
from dermsim.training.config import FreezeConfig


class Freezing:
    """Wakes the stages of a backbone as a run goes on.

    A stage that rests has no gradient, and its batch statistics stay what they are. Stages are
    timm's own coarse groups of parameters: the stem is 0, the last is whatever comes before the
    heads.
    """

    def __init__(
        self, model: DermSimNetwork, config: FreezeConfig, *, epochs: int, random: bool
    ) -> None:
        """Find the stages.

        Args:
            model: The encoder, not wrapped.
            config: When they wake.
            epochs: Length of the run.
            random: Whether the backbone's weights are random.

        Raises:
            ValueError: If the backbone has no more stages than `config.never`, or is random and
                would never learn.
        """
        backbone: Any = model.backbone
        matcher = backbone.group_matcher(coarse=True)
        parameters = dict(backbone.named_parameters())
        modules = dict(backbone.named_modules())
        by_stage = group_parameters(backbone, matcher)
        modules_by_stage = group_modules(backbone, matcher)
        self.config = config
        self._stages = [
            (
                [parameters[name] for name in by_stage[stage]],
                [modules[name] for name in modules_by_stage.get(stage, ())],
            )
            for stage in sorted(by_stage)
        ]
        if random and config.epochs >= epochs:
            raise Refused("freezing.knows_nothing")
        if config.never >= len(self._stages):
            raise Refused(
                "freezing.never",
                never=config.never,
                backbone=model.config.backbone,
                last=len(self._stages) - 1,
            )

    def awake(self, epoch: int) -> int:
        """How many stages, counted from the last, learn in an epoch (from 0)."""
        config = self.config
        most = len(self._stages) - config.never
        since = epoch - config.epochs + 1
        if since <= 0:
            return 0
        if since >= config.unfreeze_epochs:
            return most
        return math.ceil(most * since / config.unfreeze_epochs)

    def apply(self, epoch: int) -> None:
        """Put the stages to rest, or wake them, for an epoch; call it after ``model.train()``."""
        resting = len(self._stages) - self.awake(epoch)
        for stage, (parameters, modules) in enumerate(self._stages):
            for parameter in parameters:
                parameter.requires_grad_(stage >= resting)
            for module in modules:
                module.train(stage >= resting)


def parameter_groups(
    model: DermSimNetwork,
    *,
    learning_rate: float,
    backbone_rate: float,
    weight_decay: float,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Group the weights for an optimizer: backbone and heads, with and without decay.

    Args:
        model: The encoder.
        learning_rate: Of the heads.
        backbone_rate: Of the backbone, as a share of that.
        weight_decay: Not applied to biases and norms.
        layer_decay: Factor by which each layer of the backbone, as timm groups them, learns slower
            than the one after it (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).

    Returns:
        Groups as torch optimizers take them.
    """
    heads = [child for name, child in model.named_children() if name != "backbone"]
    groups = [
        {**group, "lr": learning_rate * backbone_rate * group.pop("lr_scale", 1.0)}
        for group in param_groups_layer_decay(model.backbone, weight_decay, layer_decay=layer_decay)
    ]
    for head in heads:
        for group in param_groups_weight_decay(head, weight_decay):
            groups.append({**group, "lr": learning_rate})
    return [group for group in groups if group["params"]]
