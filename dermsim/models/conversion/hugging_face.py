"""CLIP and SigLIP as transformers keeps them: ``config.json``, ``model.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dermsim.core.refused import Refused
from dermsim.models.conversion.parts import (
    Source,
    Tensors,
    Text,
    Vision,
    activation,
    check_value,
    ratio,
    square,
)
from dermsim.models.conversion.tensors import Keys
from dermsim.models.preparation import ImagePreparation
from dermsim.models.text import check_transformer

TOWERS = {"clip": "vit_base_patch16_clip_224", "siglip": "vit_base_patch16_siglip_224"}
"""timm's tower of a `model_type`; its size follows from the configuration."""

EPSILON = {"clip": 1e-5, "siglip": 1e-6}
"""Of the norms of those towers."""

TEXT_FIELDS = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "hidden_act"),
    *("num_attention_heads", "max_position_embeddings", "layer_norm_eps"),
)
"""What is kept of a text encoder's configuration."""


def read_hugging_face(
    config: Mapping[str, Any], pictures: Mapping[str, Any], tensors: Tensors
) -> Source:
    """Read a CLIP or SigLIP model of transformers.

    Args:
        config: Its ``config.json``.
        pictures: Its ``preprocessor_config.json``.
        tensors: Its weights.

    Raises:
        ValueError: If it is of another kind, a tensor is missing or left over, or a setting is one
            that the towers here do not have.
    """
    kind = config.get("model_type")
    if kind not in TOWERS:
        raise Refused("conversion.model_type", kind=kind, known=list(TOWERS))
    whole = _config(kind, config)
    keys = Keys(tensors)
    side = "model.embeddings.position_ids"
    keys.drop(f"text_{side}", f"vision_{side}")
    source = Source(
        vision=_vision(kind, whole, keys),
        text=_text(kind, whole, keys),
        preparation=_preparation(pictures, whole.vision_config.image_size),
        scale=float(keys.take("logit_scale").squeeze()),
        bias=float(keys.take("logit_bias").squeeze()) if kind == "siglip" else 0.0,
        dropped=keys.dropped,
    )
    keys.finish()
    return source


def _config(kind: str, values: Mapping[str, Any]) -> Any:
    import transformers

    made: Any = transformers.CLIPConfig if kind == "clip" else transformers.SiglipConfig
    try:
        return made.from_dict(dict(values))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise Refused("conversion.config", error=error) from error
    except Exception as error:  # what checks the fields has errors of its own
        raise Refused("conversion.config", error=error) from error


def _vision(kind: str, whole: Any, keys: Keys) -> Vision:
    own = whole.vision_config
    check_value("vision_config", "layer_norm_eps", own.layer_norm_eps, EPSILON[kind])
    check_value("vision_config", "num_channels", own.num_channels, 3)
    shape = {
        "backbone": TOWERS[kind],
        "backbone_kwargs": {
            "embed_dim": own.hidden_size,
            "depth": own.num_hidden_layers,
            "num_heads": own.num_attention_heads,
            "patch_size": square(own.patch_size, "patch_size"),
            "mlp_ratio": ratio(own.intermediate_size, own.hidden_size),
            "act_layer": activation(own.hidden_act),
        },
        "image_size": square(own.image_size, "image_size"),
    }
    found = tower_tensors(keys, own.num_hidden_layers, siglip=kind == "siglip")
    if kind == "siglip":
        check_value("vision_config", "vision_use_head", getattr(own, "vision_use_head", True), True)
        return Vision({**shape, "embed_dim": own.hidden_size, "projection": "none"}, found)
    found["projection.weight"] = keys.take("visual_projection.weight")
    return Vision({**shape, "embed_dim": whole.projection_dim}, found)


def tower_tensors(keys: Keys, depth: int, *, siglip: bool) -> Tensors:
    """Take the tensors of transformers' vision tower by timm's names."""
    theirs = "vision_model."
    found = keys.take_all(
        {
            "patch_embed.proj.weight": f"{theirs}embeddings.patch_embedding.weight",
            **_norm("norm", f"{theirs}post_layernorm"),
        }
    )
    position = keys.take(f"{theirs}embeddings.position_embedding.weight")
    found["pos_embed"] = position.unsqueeze(0)
    if siglip:
        found["patch_embed.proj.bias"] = keys.take(f"{theirs}embeddings.patch_embedding.bias")
        found |= _pool(keys, f"{theirs}head.")
    else:
        found["cls_token"] = keys.take(f"{theirs}embeddings.class_embedding").reshape(1, 1, -1)
        # the name is misspelt there
        found |= keys.take_all(_norm("norm_pre", f"{theirs}pre_layrnorm"))
    for number in range(depth):
        found |= _block(keys, f"blocks.{number}.", f"{theirs}encoder.layers.{number}.")
    return {f"backbone.{name}": tensor for name, tensor in found.items()}


