"""Weights, configuration and input processing of an encoder, to and from a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dermsim.checkpoint import FORMAT
from dermsim.models import (
    DermSimConfig,
    DermSimEnsembleConfig,
    DermSimEnsembleModel,
    DermSimImageProcessor,
    DermSimModel,
    Encoder,
)


def round_to_half(model: Encoder) -> None:
    """Round the weights, in place, to what half precision can hold; they stay float32.

    An encoder so rounded takes half the space on disk and loses nothing when it is saved. The
    rounding is far below the noise of training, but it changes embeddings in their fourth digit,
    so it is done once, before anything is fitted to them.

    Raises:
        ValueError: If a weight is too large for half precision.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise ValueError(f"The weights of {name} do not fit half precision.")


def save_encoder(model: Encoder, processor: DermSimImageProcessor, folder: Path) -> None:
    """Write weights, configuration and input processing, as transformers keeps them.

    The source files travel along, three of them or an ensemble's five, so that ``AutoModel`` and
    ``AutoImageProcessor`` open the folder with ``trust_remote_code=True`` where dermsim is not
    installed. Tensors that lose nothing by it are stored in half precision; the configuration says
    to compute in float32.
    """
    for config_class in (DermSimConfig, DermSimEnsembleConfig):
        config_class.register_for_auto_class("AutoConfig")
    for model_class in (DermSimModel, DermSimEnsembleModel):
        model_class.register_for_auto_class("AutoModel")
    DermSimImageProcessor.register_for_auto_class("AutoImageProcessor")
    # save_pretrained adds the classes above; the model answers to a second Auto class as well.
    kind = type(model)
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    model.config.auto_map = {"AutoModelForImageClassification": name}
    model.config.checkpoint_format = FORMAT
    with _quiet_transformers():
        state = {name: _compact(tensor) for name, tensor in model.state_dict().items()}
        model.save_pretrained(folder, state_dict=state)
        processor.save_pretrained(folder)


def load_encoder(folder: Path) -> tuple[Encoder, DermSimImageProcessor]:
    """Read what `save_encoder` wrote.

    Returns:
        The model, in eval mode and float32 on the CPU, and its image processor. Whether it is one
        encoder or an ensemble is for `config.json` to say.

    Raises:
        ValueError: If a file is damaged, or a tensor is missing, left over or of another shape.
    """
    with _quiet_transformers():
        try:
            # a shape that does not fit is told here below; transformers would only log it
            loaded: Any = _model_class(folder).from_pretrained(
                folder,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
            processor = DermSimImageProcessor.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
            raise ValueError(f"The encoder in {folder} cannot be read: {reason}.") from error
        except (TypeError, AttributeError, KeyError) as error:  # transformers and timm check little
            raise ValueError(
                f"The encoder in {folder} cannot be read: a value in config.json or "
                f"preprocessor_config.json is not of the kind it must be ({error})."
            ) from error
    model, loading = loaded
    for kind, names in loading.items():
        if names:
            found = sorted(names)[0]
            if not isinstance(found, str):  # a name and the two shapes
                found = f"{found[0]} of shape {list(found[1])} in place of {list(found[2])}"
            raise ValueError(
                f"The weights in {folder} do not fit its config.json: "
                f"{kind.replace('_', ' ')}, such as {found}."
            )
    return model.eval(), processor


def _model_class(folder: Path) -> type[DermSimModel] | type[DermSimEnsembleModel]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type") if isinstance(config, dict) else None
    for model_class in (DermSimModel, DermSimEnsembleModel):
        if kind == model_class.config_class.model_type:
            return model_class
    raise ValueError(f"its config.json has the model_type {kind!r}, which is not one of dermsim.")


def _compact(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' own bars and tables off the terminal; what matters is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
