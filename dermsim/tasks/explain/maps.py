"""From a batch of images, a target for each and the name of a method to heatmaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dermsim.core.explain_methods import METHODS
from dermsim.core.refused import Refused
from dermsim.tasks.explain.attention import gradient_weighted, rollout
from dermsim.tasks.explain.cams import FORMULAS, join
from dermsim.tasks.explain.heatmap import Heatmap
from dermsim.tasks.explain.library import KINDS, from_library
from dermsim.tasks.explain.occlusion import occlusion
from dermsim.tasks.explain.opening import (
    AnyExplainable,
    Layer,
    Opened,
    open_attention,
    open_model,
)
from dermsim.tasks.explain.scorecam import scorecam
from dermsim.tasks.explain.targets import Target


def explain(
    model: AnyExplainable,
    pixel_values: Tensor,
    *,
    target: Target | Sequence[Target],
    target_name: str | Sequence[str],
    method: str = "gradcam",
    layer: Layer = None,
    smooth: bool = False,
    size: tuple[int, int] | None = None,
) -> list[Heatmap]:
    """Show where each image holds evidence for a target.

    Safe to call from several threads on one model, under ``no_grad`` or ``inference_mode``, and
    with frozen parameters; the model's mode, gradients and hooks stay as they were.

    Args:
        model: Model in eval mode, such as `DermSimNetwork` or `DermSimEnsembleNetwork`.
        pixel_values: (B, 3, H, W) preprocessed images.
        target: Scalar to explain, for example ``ClassTarget(4)``; one for all images or one each.
        target_name: What the target is called in the result; one for all or one each.
        method: One of `dermsim.core.explain_methods.METHODS`.
        layer: Where the features are taken, as for `open_model`.
        smooth: Average over the turns and mirror images of each image, as for `open_for`.
        size: (height, width) of the maps; the size of `pixel_values` when None.

    Returns:
        One heatmap per image.

    Raises:
        ValueError: If the method is unknown or not for this model, the model is in training mode, a
            layer is unknown, a shape is wrong or a map is not finite.
    """
    looks = open_for(method, model, pixel_values, layer=layer, smooth=smooth)
    count = len(pixel_values)
    targets = [target] * count if callable(target) else list(target)
    names = [target_name] * count if isinstance(target_name, str) else list(target_name)
    return draw(looks, targets, names, method=method, size=size)


def open_for(
    method: str,
    model: AnyExplainable,
    pixel_values: Tensor,
    *,
    layer: Layer = None,
    smooth: bool = False,
) -> tuple[Opened, ...]:
    """Open a model as a method needs it.

    Args:
        method: One of `dermsim.core.explain_methods.METHODS`.
        model: Model in eval mode.
        pixel_values: (B, 3, H, W) preprocessed images.
        layer: As for `open_model`; None for a method that reads attention, which is everywhere.
        smooth: Look also at the turns and mirror images of the images: eight in all of square
            images, four of others. Photographs of skin have no right way up, so these are equally
            good looks at the same thing, and what a map owes to where the cells of its grid
            happened to fall averages out. It takes as much longer.

    Returns:
        One look at the images, or all of them, the images as they are first.

    Raises:
        ValueError: As for `explain`.
    """
    if method not in METHODS:
        raise Refused("maps.method", method=method, methods=list(METHODS))
    if METHODS[method].needs_attention and layer is not None:
        raise Refused("maps.no_layer", method=method)

    def look(images: Tensor) -> Opened:
        if METHODS[method].needs_attention:
            return open_attention(model, images)
        return open_model(model, images, layer=layer)

    looks = [look(pixel_values)]
    if smooth:
        height, width = pixel_values.shape[-2:]
        quarters = range(4) if height == width else (0, 2)
        for turn in ((q, mirrored) for q in quarters for mirrored in (False, True)):
            if turn != (0, False):
                turned = torch.rot90(pixel_values, turn[0], (-2, -1))
                looks.append(replace(look(turned.flip(-1) if turn[1] else turned), turn=turn))
    return tuple(looks)


def draw(
    looks: Sequence[Opened],
    targets: Sequence[Target],
    names: Sequence[str],
    *,
    method: str,
    size: tuple[int, int] | None = None,
) -> list[Heatmap]:
    """Make heatmaps of images on their way through a model.

    Several methods may be drawn of the same looks, but for those that read attention, which need
    their own.

    Args:
        looks: By `open_for` the method, or for one of its kind. The raw maps of several are brought
            back to their place and averaged.
        targets: One per image.
        names: What each target is called.
        method: One of `dermsim.core.explain_methods.METHODS`.
        size: (height, width) of the maps; the size of the images when None.

    Returns:
        One heatmap per image.

    Raises:
        ValueError: If there are not as many targets and names as images, a target does not return
            one scalar per image, or a map is not finite.
    """
    count = len(looks[0].pixel_values)
    if not len(targets) == len(names) == count:
        raise Refused(
            "maps.targets", count=count, targets_count=len(targets), names_count=len(names)
        )
    with torch.inference_mode(False):
        maps = torch.stack([_raw(look, targets, method) for look in looks]).mean(dim=0).clamp(min=0)
        if not maps.isfinite().all():
            raise Refused("maps.not_finite", method=method)
        scores = looks[0].scores(targets).detach().tolist()
        peaks = maps.amax(dim=(1, 2))  # (B,)
        scaled = maps / torch.where(peaks > 0, peaks, 1)[:, None, None]
        height, width = size or looks[0].pixel_values.shape[-2:]
        stretched = F.interpolate(
            scaled[:, None], size=(height, width), mode="bilinear", align_corners=False
        )
        values = stretched[:, 0].clamp(0, 1).cpu().numpy()
        return [
            Heatmap(values[i], float(peaks[i]), method, names[i], scores[i]) for i in range(count)
        ]


def _raw(look: Opened, targets: Sequence[Target], method: str) -> Tensor:
    """Return raw maps (B, h, w) as if the images had not been turned, counter-evidence negative."""
    maps = join([own.detach() for own in _MAKERS[method](look, targets)], method)
    quarters, mirrored = look.turn
    return torch.rot90(maps.flip(-1) if mirrored else maps, -quarters, (-2, -1))


def _cam(
    formula: Callable[[Tensor, Tensor], Tensor], opened: Opened, targets: Sequence[Target]
) -> list[Tensor]:
    """Apply a formula to each member's features and gradient."""
    activations = opened.as_maps([tap.detach() for (tap,) in opened.taps])
    gradients = opened.as_maps([gradient for (gradient,) in opened.gradients(targets)])
    pairs = zip(activations, gradients, strict=True)
    return [formula(own.float(), gradient.float()) for own, gradient in pairs]


_MAKERS: dict[str, Callable[[Opened, Sequence[Target]], list[Tensor]]] = {
    **{name: partial(_cam, formula) for name, formula in FORMULAS.items()},
    "scorecam": scorecam,
    "rollout": lambda opened, targets: rollout(opened),
    "gradattention": gradient_weighted,
    "occlusion": occlusion,
    **{name: partial(from_library, name) for name in KINDS},
}
"""How each method makes raw maps (B, h, w), one for each member, of an opened model."""
