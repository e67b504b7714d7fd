"""The checkpoint folder: where it is, what it must hold, and its encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel

PARTS = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "calibration.json",
    "classes.safetensors",
    "detector.safetensors",
    "gallery",
    "atlas.parquet",
)
"""What a checkpoint folder must hold for `DermSim.from_pretrained`."""


def local_folder(name_or_path: str | Path, *, revision: str | None = None) -> Path:
    """Find a checkpoint folder here, or fetch it from the Hub.

    Args:
        name_or_path: A local folder, or the id of a model on the Hub.
        revision: Branch, tag or commit on the Hub.

    Returns:
        A local folder that has every part.

    Raises:
        FileNotFoundError: If there is no such folder or model, or it lacks a part.
        ConnectionError: If the Hub cannot be reached and the model is not in the cache.
    """
    folder = Path(name_or_path)
    if not folder.exists():
        folder = _download(str(name_or_path), revision)
    if missing := [part for part in PARTS if not (folder / part).exists()]:
        raise FileNotFoundError(
            f"{name_or_path} is not a dermsim checkpoint: it lacks {', '.join(missing)}."
        )
    return folder


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, revision=revision))
    except HFValidationError as error:
        raise FileNotFoundError(
            f"There is no folder {name}, and it cannot be the name of a model on the Hub."
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"There is no folder {name}, and no such model on the Hub that you may read."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ConnectionError(
            f"There is no folder {name}, and the Hub could not be asked for a model of that name: "
            f"{str(error).splitlines()[0]}"
        ) from error


def save_encoder(model: DermSimModel, processor: DermSimImageProcessor, folder: Path) -> None:
    """Write weights, configuration and input processing, as transformers keeps them.

    The three source files travel along, so that ``AutoModel`` and ``AutoImageProcessor`` open the
    folder with ``trust_remote_code=True`` where dermsim is not installed.
    """
    DermSimConfig.register_for_auto_class("AutoConfig")
    DermSimModel.register_for_auto_class("AutoModel")
    DermSimImageProcessor.register_for_auto_class("AutoImageProcessor")
    # save_pretrained adds the classes above; the model answers to a second Auto class as well.
    model.config.auto_map = {"AutoModelForImageClassification": "modeling_dermsim.DermSimModel"}
    with _quiet_transformers():
        model.save_pretrained(folder)
        processor.save_pretrained(folder)


def load_encoder(folder: Path) -> tuple[DermSimModel, DermSimImageProcessor]:
    """Read what `save_encoder` wrote.

    Returns:
        The model, in eval mode and float32 on the CPU, and its image processor.

    Raises:
        ValueError: If a file is damaged, or a tensor is missing, left over or of another shape.
    """
    with _quiet_transformers():
        try:
            loaded: Any = DermSimModel.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True
            )
            processor = DermSimImageProcessor.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"The encoder in {folder} cannot be read: {reason}") from error
    model, loading = loaded
    for kind, names in loading.items():
        if names:
            raise ValueError(
                f"The weights in {folder} do not fit its config.json: "
                f"{kind.replace('_', ' ')}, such as {sorted(names)[0]}."
            )
    return model.eval(), processor


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
