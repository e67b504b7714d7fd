"""Hairs and rulers drawn over views: what lies between the lens and the skin tells no diagnosis.

They are drawn as distances to curves, for a whole batch at once and on its device. How they are
drawn differs from `dermsim.evaluation.corruptions`, by which an encoder is measured: there polygons
on a finer sheet, here soft lines on the view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

HAIRS = 8
"""Most hairs on a view."""

_BROWN = torch.tensor([1.0, 0.75, 0.65])
_SOFTNESS = 0.008  # of a line's edge, in half view sides: about half a pixel of 128


@dataclass(frozen=True)
class Marks:
    """What is drawn over N views; lengths in half sides of a view, whose centre is the origin.

    Attributes:
        hairs: ``(N, HAIRS, 8)`` float32: angle in radians, distance of the line from the centre,
            bend (a parabola's factor), middle and half-length along the line, half-width, opacity
            in [0, 1], brightness in [0, 1]. One that is not there has no opacity.
        rulers: ``(N, 6)`` float32: angle, distance of the scale from the centre, distance between
            marks, length of the longest, opacity, brightness.
    """

    hairs: torch.Tensor
    rulers: torch.Tensor

    def __getitem__(self, rows: slice) -> Marks:
        """Those of some rows only."""
        return Marks(self.hairs[rows], self.rulers[rows])


def draw_marks(n: int, share: float, *, generator: torch.Generator) -> Marks:
    """Draw what lies over n views.

    Args:
        n: How many.
        share: Probability that a view has hairs, and independently that it has a ruler.
        generator: A CPU generator.
    """

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    def one_in(probability: float, *shape: int) -> torch.Tensor:
        return (torch.rand(n, *shape, generator=generator) < probability).float()

    # Hairs of one patch of skin grow more or less one way.
    growth = uniform(0, 2 * math.pi, 1) + 0.5 * torch.randn(n, HAIRS, generator=generator)
    there = one_in(share, 1) * (uniform(0, 1, HAIRS) < uniform(0, 1, 1)).float()
    light = one_in(0.15, 1)
    hairs = [
        growth,
        uniform(-1, 1, HAIRS),
        0.4 * torch.randn(n, HAIRS, generator=generator),
        uniform(-1, 1, HAIRS),
        uniform(0.3, 1.2, HAIRS),
        uniform(0.005, 0.018, HAIRS),
        there * uniform(0.5, 1, HAIRS),
        (uniform(0, 0.35, 1) + light * 0.5).expand(n, HAIRS),
    ]
    rulers = [
        uniform(0, 2 * math.pi),
        uniform(0.5, 1),
        uniform(0.06, 0.2),
        uniform(0.08, 0.35),
        one_in(share) * uniform(0.5, 1),
        uniform(0, 0.3) + one_in(0.2) * 0.6,
    ]
    return Marks(torch.stack(hairs, dim=2), torch.stack(rulers, dim=1))


def render_marks(images: torch.Tensor, marks: Marks) -> torch.Tensor:
    """Draw marks over views, in place.

    Args:
        images: ``(N, 3, S, S)`` float32 in [0, 1].
        marks: Of the N views, on the CPU.

    Returns:
        `images`.
    """
    ticks = torch.linspace(-1, 1, 2 * images.shape[-1] + 1)[1::2].to(images.device)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    for rows, drawn in (
        (marks.hairs[:, :, 6].amax(dim=1) > 0, _hair_cover),
        (marks.rulers[:, 4] > 0, _ruler_cover),
    ):
        if rows.any():
            chosen = Marks(marks.hairs[rows], marks.rulers[rows])
            cover, brightness = drawn(chosen, x, y)
            tone = brightness[:, None] * _BROWN.to(images)
            seen = images[rows.to(images.device)]
            seen = torch.lerp(seen, tone[:, :, None, None].expand_as(seen), cover[:, None])
            images[rows.to(images.device)] = seen
    return images


def _hair_cover(
    marks: Marks, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of each pixel hairs hide, ``(N, S, S)``, and how bright they are, ``(N,)``."""
    hairs = marks.hairs.to(x.device)
    angle, offset, bend, middle, reach, width, opacity, _ = hairs[..., None, None].unbind(dim=2)
    along = x * angle.cos() + y * angle.sin() - middle
    across = y * angle.cos() - x * angle.sin() - offset - bend * along.square()
    # A parabola's distance is nearly its height over the line, divided by its slope's length.
    slope = (1 + (2 * bend * along).square()).sqrt()
    inside = _soft_step(width - across.abs() / slope) * _soft_step(reach - along.abs())
    return (opacity * inside).amax(dim=1), hairs[:, 0, 7]


def _ruler_cover(
    marks: Marks, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of a scale: a line, and on its outer side marks of which every fifth is longer."""
    rulers = marks.rulers.to(x.device)
    angle, distance, period, reach, opacity, _ = rulers[..., None, None].unbind(dim=1)
    along = x * angle.cos() + y * angle.sin()
    beyond = y * angle.cos() - x * angle.sin() - distance
    number = (along / period).round()
    length = reach * torch.where(number % 5 == 0, 1.0, 0.6)
    near = (along - number * period).abs()
    marked = _soft_step(0.012 - near) * _soft_step(beyond) * _soft_step(length - beyond)
    line = _soft_step(0.012 - beyond.abs())
    return opacity * torch.maximum(marked, line), rulers[:, 5]


def _soft_step(depth: torch.Tensor) -> torch.Tensor:
    return (0.5 + depth / (2 * _SOFTNESS)).clamp(0, 1)
