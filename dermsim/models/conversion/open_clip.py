"""Models as open_clip keeps them: ``open_clip_config.json`` and one file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dermsim.core.refused import Refused
from dermsim.models.configuration_dermsim_dual import DermSimDualConfig
from dermsim.models.conversion.open_clip_text import read_text
from dermsim.models.conversion.parts import (
    OPENAI_MEAN,
    OPENAI_STD,
    Source,
    Tensors,
    Vision,
    check_value,
    ratio,
    square,
)
from dermsim.models.conversion.tensors import Keys
from dermsim.models.network_dermsim_dual import DermSimDualNetwork
from dermsim.models.preparation import ImagePreparation

PLAIN_VISION: Mapping[str, object] = {
    **{"ls_init_value": None, "attentional_pool": False, "no_ln_pre": False, "pool_type": "tok"},
    **{"pos_embed_type": "learnable", "act_kwargs": None, "norm_kwargs": None, "qk_norm": False},
    **{"scaled_cosine_attn": False, "scale_heads": False, "scale_attn_inner": False},
    **{"scale_attn": False, "scale_fc": False},
}
"""Settings of open_clip's own vision transformer that timm's tower has in no other way."""

FILTERS = {"bicubic": 3, "bilinear": 2}
"""PIL's numbers of the filters that pictures are resized with."""

LEFT_BY_OPENAI = ("input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask")
"""What older files hold besides weights."""


def read_open_clip(
    config: Mapping[str, Any], tensors: Tensors, *, text_config: Mapping[str, Any] | None
) -> Source:
    """Read a model of open_clip.

    Args:
        config: Its ``open_clip_config.json``.
        tensors: Its weights.
        text_config: Configuration of its text encoder, where that is one of transformers.

    Raises:
        ValueError: If a tensor is missing or left over, or a setting is one that the towers here do
            not have.
    """
    model = config.get("model_cfg")
    parts = ("vision_cfg", "text_cfg")
    if not isinstance(model, Mapping) or not all(isinstance(model.get(n), Mapping) for n in parts):
        raise Refused("conversion.no_setting", where="open_clip_config.json", name="model_cfg")
    dim = square(model.get("embed_dim"), "embed_dim")
    quick = quick_gelu(model)
    keys = Keys(tensors)
    keys.drop(*LEFT_BY_OPENAI)
    vision = _vision(model["vision_cfg"], keys, dim=dim, quick=quick)
    side = vision.shape["image_size"]
    source = Source(
        vision=vision,
        text=read_text(model["text_cfg"], keys, dim=dim, quick=quick, text_config=text_config),
        preparation=_preparation(config.get("preprocess_cfg") or {}, side),
        scale=float(keys.take("logit_scale").squeeze()),
        bias=float(keys.take("logit_bias").squeeze()) if "logit_bias" in keys else 0.0,
        dropped=keys.dropped,
    )
    keys.finish()
    return source


def quick_gelu(model: Mapping[str, Any]) -> bool:
    """Return whether the file says that its activation is QuickGELU; a name never does.

    Raises:
        ValueError: If it says neither yes nor no.
    """
    value = model.get("quick_gelu", False)
    if type(value) is not bool:
        raise Refused("conversion.quick_gelu", value=value)
    return value


def _vision(own: Mapping[str, Any], keys: Keys, *, dim: int, quick: bool) -> Vision:
    if "visual.blocks.0.attn.q_bias" in keys and not own.get("timm_model_name"):
        return _cae(own, keys, dim)
    if own.get("timm_model_name"):
        return _timm(own, keys, dim)
    if isinstance(own.get("layers"), list):
        check_value("vision_cfg", "layers", own["layers"], "a number")
    for name, value in PLAIN_VISION.items():
        check_value("vision_cfg", name, own.get(name, value), value)
    check_value("vision_cfg", "block_type", own.get("block_type") or "default", "default")
    return _clip(own, keys, dim, quick)


def _clip(own: Mapping[str, Any], keys: Keys, dim: int, quick: bool) -> Vision:
    """Take open_clip's own vision transformer."""
    width, depth = own.get("width", 768), own.get("layers", 12)
    found: Tensors = {
        "cls_token": keys.take("visual.class_embedding").reshape(1, 1, -1),
        "pos_embed": keys.take("visual.positional_embedding").unsqueeze(0),
        "patch_embed.proj.weight": keys.take("visual.conv1.weight"),
    }
    for ours, theirs in (("norm_pre", "ln_pre"), ("norm", "ln_post")):
        found |= both(keys, ours, f"visual.{theirs}")
    for number in range(depth):
        theirs, ours = f"visual.transformer.resblocks.{number}.", f"blocks.{number}."
        for part in ("weight", "bias"):
            found[f"{ours}attn.qkv.{part}"] = keys.take(f"{theirs}attn.in_proj_{part}")
        for name, other in (
            *(("norm1", "ln_1"), ("norm2", "ln_2"), ("attn.proj", "attn.out_proj")),
            *(("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")),
        ):
            found |= both(keys, ours + name, theirs + other)
    inner = len(found["blocks.0.mlp.fc1.bias"]) if depth else 4 * width
    shape = {
        "backbone": "vit_base_patch16_clip_224",
        "backbone_kwargs": {
            "embed_dim": width,
            "depth": depth,
            "num_heads": width // own.get("head_width", 64),
            "patch_size": square(own.get("patch_size", 16), "patch_size"),
            "mlp_ratio": ratio(inner, width),
            "act_layer": "quick_gelu" if quick else "gelu",
        },
        "embed_dim": dim,
        "image_size": square(own.get("image_size", 224), "image_size"),
    }
    named = {f"backbone.{name}": tensor for name, tensor in found.items()}
    named["projection.weight"] = keys.take("visual.proj").T.contiguous()
    return Vision(shape, named)


