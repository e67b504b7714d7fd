"""A model opened at one place: features to look at, and a gradient that begins there.

By default a model is cut where its heads begin, which needs no hook. Any other place is reached in
a `shadow`: a copy of the tree of modules that shares every weight. What is hooked is the shadow,
made for one call and then forgotten, so the model itself is never touched and any number of threads
may look into it at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dermsim.core.refused import Refused
from dermsim.tasks.explain.targets import HeadOutput, Target, score_each

FeaturesT = TypeVar("FeaturesT", Tensor, tuple[Tensor, ...])
"""What a model is cut at: one backbone's features, or one tensor for each member of an ensemble."""

Layer = int | str | None
"""A place in a backbone: a stage by its number, from 0 or from the end as -1; a module by its name,
such as ``"layer3.0.conv1"``; or None for the last place that the heads read as a whole."""


class Explainable(Protocol[FeaturesT]):
    """A model cut in two at the last features of its backbone, or of several.

    `DermSimNetwork` is an ``Explainable[Tensor]``, `DermSimEnsembleNetwork` an
    ``Explainable[tuple[Tensor, ...]]``. To be opened anywhere else, it must be a module with a
    `backbone`, or with `members` that each are.
    """

    training: bool

    def encode(self, pixel_values: Tensor) -> FeaturesT:
        """Run the backbone: images (B, 3, H, W) to features in the backbone's own layout."""

    def feature_map(self, features: FeaturesT) -> FeaturesT:
        """View features, or their gradient, as a map (B, C, h, w) of each backbone."""

    def decode(self, features: FeaturesT) -> HeadOutput:
        """Run the heads on what `encode` returned."""


