"""What a run takes over from encoders that were trained before: their answers (distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import nn

from dermsim.core.checkpoint import local_folder
from dermsim.core.refused import Refused
from dermsim.models.encoder import load_encoder
from dermsim.models.network_dermsim import DermSimOutput

if TYPE_CHECKING:
    from dermsim.models.encoder import Encoder, Processor


class Teachers(nn.Module):
    """Encoders that are shown a pupil's views, each in the colours that it knows.

    Their answers are for diagnoses that are equally common (`--loss.prior-correction`), while the
    pupil still learns how often each is drawn, to have it taken off at the end like theirs: it is
    put onto their answers, so that labels and teachers do not contradict each other.
    """

    def __init__(
        self,
        members: Sequence[tuple[Encoder, Processor]],
        processor: Processor,
        log_prior: torch.Tensor,
    ) -> None:
        """Prepare to teach.

        Args:
            members: One or more teachers, each with what prepares its own input; they learn
                nothing more.
            processor: What prepares the pupil's input.
            log_prior: ``(7,)`` what is taken off the pupil's logits after training.

        Raises:
            ValueError: If a teacher knows photographs as they are, and the pupil's colours are
                made constant: they cannot be had back.
        """
        super().__init__()
        for _, own in members:
            if processor.do_color_constancy and not own.do_color_constancy:
                raise Refused("teachers.color_constancy")
        self.members = nn.ModuleList(
            cast(nn.Module, model.eval().requires_grad_(False)) for model, _ in members
        )
        self._constancy = [
            own.do_color_constancy and not processor.do_color_constancy for _, own in members
        ]
        self._log_prior: torch.Tensor
        self.register_buffer("_log_prior", log_prior.clone())
        self._own_scales = [_register(self, i, own) for i, (_, own) in enumerate(members)]
        self._scale = _register(self, len(members), processor)

    @classmethod
    def load(
        cls,
        names_or_paths: Sequence[str | Path],
        processor: Processor,
        *,
        log_prior: torch.Tensor,
    ) -> Teachers:
        """Load encoders, or ensembles of them, to learn from.

        Args:
            names_or_paths: Checkpoint folders or Hub ids.
            processor: As for the class, as is `log_prior`.
            log_prior: ``(7,)``.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ConnectionError: If the Hub cannot be reached.
            ValueError: If a teacher cannot be shown the pupil's views.
        """
        members = [load_encoder(local_folder(name)) for name in names_or_paths]
        return cls(members, processor, log_prior)

    def train(self, mode: bool = True) -> Teachers:
        """Stay in eval mode, whatever is asked of the modules around."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, pixel_values: torch.Tensor) -> DermSimOutput:
        """Answer for a batch of the pupil's views.

        Args:
            pixel_values: ``(N, 3, H, W)`` as the pupil sees them.

        Returns:
            ``logits`` ``(N, 7)``, the mean of the teachers' log-probabilities with what the pupil
            still holds of the prior; ``embeddings`` ``(N, sum of their dimensions)`` of unit
            length, whose cosines are the mean of the teachers' cosines.
        """
        logits, embeddings = [], []
        mean, std = self._normalisation(self._scale)
        for member, scale, constancy in zip(
            self.members, self._own_scales, self._constancy, strict=True
        ):
            views = pixel_values * std + mean
            if constancy:
                views = shades_of_grey_batch(views)
            own_mean, own_std = self._normalisation(scale)
            output = member(((views - own_mean) / own_std).to(pixel_values.dtype))
            logits.append(F.log_softmax(output.logits.float(), dim=1))
            embeddings.append(F.normalize(output.embeddings.float(), dim=1))
        return DermSimOutput(
            logits=torch.stack(logits).mean(dim=0) + self._log_prior,
            embeddings=torch.cat(embeddings, dim=1) / len(embeddings) ** 0.5,
        )

    def _normalisation(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_std")


def shades_of_grey_batch(images: torch.Tensor, *, power: int = 6) -> torch.Tensor:
    """Take the colour of the light off each image of a batch, on the images' device.

    The same as `dermsim.models.color_constancy_dermsim.shades_of_grey`, which says where it is
    from.

    Args:
        images: ``(N, 3, H, W)`` float, RGB, any scale whose zero is black; what a filter left below
            zero counts as black.
        power: Of the Minkowski mean.

    Returns:
        ``(N, 3, H, W)`` float32.
    """
    pixels = images.float()
    lit = pixels.clamp(min=0)
    highest = lit.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    light = (lit / highest).pow(power).mean(dim=(2, 3), keepdim=True).pow(1 / power)
    gains = light.square().mean(dim=1, keepdim=True).sqrt() / light
    has_light = (light > 0).all(dim=1, keepdim=True)
    return pixels * torch.where(has_light, gains, 1.0)


def _register(module: nn.Module, place: int, processor: Processor) -> str:
    """Keep a processor's normalisation where `Module.to` moves it; return its name."""
    for key, values in (("mean", processor.image_mean), ("std", processor.image_std)):
        module.register_buffer(f"_scale{place}_{key}", torch.tensor(values).view(3, 1, 1))
    return f"_scale{place}"
