"""An encoder that takes prepared squares, for formats that cannot resize as Pillow does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dermsim.export.network_graph import Heads

if TYPE_CHECKING:
    from dermsim.engine.dermsim import DermSim
    from dermsim.models.preparation import ImagePreparation


class Squares(torch.nn.Module):
    """From the square that is cut out of a photograph to embeddings and probabilities."""

    factor: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, engine: DermSim, preparation: ImagePreparation) -> None:
        super().__init__()
        self.heads = Heads(engine.model, engine.calibration.temperature)
        self.constant = preparation.do_color_constancy
        numbers = {
            "factor": [preparation.rescale_factor],
            "mean": preparation.image_mean,
            "std": preparation.image_std,
        }
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode ``(B, S, S, 3)`` uint8, as `ImagePreparation.square` cuts it out."""
        levels = pixels.permute(0, 3, 1, 2).float()
        if self.constant:
            levels = shades_of_grey(levels)
        return self.heads((levels * self.factor - self.mean) / self.std)


def shades_of_grey(levels: torch.Tensor, power: int = 6) -> torch.Tensor:
    """Take the light's colour off ``(B, 3, H, W)``, as `dermsim.models.color_constancy_dermsim`."""
    highest = levels.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    light = (levels / highest).pow(power).mean(dim=(2, 3), keepdim=True).pow(1 / power)
    gains = light.square().mean(dim=1, keepdim=True).sqrt() / light
    lit = light.amin(dim=1, keepdim=True) > 0
    return torch.where(lit, levels * gains, levels)
