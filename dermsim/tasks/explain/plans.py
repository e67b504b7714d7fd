"""Many images explained in several ways, as arrays: what measuring explanations needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dermsim.core.explain_methods import METHODS
from dermsim.core.refused import Refused
from dermsim.tasks.explain.maps import draw, open_for
from dermsim.tasks.explain.targets import ClassTarget


@dataclass(frozen=True)
class Plan:
    """One way of making maps.

    Attributes:
        method: Key of `dermsim.core.explain_methods.METHODS`.
        stage: Stage of the backbone where features are taken, from the end as -1; None for a method
            that reads attention.
        smooth: Whether maps are averaged over turns and mirror images.
    """

    method: str
    stage: int | None
    smooth: bool = False

    @property
    def name(self) -> str:
        """What its maps are called."""
        return f"{self.method} smooth" if self.smooth else self.method


def explain_classes(
    model: Any,
    pixels: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    plans: Sequence[Plan],
    *,
    batch_size: int = 16,
) -> dict[str, npt.NDArray[np.float32]]:
    """Explain a class of each image in several ways, with as few forward passes as they allow.

    Args:
        model: In eval mode, such as `DermSimNetwork` or `DermSimEnsembleNetwork`.
        pixels: (N, 3, S, S) preprocessed images.
        labels: (N,) the class to explain of each.
        plans: How; no two of one name.
        batch_size: Images per forward pass.

    Returns:
        By the name of a plan, (N, S, S) in [0, 1].

    Raises:
        ValueError: As for `explain`, or if two plans have one name.
    """
    found: dict[str, list[npt.NDArray[np.float32]]] = {plan.name: [] for plan in plans}
    if len(found) < len(plans):
        raise Refused("plans.same_name", plans=[plan.name for plan in plans])
    device = next(model.parameters()).device
    for start in range(0, len(pixels), batch_size):
        images = torch.from_numpy(np.ascontiguousarray(pixels[start : start + batch_size]))
        asked = labels[start : start + batch_size].tolist()
        goals = {label: ClassTarget(label) for label in asked}
        targets = [goals[label] for label in asked]
        for kind in dict.fromkeys(map(_kind, plans)):
            alike = [plan for plan in plans if _kind(plan) == kind]
            # one look serves all methods that read the same features
            looks = open_for(
                alike[0].method,
                model,
                images.to(device),
                layer=alike[0].stage,
                smooth=alike[0].smooth,
            )
            for plan in alike:
                drawn = draw(looks, targets, [""] * len(targets), method=plan.method)
                found[plan.name] += [heatmap.values for heatmap in drawn]
    return {name: np.stack(values) for name, values in found.items()}


def _kind(plan: Plan) -> tuple[bool, int | None, bool]:
    return METHODS[plan.method].needs_attention, plan.stage, plan.smooth