def _block(keys: Keys, ours: str, theirs: str) -> Tensors:
    found = keys.take_all(
        {
            **_norm(f"{ours}norm1", f"{theirs}layer_norm1"),
            **_norm(f"{ours}norm2", f"{theirs}layer_norm2"),
            **_norm(f"{ours}attn.proj", f"{theirs}self_attn.out_proj"),
            **_norm(f"{ours}mlp.fc1", f"{theirs}mlp.fc1"),
            **_norm(f"{ours}mlp.fc2", f"{theirs}mlp.fc2"),
        }
    )
    for part in ("weight", "bias"):
        three = [keys.take(f"{theirs}self_attn.{name}_proj.{part}") for name in "qkv"]
        found[f"{ours}attn.qkv.{part}"] = torch.cat(three)
    return found


def _pool(keys: Keys, theirs: str) -> Tensors:
    """Take the attention pool: one query, the probe, over all tokens."""
    found = keys.take_all(
        {
            "attn_pool.latent": f"{theirs}probe",
            **_norm("attn_pool.proj", f"{theirs}attention.out_proj"),
            **_norm("attn_pool.norm", f"{theirs}layernorm"),
            **_norm("attn_pool.mlp.fc1", f"{theirs}mlp.fc1"),
            **_norm("attn_pool.mlp.fc2", f"{theirs}mlp.fc2"),
        }
    )
    for part in ("weight", "bias"):
        query, key, value = keys.take(f"{theirs}attention.in_proj_{part}").chunk(3)
        found[f"attn_pool.q.{part}"] = query.clone()
        found[f"attn_pool.kv.{part}"] = torch.cat([key, value])
    return found


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def _text(kind: str, whole: Any, keys: Keys) -> Text:
    own = whole.text_config
    values = {name: getattr(own, name) for name in TEXT_FIELDS}
    if kind == "clip":
        dim = values["projection_dim"] = whole.projection_dim
        # what argmax finds there is where the text ends, whatever `eos_token_id` says
    else:
        dim = values["projection_size"] = getattr(own, "projection_size", own.hidden_size)
    settings = {
        **{"kind": kind, "pooling": "own", "projection": "own", "dim": dim, "hidden": 0},
        **{"context": own.max_position_embeddings, "transformer": values},
    }
    check_transformer(values)
    inner = "text_model." if kind == "clip" else ""
    names = {f"body.{inner}{name}": f"text_model.{name}" for name in _text_names(own, kind)}
    found = keys.take_all(names)
    if kind == "clip":
        found["body.text_projection.weight"] = keys.take("text_projection.weight")
    return Text(settings, found)


def _text_names(own: Any, kind: str) -> list[str]:
    parts = ("weight", "bias")
    layer = (
        *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"),
        *("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"),
    )
    modules = [
        f"encoder.layers.{number}.{name}"
        for number in range(own.num_hidden_layers)
        for name in layer
    ]
    modules += ["final_layer_norm", *(["head"] if kind == "siglip" else [])]
    embeddings = ["embeddings.token_embedding.weight", "embeddings.position_embedding.weight"]
    return embeddings + [f"{module}.{part}" for module in modules for part in parts]


def _preparation(values: Mapping[str, Any], image_size: object) -> ImagePreparation:
    """Read how pictures are shown; SigLIP's are squashed, CLIP's are cut.

    Raises:
        ValueError: If they are shown in a way that the processors here do not know.
    """
    side = square(image_size, "image_size")
    size = values.get("size", {"shortest_edge": side})
    size = {"shortest_edge": size} if isinstance(size, int) else dict(size)
    crop = values.get("crop_size", side) if values.get("do_center_crop", False) else side
    crop = dict(crop) if isinstance(crop, Mapping) else {"height": crop, "width": crop}
    for step in ("do_resize", "do_rescale", "do_normalize"):
        check_value("preprocessor_config.json", step, values.get(step, True), True)
    if set(size) == {"shortest_edge"}:
        cropped = values.get("do_center_crop", False)
        check_value("preprocessor_config.json", "do_center_crop", cropped, True)
    check_value("preprocessor_config.json", "crop_size", crop, {"height": side, "width": side})
    for name in ("image_mean", "image_std"):
        if name not in values:
            raise Refused("conversion.no_setting", where="preprocessor_config.json", name=name)
    return ImagePreparation(
        size=size,
        crop_size=crop,
        resample=values.get("resample", 3),
        rescale_factor=values.get("rescale_factor", 1 / 255),
        image_mean=tuple(values["image_mean"]),
        image_std=tuple(values["image_std"]),
    )