def both(keys: Keys, ours: str, theirs: str) -> Tensors:
    """Take a weight and its bias."""
    return {f"{ours}.{part}": keys.take(f"{theirs}.{part}") for part in ("weight", "bias")}


def _timm(own: Mapping[str, Any], keys: Keys, dim: int) -> Vision:
    """Take a tower of timm's; its activation is its own, whatever `quick_gelu` says."""
    pool, kind = own.get("timm_pool", "avg"), own.get("timm_proj", "linear")
    if kind not in ("linear", "none", "") or pool not in ("avg", "map", "token", ""):
        raise Refused("conversion.timm_head", pool=pool, projection=kind)
    shape: dict[str, Any] = {
        "backbone": str(own["timm_model_name"]),
        "backbone_kwargs": {"global_pool": pool} if pool else {},
        "embed_dim": dim,
        "image_size": square(own.get("image_size", 224), "image_size"),
        "projection": "none" if kind == "none" else "linear",
        "projection_bias": kind == "" or bool(own.get("timm_proj_bias", False)),
    }
    found = {
        f"backbone.{name}": keys.take(f"visual.trunk.{name}") for name in backbone_names(shape)
    }
    if kind != "none":
        theirs = "visual.head.proj" if kind == "linear" else "visual.trunk.head"
        found["projection.weight"] = keys.take(f"{theirs}.weight")
        if shape["projection_bias"]:
            found["projection.bias"] = keys.take(f"{theirs}.bias")
    return Vision(shape, found)


def backbone_names(shape: Mapping[str, Any]) -> list[str]:
    """Return the names of a tower's tensors, without making any.

    Raises:
        ValueError: If timm has no such tower, or cannot make it so.
    """
    try:
        with torch.device("meta"):
            tower = DermSimDualNetwork(DermSimDualConfig(**shape)).backbone
    except (TypeError, ValueError, RuntimeError) as error:
        raise Refused("conversion.tower", backbone=shape["backbone"], error=error) from error
    return list(tower.state_dict())


def _cae(own: Mapping[str, Any], keys: Keys, dim: int) -> Vision:
    """Take PanDerm's tower, a BEiT without relative positions that normalises twice.

    Its tokens are normalised, those of the patches averaged, and the mean normalised again with
    the same weights. No configuration names its sizes: they are those of its tensors.
    """
    theirs = "visual."
    norm = both(keys, "norm", f"{theirs}norm")
    width = len(norm["norm.weight"])
    found: Tensors = {"cls_token": keys.take(f"{theirs}cls_token")}
    found["pos_embed"] = keys.take(f"{theirs}pos_embed")
    found |= both(keys, "patch_embed.proj", f"{theirs}patch_embed.proj")
    depth = 0
    while f"{theirs}blocks.{depth}.attn.q_bias" in keys:
        ours = f"blocks.{depth}."
        for name in ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2"):
            found |= both(keys, ours + name, f"{theirs}{ours}{name}")
        for name in ("attn.qkv.weight", "attn.q_bias", "attn.v_bias", "gamma_1", "gamma_2"):
            found[ours + name] = keys.take(f"{theirs}{ours}{name}")
        depth += 1
    patch = found["patch_embed.proj.weight"].shape[-1]
    grid = round((found["pos_embed"].shape[1] - 1) ** 0.5)
    shape = {
        "backbone": "beit_base_patch16_224",
        "backbone_kwargs": {
            "embed_dim": width,
            "depth": depth,
            "num_heads": width // own.get("head_width", 64),
            "patch_size": patch,
            "mlp_ratio": ratio(len(found["blocks.0.mlp.fc1.bias"]), width),
            "init_values": 0.1,
            "use_abs_pos_emb": True,
            "use_rel_pos_bias": False,
        },
        "embed_dim": dim,
        "image_size": grid * patch,
        "projection_bias": True,
        "double_norm": True,
    }
    named = {f"backbone.{name}": tensor for name, tensor in found.items()}
    for place in ("norm", "fc_norm"):
        for part in ("weight", "bias"):
            named[f"backbone.{place}.{part}"] = norm[f"norm.{part}"].clone()
    return Vision(shape, named | both(keys, "projection", f"{theirs}head"))


def _preparation(values: Mapping[str, Any], image_size: int) -> ImagePreparation:
    """Read how pictures are shown: cut, or squashed whatever their shape.

    Raises:
        ValueError: If they are shown in a way that the processors here do not know.
    """
    side = square(values.get("size", image_size), "size")
    check_value("preprocess_cfg", "size", side, image_size)
    mode = values.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash"):
        check_value("preprocess_cfg", "resize_mode", mode, "shortest")
    crop = {"height": side, "width": side}
    word = values.get("interpolation", "bicubic")
    if word not in FILTERS:
        check_value("preprocess_cfg", "interpolation", word, "bicubic")
    return ImagePreparation(
        size=crop if mode == "squash" else {"shortest_edge": side},
        crop_size=crop,
        resample=FILTERS[word],
        image_mean=tuple(values.get("mean", OPENAI_MEAN)),
        image_std=tuple(values.get("std", OPENAI_STD)),
    )
