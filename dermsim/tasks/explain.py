"""Where the encoder looked: class activation maps from one forward pass and one small gradient.

Explaining runs the backbone once without a graph, starts one at its last feature map, and
differentiates only the head. Nothing is hooked and nothing in the model changes, so any number of
threads may explain with the same model at the same time. An ensemble has a feature map for each
member, and its map is made of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Evidence for one target in one image.

    ``values * peak`` is the raw map: compare peaks before comparing maps, because a faint map
    and a strong one both reach towards 1 in `values`.

    Attributes:
        values: (H, W) float32 in [0, 1]; all zero when nothing in the image speaks for the target.
        peak: Largest raw value of the map before scaling, 0 when there is no evidence.
        method: Key of `METHODS` that made the map.
        target: What was explained, for example ``"mel"``.
    """

    values: np.ndarray
    peak: float
    method: str
    target: str

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, `values` as nested lists."""
        return {
            "values": self.values.tolist(),
            "peak": self.peak,
            "method": self.method,
            "target": self.target,
        }


class HeadOutput(Protocol):
    """What a target may look at; `DermSimOutput` is one.

    Attributes:
        logits: Tensor (B, classes).
        embeddings: Tensor (B, D).
    """

    logits: Any
    embeddings: Any


FeaturesT = TypeVar("FeaturesT", Tensor, tuple[Tensor, ...])
"""What a model is cut at: one backbone's features, or one tensor for each member of an ensemble."""


class Explainable(Protocol[FeaturesT]):
    """A model cut in two at the last features of its backbone, or of several.

    `DermSimNetwork` is an ``Explainable[Tensor]``, `DermSimEnsembleNetwork` an
    ``Explainable[tuple[Tensor, ...]]``.
    """

    training: bool

    def encode(self, pixel_values: Tensor) -> FeaturesT:
        """Run the backbone: images (B, 3, H, W) to features in the backbone's own layout."""

    def feature_map(self, features: FeaturesT) -> FeaturesT:
        """View features, or their gradient, as a map (B, C, h, w) of each backbone."""

    def decode(self, features: FeaturesT) -> HeadOutput:
        """Run the heads on what `encode` returned."""


Target = Callable[[HeadOutput], Tensor]
"""The scalar to explain, one per image: head output -> (B,)."""


@dataclass(frozen=True)
class ClassTarget:
    """Explains the logit of one class.

    Attributes:
        index: Column of the logits.
    """

    index: int

    def __call__(self, output: HeadOutput) -> Tensor:
        """Return the class's logit for each image, (B,).

        Raises:
            ValueError: If the model has no such class.
        """
        classes = output.logits.shape[1]
        if not 0 <= self.index < classes:
            raise ValueError(f"class index {self.index} is outside the model's 0 to {classes - 1}")
        return output.logits[:, self.index]


@dataclass(frozen=True, eq=False)
class SimilarityTarget:
    """Explains the likeness to one other case: the cosine between its embedding and the image's.

    Attributes:
        embedding: (D,) floating, of any length but zero.

    Raises:
        ValueError: If `embedding` is not one finite, non-zero vector.
    """

    embedding: np.ndarray

    def __post_init__(self) -> None:
        """Refuse what has no direction."""
        embedding = np.asarray(self.embedding)
        if embedding.ndim != 1:
            raise ValueError(f"expected one embedding (D,), got shape {embedding.shape}")
        if not np.isfinite(embedding).all() or not embedding.any():
            raise ValueError("an embedding to compare with must be finite and not all zero")

    def __call__(self, output: HeadOutput) -> Tensor:
        """Return the cosine similarity of each image to the case, (B,).

        Raises:
            ValueError: If the embedding's length is not the model's.
        """
        other = torch.tensor(np.asarray(self.embedding)).to(output.embeddings)
        if len(other) != output.embeddings.shape[1]:
            raise ValueError(
                f"the embedding to compare with has {len(other)} dimensions, "
                f"the model's have {output.embeddings.shape[1]}"
            )
        return F.cosine_similarity(output.embeddings, other[None], dim=1)


# Each method below maps activations and gradients, both (B, C, h, w), to raw maps (B, h, w).


def gradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight channels by their mean gradient (Selvaraju et al. 2017, arxiv.org/abs/1610.02391)."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def gradcam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight positive gradients by eq. 19 of Chattopadhay et al. 2018, arxiv.org/abs/1710.11063."""
    totals = activations.sum(dim=(2, 3), keepdim=True)
    alpha = gradients**2 / (2 * gradients**2 + totals * gradients**3 + 1e-6)
    weights = (gradients.clamp(min=0) * alpha).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def xgradcam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weight gradients by share of activation (Fu et al. 2020, arxiv.org/abs/2008.02312)."""
    totals = activations.sum(dim=(2, 3), keepdim=True)
    weights = (gradients * activations / (totals + 1e-7)).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def hirescam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Multiply place by place, no averaging (Draelos & Carin 2020, arxiv.org/abs/2011.08891)."""
    return (gradients * activations).sum(dim=1)


def layercam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Keep only positive gradients (Jiang et al. 2021, doi.org/10.1109/TIP.2021.3089943)."""
    return (gradients.clamp(min=0) * activations).sum(dim=1)


def eigencam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Project on the first principal component (Muhammad & Yeasin 2020, arxiv.org/abs/2008.00299).

    The same for every target: it shows what dominates the features, not evidence for a class.
    The component's sign is arbitrary; the side that reaches further from zero is made positive.
    """
    del gradients  # the only method that asks nothing of the head
    height, width = activations.shape[-2:]
    places = activations.flatten(2).transpose(1, 2)  # (B, h*w, C)
    left, scales, _ = torch.linalg.svd(
        places - places.mean(dim=1, keepdim=True), full_matrices=False
    )
    projection = left[..., 0] * scales[..., :1]  # (B, h*w)
    flip = projection.amin(dim=1).abs() > projection.amax(dim=1)
    return torch.where(flip[:, None], -projection, projection).unflatten(1, (height, width))


METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "xgradcam": xgradcam,
    "hirescam": hirescam,
    "layercam": layercam,
    "eigencam": eigencam,
}

_SHARED_OUT = {"gradcam", "xgradcam", "hirescam", "layercam"}
"""Methods whose maps share the score out over the places: the more of them, the less for each."""


def explain(
    model: Explainable[Tensor] | Explainable[tuple[Tensor, ...]],
    pixel_values: Tensor,
    *,
    target: Target,
    target_name: str,
    method: str = "gradcam",
    size: tuple[int, int] | None = None,
) -> list[Heatmap]:
    """Show where each image holds evidence for a target.

    Safe to call from several threads on one model, under ``no_grad`` or ``inference_mode``, and
    with frozen parameters; the model's mode, gradients and hooks stay as they were.

    Args:
        model: Model in eval mode, such as `DermSimNetwork` or `DermSimEnsembleNetwork`.
        pixel_values: (B, 3, H, W) preprocessed images.
        target: Scalar to explain per image, for example ``ClassTarget(4)``.
        target_name: What the target is called in the result.
        method: One of `METHODS`.
        size: (height, width) of the maps; the size of `pixel_values` when None.

    Returns:
        One heatmap per image.

    Raises:
        ValueError: If the method is unknown, the model is in training mode, a shape is wrong or a
            map is not finite.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}, expected one of {', '.join(METHODS)}")
    if model.training:
        raise ValueError("the model is in training mode, call model.eval() before explaining")
    if pixel_values.ndim != 4:
        raise ValueError(f"expected pixel_values (B, 3, H, W), got {tuple(pixel_values.shape)}")
    with torch.inference_mode(False):
        pairs = _gradients(model, pixel_values, target)
        each = [METHODS[method](a.float(), gradient.float()) for a, gradient in pairs]
        maps = (each[0] if len(each) == 1 else _joined(each, method)).clamp(min=0)
        if not maps.isfinite().all():
            raise ValueError(f"{method} gave a map that is not finite, check the weights and image")
        height, width = size or pixel_values.shape[-2:]
        return _heatmaps(maps, (height, width), method, target_name)


def _gradients(model: Any, pixel_values: Tensor, target: Target) -> list[tuple[Tensor, Tensor]]:
    """Return each feature map and the gradient of the summed targets at it, all (B, C, h, w)."""
    with torch.no_grad():
        # a tensor born in inference mode can never join a graph, its clone can
        features = model.encode(pixel_values.clone())
    several = isinstance(features, tuple)
    with torch.enable_grad():
        leaves = [f.detach().requires_grad_() for f in (features if several else [features])]
        scores = target(model.decode(tuple(leaves) if several else leaves[0]))
        if scores.shape != leaves[0].shape[:1]:
            raise ValueError(
                f"a target returns one scalar per image, ({len(leaves[0])},), "
                f"got {tuple(scores.shape)}"
            )
        gradients = torch.autograd.grad(scores.sum(), leaves)
    values = tuple(leaf.detach() for leaf in leaves)
    if not several:
        return [(model.feature_map(values[0]), model.feature_map(gradients[0]))]
    return list(zip(model.feature_map(values), model.feature_map(gradients), strict=True))


def _joined(maps: list[Tensor], method: str) -> Tensor:
    """Make one raw map of the members' raw maps (B, h, w), on the finest of their grids."""
    # All methods but Eigen-CAM weigh each channel by itself and add the channels up, and the
    # channels of an ensemble are those of its members: on one grid, the sum of the members' maps is
    # the method applied to all channels together. How much a member counts is in its gradients
    # already, by the chain rule through the heads. So the maps are added, not averaged, and before
    # what is negative is cut off: what speaks against the target in one member's eyes is set off
    # against what speaks for it in another's.
    height, width = max((own.shape[1:] for own in maps), key=lambda grid: grid[0] * grid[1])
    parts = []
    for own in maps:
        if method in _SHARED_OUT:
            # a place of a coarse grid covers several of the fine one, and its share is theirs
            own = own * (own[0].numel() / (height * width))
        elif method == "eigencam":
            # no score gives these a common unit: every member speaks equally loud
            loudest = own.abs().amax(dim=(1, 2), keepdim=True)
            own = own / torch.where(loudest > 0, loudest, 1)
        finer = F.interpolate(own[:, None], (height, width), mode="bilinear", align_corners=False)
        parts.append(finer[:, 0])
    return torch.stack(parts).sum(dim=0)


def _heatmaps(maps: Tensor, size: tuple[int, int], method: str, target_name: str) -> list[Heatmap]:
    """Upsample raw maps (B, h, w), none negative, and divide each by its peak where it has one."""
    peaks = maps.amax(dim=(1, 2))  # (B,)
    scaled = maps / torch.where(peaks > 0, peaks, 1)[:, None, None]
    upsampled = F.interpolate(scaled[:, None], size=size, mode="bilinear", align_corners=False)
    values = upsampled[:, 0].clamp(0, 1).cpu().numpy()
    return [
        Heatmap(values=values[i], peak=float(peaks[i]), method=method, target=target_name)
        for i in range(len(values))
    ]
