"""The methods of pytorch-grad-cam that are not our own, drawn by the library itself.

The library hooks the model it is given, sets its mode and its gradients, and replaces its layers;
two threads that share a model spoil each other's maps. So it never sees the encoder: it is given a
`shadow`, whose hooks and layers are its own, made anew for each call and forgotten afterwards. Any
number of threads get the maps that one alone gets.

It is asked for one image and one member of an ensemble at a time, and for raw maps rather than for
those it stretches from their least to their greatest value: a map without evidence must stay empty.
Left out are FullGrad, which knows only torch's own BatchNorm2d and not timm's; SESS and RefineCAM,
which make a map of other methods' stretched maps; and RandomCAM, which explains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dermsim.core.explain_methods import METHODS
from dermsim.core.refused import Refused
from dermsim.tasks.explain.opening import Opened, members, shadow
from dermsim.tasks.explain.targets import ClassTarget, Target

KINDS = {
    "finercam": "FinerCAM",
    "ablationcam": "AblationCAM",
    "shapleycam": "ShapleyCAM",
    "gradcamelementwise": "GradCAMElementWise",
    "eigengradcam": "EigenGradCAM",
    "segeigencam": "SegEigenCAM",
    "kpcacam": "KPCA_CAM",
    "fem": "FEM",
}
"""What the library calls its classes, by our names of the methods."""

FIELDS = ("logits", "embeddings", "pooled_features")
"""What a target may look at, in the order in which it is laid in a row for the library."""

_SIGNLESS = {"eigengradcam", "kpcacam"}
"""Methods whose maps are a principal component, whose sign the library leaves to chance."""


def from_library(method: str, opened: Opened, targets: Sequence[Target]) -> list[Tensor]:
    """Have pytorch-grad-cam draw a method.

    Args:
        method: Key of `KINDS`.
        opened: At the features to look at.
        targets: One per image.

    Returns:
        Raw maps (B, h, w) of each member, negative values included.

    Raises:
        ValueError: If the method explains diagnoses only and another target is asked for, or needs
            features as a map with the channels first and there are none.
    """
    if method == "finercam" and not all(isinstance(target, ClassTarget) for target in targets):
        raise Refused("explain_library.diagnoses_only", method=METHODS[method].title)
    if METHODS[method].needs_maps and any(tap.ndim != 4 for (tap,) in opened.taps):
        raise Refused("explain_library.channels_first", method=METHODS[method].title)
    with torch.inference_mode(False), torch.enable_grad():
        view = shadow(opened.model)
        if method == "shapleycam":  # a second derivative needs a graph that reaches the weights
            view.requires_grad_(True)
        scores = opened.scores(targets).detach()
        return [
            torch.stack(
                [
                    _draw(method, _Part(view, opened, number, image), target, float(scores[image]))
                    for image, target in enumerate(targets)
                ]
            )
            for number in range(len(opened.features))
        ]


class _Part(nn.Module):
    """One image on its way through a shadow, from one member's opened place or before it.

    Opened where the heads begin, it takes the features and runs the heads alone; anywhere else it
    takes the image and runs everything.
    """

    def __init__(self, view: Any, opened: Opened, number: int, image: int) -> None:
        super().__init__()
        self.view = view
        self.cut = nn.Identity()
        self.given: Tensor
        rows = slice(image, image + 1)
        self._number, self._features = number, [own[rows].clone() for own in opened.features]
        place = opened.places.get(number)
        self._whole = place is not None
        if place is None:
            self.given, self.place = self._features[number], self.cut
        else:
            self.given = opened.pixel_values[rows].clone()
            self.place = members(view)[number].backbone.get_submodule(place)
        self.fields: tuple[tuple[str, int], ...] = ()
        self.only_logits = False

    def as_map(self, tensor: Tensor) -> Tensor:
        """View what lies at the place, or its gradient, as a map (1, C, h, w)."""
        if self._whole:
            return members(self.view)[self._number].feature_map(tensor)
        found = self.view.feature_map(self._among_others(tensor))
        return found if isinstance(found, Tensor) else found[self._number]

    def _among_others(self, own: Tensor) -> Any:
        """Return what the heads take: features (B, ...) of one member, those of the others kept."""
        parts = [other.expand(len(own), *other.shape[1:]) for other in self._features]
        parts[self._number] = own
        return tuple(parts) if len(parts) > 1 else own

    def forward(self, given: Tensor) -> Tensor:
        """Return what the heads say of B versions of the image, in rows (B, all `FIELDS`)."""
        if self._whole:
            output = self.view.decode(self.view.encode(given))
        else:
            output = self.view.decode(self._among_others(self.cut(given)))
        if self.only_logits:
            return output.logits
        found = [(name, getattr(output, name)) for name in FIELDS if hasattr(output, name)]
        self.fields = tuple((name, values.shape[1]) for name, values in found)
        return torch.cat([values for _, values in found], dim=1)

    def score(self, target: Target, row: Tensor) -> Tensor:
        """Ask one of our targets for the scalar of one row."""
        parts = row[None].split([width for _, width in self.fields], dim=1)
        names = [name for name, _ in self.fields]
        output: Any = SimpleNamespace(**dict(zip(names, parts, strict=True)))
        return target(output)[0]


def _draw(method: str, part: _Part, target: Target, score: float) -> Tensor:
    """Return the raw map (h, w) of one image by one member."""
    kind, options = _kind(method), {}
    if method == "ablationcam":
        options["ablation_layer"] = _new_ablation_layer()
    asked: list[Callable[[Tensor], Tensor]] | None = [partial(part.score, target)]
    if method == "finercam":
        part.only_logits, asked = True, None
    given = part.given.detach().requires_grad_()
    cam = kind(part, [part.place], reshape_transform=part.as_map, **options)
    hooked = getattr(cam, "base_cam", cam).activations_and_grads
    try:
        more = {"target_idx": target.index} if isinstance(target, ClassTarget) and not asked else {}
        (found,) = cam.forward(given, asked, **more)
    finally:
        # emptied first, as the library cannot let go of a gradient that is a view
        hooked.activations, hooked.gradients = [], []
        hooked.release()
    raw = torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32)).to(part.given.device)
    if method == "ablationcam":
        return raw * score  # the library divides by it, which turns the map round where it is < 0
    if method in _SIGNLESS and -raw.min() > raw.max():
        return -raw
    return raw


@cache
def _kind(method: str) -> Any:
    """Return the library's class of a method, made to return raw maps."""
    import pytorch_grad_cam
    from pytorch_grad_cam import ablation_cam

    class Raw:
        """Keeps the map of the one layer as it is: neither cut at 0 nor stretched."""

        def compute_cam_per_layer(self, images: Any, targets: Any, smooth: bool) -> Any:
            own: Any = self
            hooked = own.activations_and_grads
            (activations,), gradients = hooked.activations, [*hooked.gradients, None]
            if own.detach:
                activations = activations.numpy()
                gradients = [None if one is None else one.numpy() for one in gradients]
            if activations.ndim != 4:
                raise Refused("opening.not_a_map", shape=tuple(activations.shape))
            place = own.target_layers[0]
            return own.get_cam_image(images, place, targets, activations, gradients[0], smooth)

        def aggregate_multi_layers(self, maps: Any) -> Any:
            return maps

    def raw(kind: Any) -> Any:
        return type(f"Raw{kind.__name__}", (Raw, kind), {})

    # it prints a progress bar for every image, and offers no way to ask it not to
    ablation_cam.tqdm = SimpleNamespace(tqdm=iter)
    if method == "finercam":
        return partial(pytorch_grad_cam.FinerCAM, base_method=raw(pytorch_grad_cam.GradCAM))
    return raw(getattr(pytorch_grad_cam, KINDS[method]))


def _new_ablation_layer() -> Any:
    """Return a layer of one's own: the library's default is one for all, whatever the thread."""
    from pytorch_grad_cam.ablation_layer import AblationLayer

    return AblationLayer()
