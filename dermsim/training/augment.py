"""Random views of photographs, for a whole batch at once, on whatever device the pixels are.

Dermatoscopy has no up, so a view is turned by any angle and mirrored; a crop zooms and stretches;
a colour matrix stands for another lamp, filter or camera. One resampling and one matrix product
do it all, so the accelerator does not wait for its data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torchvision.transforms import v2

from dermsim.training.config import AugmentConfig
from dermsim.training.marks import Marks, draw_marks, render_marks

_DETAIL = (0.35, 0.45, 0.6, 0.75)
"""Sides to which coarse views are reduced, as shares: few, so that they are resized together."""
_CLOSEST, _FARTHEST = 0.25, 1.5
"""Sides of crops around lesions, as shares of the photograph's shorter side: closer there would be
too few pixels, farther hardly more than mirror images."""
_LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclass(frozen=True)
class Views:
    """The random part of N views; small, drawn on the CPU so that every device sees the same.

    Attributes:
        geometry: ``(N, 2, 3)`` float32, output to input coordinates as `affine_grid` takes them,
            in units of half the input's shorter side.
        color: ``(N, 3, 3)`` float32, saturation, hue and white balance as one matrix on RGB.
        contrast: ``(N,)`` float32, spread around the view's own mean.
        shift: ``(N,)`` float32, added to all channels in [0, 1].
        detail: ``(N,)`` float32, side of the picture that a view is shown as, as a share of its
            own, 1 for all its pixels; None where all have all.
        marks: Hairs and rulers over the views; None for none.
        around: ``(N, 3)`` float32, for views around a lesion the share of their side that it takes,
            0 for other views, and where in the room that is left it lies, x and y in [-1, 1]; None
            where there are no such views.
    """

    geometry: torch.Tensor
    color: torch.Tensor
    contrast: torch.Tensor
    shift: torch.Tensor
    detail: torch.Tensor | None = None
    marks: Marks | None = None
    around: torch.Tensor | None = None

    def __getitem__(self, rows: slice) -> Views:
        """The views of some rows only."""
        return Views(
            self.geometry[rows],
            self.color[rows],
            self.contrast[rows],
            self.shift[rows],
            None if self.detail is None else self.detail[rows],
            None if self.marks is None else self.marks[rows],
            None if self.around is None else self.around[rows],
        )

    def on_lesions(self, boxes: torch.Tensor) -> Views:
        """Move those that were drawn around a lesion to where it is.

        Args:
            boxes: ``(N, 3)`` float32, where the lesion of each view's photograph lies, as
                `dermsim.training.lesions.Lesions` has it; zero where that is not known.
        """
        if self.around is None:
            return self
        share, wander = self.around[:, 0], self.around[:, 1:]
        middle, extent = boxes[:, :2], boxes[:, 2]
        side = (extent / share.clamp(min=1e-6)).clamp(_CLOSEST, _FARTHEST)
        turn = self.geometry[:, :, :2]
        # A turn and a stretch leave areas as they are, so the determinant is the side, squared.
        now = torch.linalg.det(turn).abs().sqrt()
        center = middle + wander * (side - extent).clamp(min=0)[:, None]
        moved = torch.cat([turn * (side / now)[:, None, None], center[:, :, None]], dim=2)
        there = ((share > 0) & (extent > 0))[:, None, None]
        return replace(self, geometry=torch.where(there, moved, self.geometry))


def draw_views(n: int, config: AugmentConfig, *, generator: torch.Generator) -> Views:
    """Draw the random part of n views.

    Args:
        n: How many.
        config: Strengths.
        generator: A CPU generator; the same state draws the same views.

    Returns:
        The views, to be given to `render_views`.
    """

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    angle = uniform(0, 2 * math.pi)
    side = uniform(config.min_scale, config.max_scale).sqrt()
    stretch = uniform(-1, 1).mul(math.log(config.max_aspect) / 2).exp()
    mirror = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
    cos, sin = angle.cos(), angle.sin()
    scale = side[:, None] * torch.stack([mirror * stretch, 1 / stretch], dim=1)
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    # The centre moves no further than keeps an unturned crop inside the central square.
    center = uniform(-1, 1, 2) * (1 - side).clamp(min=0)[:, None]
    geometry = torch.cat([rotation * scale[:, None, :], center[:, :, None]], dim=2)

    saturation = uniform(1 - config.saturation, 1 + config.saturation)
    contrast = uniform(1 - config.contrast, 1 + config.contrast)
    gains = uniform(1 - config.white_balance, 1 + config.white_balance, 3)
    hue = _hue_rotation(uniform(-config.hue, config.hue) * 2 * math.pi)
    grey = _LUMA.expand(3, 3)
    saturate = saturation[:, None, None] * (torch.eye(3) - grey) + grey
    color = gains[:, :, None] * (hue @ saturate)
    shift = uniform(-config.brightness, config.brightness)
    detail = _draw_detail(n, config.coarse, generator) if config.coarse > 0 else None
    marks = draw_marks(n, config.marks, generator=generator) if config.marks > 0 else None
    around = None
    if config.lesion_crops > 0:
        shown = uniform(0, 1) < config.lesion_crops
        sizes = torch.where(shown, uniform(config.lesion_min, config.lesion_max), 0.0)
        around = torch.cat([sizes[:, None], uniform(-1, 1, 2)], dim=1)
    return Views(geometry, color, contrast, shift, detail, marks, around)


def render_views(
    pixels: torch.Tensor, views: Views, *, size: int, mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Make the views.

    Args:
        pixels: ``(N, 3, H, W)`` uint8.
        views: What `draw_views` drew for N.
        size: S, the side of a view in pixels.
        mean: Per channel, taken off at the end, in [0, 1].
        std: Per channel, divided by at the end, in [0, 1].

    Returns:
        ``(N, 3, S, S)`` float32 on the device of `pixels`, normalised as the processor does it.
    """
    device = pixels.device
    height, width = pixels.shape[-2:]
    short = min(height, width)
    # affine_grid's unit is half a side of the input; ours is half its shorter side.
    unit = torch.tensor([short / width, short / height])
    theta = (views.geometry * unit[:, None]).to(device)
    grid = F.affine_grid(theta, [len(pixels), 3, size, size], align_corners=False)
    image = F.grid_sample(
        pixels.float().div_(255), grid, padding_mode="reflection", align_corners=False
    ).flatten(2)
    average = image.mean(dim=2, keepdim=True)
    color = views.color.to(device)
    contrast = views.contrast.to(device)[:, None, None]
    shift = views.shift.to(device)[:, None, None]
    bias = color @ ((1 - contrast) * average) + shift
    image = torch.baddbmm(bias, contrast * color, image).clamp_(0, 1)
    if views.detail is not None:
        _show_coarse(image.unflatten(2, (size, size)), views.detail)
    if views.marks is not None:
        render_marks(image.unflatten(2, (size, size)), views.marks)
    offset = torch.tensor(mean, device=device)[:, None]
    spread = torch.tensor(std, device=device)[:, None]
    return image.sub_(offset).div_(spread).unflatten(2, (size, size))


