"""The checkpoint folder: what it must hold, and where it is: here, or on the Hub."""

from __future__ import annotations

from pathlib import Path

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
