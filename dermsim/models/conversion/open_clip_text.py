"""The text half of a model of open_clip: its own transformer, or one of transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dermsim.core.refused import Refused
from dermsim.models.conversion.parts import Tensors, Text, check_value
from dermsim.models.conversion.tensors import Keys
from dermsim.models.text import check_transformer

PLAIN_TEXT: Mapping[str, object] = {
    **{"ls_init_value": None, "embed_cls": False, "final_ln_after_pool": False, "qk_norm": False},
    **{"proj_type": "linear", "scaled_cosine_attn": False, "scale_heads": False},
    **{"scale_attn_inner": False, "scale_attn": False, "scale_fc": False},
}
"""Settings of open_clip's own text transformer that the classes of transformers have in no other
way."""

POOLERS = {"mean_pooler": "mean", "cls_last_hidden_state_pooler": "cls"}
"""How a text encoder of transformers' is pooled, by open_clip's name."""

BERT_FIELDS = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "hidden_act"),
    *("num_attention_heads", "max_position_embeddings", "type_vocab_size", "layer_norm_eps"),
)
"""What is kept of a BERT's configuration."""


def read_text(
    own: Mapping[str, Any],
    keys: Keys,
    *,
    dim: int,
    quick: bool,
    text_config: Mapping[str, Any] | None,
) -> Text:
    """Read the text half.

    Args:
        own: ``text_cfg`` of the configuration.
        keys: The source's tensors.
        dim: D of its embeddings.
        quick: Whether its activation is QuickGELU.
        text_config: Of transformers' class, where there is one.

    Raises:
        ValueError: If a tensor is missing, or a setting is one that the classes do not have.
    """
    if own.get("hf_model_name"):
        return _bert(own, keys, dim, text_config or {})
    for name, value in PLAIN_TEXT.items():
        check_value("text_cfg", name, own.get(name, value), value)
    check_value("text_cfg", "block_type", own.get("block_type") or "default", "default")
    theirs = "text." if "text.token_embedding.weight" in keys else ""
    pool, causal = own.get("pool_type", "argmax"), not own.get("no_causal_mask", False)
    if pool == "last" and not causal:
        return _siglip(own, keys, theirs, dim, quick)
    if pool not in ("argmax", "eos") or not causal:
        check_value("text_cfg", "pool_type", pool, "argmax")
        check_value("text_cfg", "no_causal_mask", not causal, False)
    check_value("text_cfg", "proj_bias", own.get("proj_bias", False), False)
    values, found = _transformer(own, keys, theirs, quick)
    settings = {
        **{"kind": "clip", "pooling": "own", "projection": "own", "dim": dim, "hidden": 0},
        **{"context": values["max_position_embeddings"]},
        "transformer": {**values, "projection_dim": dim},
    }
    named = {f"body.text_model.{name}": tensor for name, tensor in found.items()}
    named["body.text_projection.weight"] = keys.take(f"{theirs}text_projection").T.contiguous()
    return Text(settings, named)


def _siglip(own: Mapping[str, Any], keys: Keys, theirs: str, dim: int, quick: bool) -> Text:
    check_value("text_cfg", "proj_bias", own.get("proj_bias", False), True)
    values, found = _transformer(own, keys, theirs, quick)
    settings = {
        **{"kind": "siglip", "pooling": "own", "projection": "own", "dim": dim, "hidden": 0},
        **{"context": values["max_position_embeddings"]},
        "transformer": {**values, "projection_size": dim},
    }
    named = {f"body.{name}": tensor for name, tensor in found.items()}
    for part in ("weight", "bias"):
        named[f"body.head.{part}"] = keys.take(f"{theirs}text_projection.{part}")
    return Text(settings, named)