def mixer(
    config: AugmentConfig, *, classes: int
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None:
    """Return what mixes the images of a batch and their labels, as torchvision does it.

    MixUp (Zhang 2018, https://arxiv.org/abs/1710.09412) blends two images, CutMix (Yun 2019,
    https://arxiv.org/abs/1905.04899) pastes a rectangle of one into the other; with both, each
    batch gets one of them. They draw from torch's global generator, which training states keep.
    Labelled images are mixed with each other, and so are unlabelled ones.

    Args:
        config: `mixup` and `cutmix`.
        classes: C, how many labels there are.

    Returns:
        A function of ``(N, 3, S, S)`` images, in which an image's views follow each other, and
        ``(N,)`` int64 labels, C and more for none, that returns images and ``(N, C)`` float32
        shares, zero where there is no label; None when nothing is to be mixed.
    """
    kinds = ((v2.MixUp, config.mixup), (v2.CutMix, config.cutmix))
    chosen = [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha > 0]
    if not chosen:
        return None
    one_of_them = v2.RandomChoice(chosen)

    def mix(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = torch.empty_like(images, memory_format=torch.channels_last)
        shares = images.new_zeros(len(images), classes)
        # torchvision mixes each row with the one before, which would be a view of the same image.
        apart = torch.arange(len(images)).unflatten(0, (-1, config.views)).T.flatten()
        apart = apart.to(images.device)
        known = labels[apart] < classes
        for rows in (apart[known], apart[~known]):
            if len(rows):
                mixed[rows], found = one_of_them(images[rows], labels[rows].clamp(max=classes - 1))
                shares[rows] = found * (labels[rows] < classes).float()[:, None]
        return mixed, shares

    return mix


def _draw_detail(n: int, share: float, generator: torch.Generator) -> torch.Tensor:
    level = torch.randint(0, len(_DETAIL), (n,), generator=generator)
    coarse = torch.rand(n, generator=generator) < share
    return torch.where(coarse, torch.tensor(_DETAIL)[level], torch.ones(n))


def _show_coarse(images: torch.Tensor, detail: torch.Tensor) -> None:
    """Reduce some views to fewer pixels, as a small photograph has, and enlarge them, in place."""
    for share in detail[detail < 1].unique().tolist():
        rows = (detail == share).nonzero().squeeze(1).to(images.device)
        side = round(share * images.shape[-1])
        small = F.interpolate(images[rows], size=side, mode="bilinear", antialias=True)
        large = F.interpolate(small, size=images.shape[-1], mode="bicubic", align_corners=False)
        images[rows] = large.clamp_(0, 1)


def _hue_rotation(angle: torch.Tensor) -> torch.Tensor:
    """``(N, 3, 3)`` rotations of RGB around the grey axis by `angle` radians (Rodrigues)."""
    axis = torch.full((3,), 1 / math.sqrt(3))
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sin, cos = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return cos * torch.eye(3) + sin * cross + (1 - cos) * torch.outer(axis, axis)