AnyExplainable = Explainable[Tensor] | Explainable[tuple[Tensor, ...]]
"""One encoder or several."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A batch of B images on its way through a model, stopped where evidence is looked for.

    Attributes:
        model: The model.
        pixel_values: (B, 3, H, W) the images.
        features: What the heads read, for each member of the model (one for a single encoder).
        output: What the heads say, with a graph that begins at `taps`.
        taps: For each member the tensors where that graph begins or passes: the features at one
            place, or the attention of its blocks.
        places: By the number of a member, the module it was opened at; those that were opened where
            the heads begin are not among them.
        named: Whether a member was opened at a place of its own, rather than where the heads begin.
        turn: How many quarter turns the images were given, and whether they were mirrored after.
    """

    model: Any
    pixel_values: Tensor
    features: tuple[Tensor, ...]
    output: HeadOutput
    taps: tuple[tuple[Tensor, ...], ...]
    named: bool
    turn: tuple[int, bool] = (0, False)
    places: Mapping[int, str] = field(default_factory=dict)
    _asked: dict[tuple[int, ...], Any] = field(default_factory=dict, repr=False)

    def predicted(self) -> list[int]:
        """Return the class with the highest logit of each image."""
        return self.output.logits.argmax(dim=1).tolist()

    def embeddings(self) -> npt.NDArray[np.float32]:
        """Return the images' embeddings (B, D)."""
        return self.output.embeddings.detach().float().cpu().numpy()

    def scores(self, targets: Sequence[Target]) -> Tensor:
        """Return the scalar to be explained of each image, (B,), with its graph."""
        return score_each(targets, self.output, range(len(self.pixel_values)))

    def gradients(self, targets: Sequence[Target]) -> list[tuple[Tensor, ...]]:
        """Return the gradient of each image's score at every one of `taps`.

        Asked for the same targets again, as another method may, it answers from memory.
        """
        key = tuple(map(id, targets))
        if key not in self._asked:
            flat = [tap for taps in self.taps for tap in taps]
            with torch.inference_mode(False), torch.enable_grad():
                # The images of a batch do not touch, so the gradient of the sum is that of each.
                # The graph is kept: another target may be asked of the same images.
                found = torch.autograd.grad(
                    self.scores(targets).sum(), flat, retain_graph=True, materialize_grads=True
                )
            rest = iter(found)
            grouped = [tuple(next(rest) for _ in taps) for taps in self.taps]
            self._asked[key] = (list(targets), grouped)  # kept alive, so that no other has their id
        return self._asked[key][1]

    def as_maps(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """View features or gradients at the place opened, one tensor for each member, as maps.

        Returns:
            (B, C, h, w) of each member.

        Raises:
            ValueError: If what lies there is no map.
        """
        try:
            if self.named:
                pairs = zip(members(self.model), tensors, strict=True)
                maps = [member.feature_map(own) for member, own in pairs]
            elif len(tensors) == 1:
                maps = [self.model.feature_map(tensors[0])]
            else:
                maps = list(self.model.feature_map(tuple(tensors)))
        except RuntimeError as error:  # tokens that fill no rectangle
            raise Refused("opening.no_map", error=error) from error
        for own in maps:
            if own.ndim != 4:
                raise Refused("opening.not_a_map", shape=tuple(own.shape))
        return maps


def open_model(model: AnyExplainable, pixel_values: Tensor, *, layer: Layer = None) -> Opened:
    """Run a model with a graph that begins at one place of each backbone.

    Args:
        model: In eval mode.
        pixel_values: (B, 3, H, W) preprocessed images.
        layer: Where; None for where the heads begin. A transformer whose heads read its class
            token alone is opened at what its last attention reads instead: the patches that leave
            its last block are read by nobody.

    Raises:
        ValueError: If the model is in training mode, a shape is wrong, or there is no such layer.
    """
    check_input(model, pixel_values)
    places = {n: place for n, m in enumerate(members(model)) if (place := _place(m, layer))}
    taps: dict[int, Tensor] = {}
    view: Any = model
    if places:
        view = shadow(model)
        for number, place in places.items():
            module = members(view)[number].backbone.get_submodule(place)
            module.register_forward_hook(partial(_begin_graph, taps, number, place))
    with torch.inference_mode(False):
        # a shadow's weights need no gradient, so that there is no graph before its taps
        with torch.set_grad_enabled(bool(places)):
            # a tensor born in inference mode can never join a graph, its clone can
            encoded = view.encode(pixel_values.clone())
        several = isinstance(encoded, tuple)
        features = list(encoded) if several else [encoded]
        for number, own in enumerate(features):
            if number in places and number not in taps:
                raise Refused("opening.unused", places=places[number])
            if number not in places:
                taps[number] = features[number] = own.detach().requires_grad_()
        with torch.enable_grad():
            output = view.decode(tuple(features) if several else features[0])
    return Opened(
        model=model,
        pixel_values=pixel_values,
        features=tuple(own.detach() for own in features),
        output=output,
        taps=tuple((taps[number],) for number in range(len(features))),
        named=bool(places),
        places=places,
    )


def open_attention(model: AnyExplainable, pixel_values: Tensor) -> Opened:
    """Run a model of transformers with a graph through the attention of every block.

    Args:
        model: In eval mode.
        pixel_values: (B, 3, H, W) preprocessed images.

    Returns:
        With the attention (B, heads, N, N) of each block as taps, N the tokens of a member.

    Raises:
        ValueError: If the model is in training mode, a shape is wrong, or a backbone is no
            transformer whose every token attends to every other.
    """
    check_input(model, pixel_values)
    if not has_attention(model):
        names = [type(m.backbone).__name__ for m in members(model)]
        raise Refused("opening.no_attention", names=names)
    view: Any = shadow(model)
    taps: list[list[Tensor]] = []
    for member in members(view):
        taps.append([])
        for block in attention_blocks(member.backbone):
            block.fused_attn = False  # of the shadow; the fused kernel never holds the attention
            block.attn_drop.register_forward_hook(partial(_pass_graph, taps[-1]))
    with torch.inference_mode(False), torch.enable_grad():
        encoded = view.encode(pixel_values.clone())
        features = encoded if isinstance(encoded, tuple) else (encoded,)
        output = view.decode(encoded)
    for own, seen in zip(features, taps, strict=True):
        tokens = own.shape[1]
        if any(tap.shape[0] != len(own) or tap.shape[2:] != (tokens, tokens) for tap in seen):
            raise Refused("opening.windowed")
    return Opened(
        model=model,
        pixel_values=pixel_values,
        features=tuple(own.detach() for own in features),
        output=output,
        taps=tuple(tuple(seen) for seen in taps),
        named=True,
    )


def has_attention(model: Any) -> bool:
    """Say whether every member of a model is a transformer with attention among all its tokens."""
    return all(
        hasattr(getattr(member, "backbone", None), "num_prefix_tokens")
        and len(attention_blocks(member.backbone)) > 0
        for member in members(model)
    )


def has_maps(model: Any) -> bool:
    """Say whether the features of every member are maps with the channels first."""
    backbones = [getattr(member, "backbone", None) for member in members(model)]
    return all(
        not hasattr(backbone, "num_prefix_tokens")
        and getattr(backbone, "output_fmt", "NCHW") == "NCHW"
        for backbone in backbones
    )


def members(model: Any) -> list[Any]:
    """Return the encoders of an ensemble, or the one encoder there is."""
    return list(model.members) if hasattr(model, "members") else [model]


def stages(backbone: Any) -> list[str]:
    """Return the names of the modules after which timm counts a stage, first to last.

    A transformer whose class token is all that its heads read is opened at what the attention of
    each block reads, the first norm of the block.
    """
    names = [info["module"] for info in getattr(backbone, "feature_info", ())]
    return [f"{name}.norm1" for name in names] if reads_class_token(backbone) else names


def reads_class_token(backbone: Any) -> bool:
    """Say whether the heads read the class token of a transformer and none of its patches."""
    return getattr(backbone, "global_pool", None) == "token" and hasattr(backbone, "blocks")


def shadow(model: Any) -> Any:
    """Copy a tree of modules, sharing all weights, none of which asks for a gradient.

    Hooks and attributes set on the copy are its own.

    Args:
        model: Any module; it is not changed.
    """
    copies: dict[int, nn.Module] = {}

    def copy_of(module: nn.Module) -> nn.Module:
        if id(module) not in copies:
            twin = module.__class__.__new__(module.__class__)
            copies[id(module)] = twin  # first, so that a module that is found twice is one twin
            state = {k: v.copy() if isinstance(v, dict) else v for k, v in vars(module).items()}
            for name, parameter in state["_parameters"].items():
                state["_parameters"][name] = None if parameter is None else parameter.detach()
            for name, child in state["_modules"].items():
                state["_modules"][name] = None if child is None else copy_of(child)
            vars(twin).update(state)
        return copies[id(module)]

    with torch.inference_mode(False):
        return copy_of(model)


def check_input(model: AnyExplainable, pixel_values: Tensor) -> None:
    """Refuse a model or a batch that cannot be explained.

    Raises:
        ValueError: If the model is in training mode, or the images are not (B, 3, H, W).
    """
    if model.training:
        raise Refused("opening.training_mode")
    if pixel_values.ndim != 4:
        raise Refused("opening.pixel_values", shape=tuple(pixel_values.shape))


def _place(member: Any, layer: Layer) -> str | None:
    """Return the name of the module to open at, or None for where the heads begin."""
    backbone: Any = getattr(member, "backbone", None)
    if layer is None:
        return stages(backbone)[-1] if reads_class_token(backbone) else None
    names = stages(backbone)
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return names[layer]
    if isinstance(layer, str) and layer and layer in dict(backbone.named_modules()):
        return layer
    raise Refused(
        "opening.no_such_layer", layer=layer, kind=type(backbone).__name__, names=list(names)
    )


def attention_blocks(backbone: nn.Module) -> list[Any]:
    """Return the modules of a transformer that compute attention, first to last."""
    return [
        module
        for module in backbone.modules()
        if hasattr(module, "fused_attn")
        and isinstance(getattr(module, "attn_drop", None), nn.Module)
    ]


def _begin_graph(
    taps: dict[int, Tensor], number: int, place: str, module: nn.Module, inputs: Any, output: Any
) -> Tensor:
    """Cut the graph off before a module's output and begin another there: a forward hook."""
    if not isinstance(output, Tensor):
        raise Refused("opening.no_tensor", place=place)
    if number in taps:
        raise Refused("opening.runs_twice", place=place)
    taps[number] = output.detach().requires_grad_()
    return taps[number].clone()  # a leaf may not be changed in place, as what follows may do


def _pass_graph(taps: list[Tensor], module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """Remember attention on its way; the first begins the graph: a forward hook."""
    taps.append(output if output.requires_grad else output.detach().requires_grad_())
    return taps[-1]