def _transformer(
    own: Mapping[str, Any], keys: Keys, theirs: str, quick: bool
) -> tuple[dict[str, Any], Tensors]:
    """Take open_clip's text transformer by transformers' names."""
    found: Tensors = {
        "embeddings.token_embedding.weight": keys.take(f"{theirs}token_embedding.weight"),
        "embeddings.position_embedding.weight": keys.take(f"{theirs}positional_embedding"),
    }
    depth = own.get("layers", 12)
    for number in range(depth):
        found |= _block(
            keys, f"encoder.layers.{number}.", f"{theirs}transformer.resblocks.{number}."
        )
    for part in ("weight", "bias"):
        found[f"final_layer_norm.{part}"] = keys.take(f"{theirs}ln_final.{part}")
    words, width = found["embeddings.token_embedding.weight"].shape
    inner = len(found["encoder.layers.0.mlp.fc1.bias"]) if depth else 4 * width
    values = {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": depth,
        "num_attention_heads": own.get("heads", 8),
        "max_position_embeddings": len(found["embeddings.position_embedding.weight"]),
        "hidden_act": _activation(own, quick),
        "layer_norm_eps": (own.get("norm_kwargs") or {}).get("eps", 1e-5),
    }
    return values, found


def _activation(own: Mapping[str, Any], quick: bool) -> str:
    options = own.get("act_kwargs")
    if not options:
        return "quick_gelu" if quick else "gelu"
    check_value("text_cfg", "act_kwargs", options, {"approximate": "tanh"})
    check_value("model_cfg", "quick_gelu", quick, False)
    return "gelu_pytorch_tanh"


def _block(keys: Keys, ours: str, theirs: str) -> Tensors:
    found: Tensors = {}
    for part in ("weight", "bias"):
        for name, tensor in zip(
            "qkv", keys.take(f"{theirs}attn.in_proj_{part}").chunk(3), strict=True
        ):
            found[f"{ours}self_attn.{name}_proj.{part}"] = tensor.clone()
        for name, other in (
            *(("layer_norm1", "ln_1"), ("layer_norm2", "ln_2")),
            *(("self_attn.out_proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc")),
            ("mlp.fc2", "mlp.c_proj"),
        ):
            found[f"{ours}{name}.{part}"] = keys.take(f"{theirs}{other}.{part}")
    return found


def _bert(own: Mapping[str, Any], keys: Keys, dim: int, config: Mapping[str, Any]) -> Text:
    """Take a BERT, whose configuration is in another repository."""
    pooler, kind = own.get("hf_pooler_type", "mean_pooler"), own.get("hf_proj_type", "mlp")
    if pooler not in POOLERS or kind not in ("mlp", "linear", None):
        raise Refused("conversion.text_head", pooler=pooler, projection=kind)
    check_value("config.json", "model_type", config.get("model_type"), "bert")
    values = {name: config[name] for name in BERT_FIELDS if name in config}
    check_transformer(values)
    theirs = "text.transformer."
    # buffers that transformers made until 4.31, and a layer that only another pooling reads
    keys.drop(f"{theirs}embeddings.position_ids", f"{theirs}embeddings.token_type_ids")
    keys.drop(*(f"{theirs}pooler.dense.{part}" for part in ("weight", "bias")))
    found = {f"body.{name}": keys.take(theirs + name) for name in _bert_names(values)}
    width = found["body.embeddings.word_embeddings.weight"].shape[1]
    projection, hidden = kind or "none", 0
    if kind == "linear":
        found["head.weight"] = keys.take("text.proj.weight")
    elif kind == "mlp":
        hidden = (width + dim) // 2
        found |= {f"head.{n}.weight": keys.take(f"text.proj.{n}.weight") for n in (0, 2)}
    settings = {
        **{"kind": "bert", "pooling": POOLERS[pooler], "projection": projection, "dim": dim},
        **{"hidden": hidden, "transformer": values},
        "context": own.get("context_length", 77),
    }
    return Text(settings, found)


def _bert_names(values: Mapping[str, Any]) -> list[str]:
    import transformers

    try:
        with torch.device("meta"):
            config = transformers.BertConfig(**values)
            return list(transformers.BertModel(config, add_pooling_layer=False).state_dict())
    except Exception as error:  # what checks the fields has errors of its own
        raise Refused("conversion.config", error=error) from error
