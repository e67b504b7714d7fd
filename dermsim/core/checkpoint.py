"""The checkpoint folder: what it must hold, and where it is: here, or on the Hub."""

from __future__ import annotations

from pathlib import Path

from dermsim.core.atomic import recover
from dermsim.core.downloads import download
from dermsim.core.lfs import refuse_lfs_pointer
from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.core.storage import LARGEST_CONFIG, read_json

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

QUALITY = "quality.safetensors"
"""What tells pictures not to be judged; a checkpoint may lack it."""

EXPLANATIONS = "explanations.json"
"""What its heatmaps were measured to be worth; a checkpoint may lack it."""

PROMPTS = ("prompts.json", "prompts.safetensors")
"""What a text encoder was asked about the diagnoses, and answered: both files, or neither."""

SOURCE = "SOURCE.json"
"""Where weights are from that were not trained here."""

TEXT = "text"
"""The folder of the text encoder; a checkpoint may lack it."""

TEXT_FILES = tuple(
    f"{TEXT}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")
)
"""What is there."""

OPTIONAL_PARTS = (
    *("concepts.json", "concepts.safetensors", QUALITY, EXPLANATIONS),
    *(*PROMPTS, SOURCE, *TEXT_FILES),
)
"""What a checkpoint folder may hold besides; of concepts both files, or neither."""

BESIDES = ("calibration_facts.json", "training.json", "evaluation.json", "README.md")
"""What may lie beside the parts and is read by one command or another."""

FETCHED = (
    *(part for part in PARTS if part != "gallery"),
    *OPTIONAL_PARTS,
    *BESIDES,
    *("gallery/gallery.json", "gallery/*.safetensors", "gallery/*.parquet"),
    *("onnx/*.onnx", "onnx/parity.json"),
)
"""What is fetched of a model on the Hub; whatever else its repository holds stays there."""

LARGEST = 16 * 2**30
"""Bytes that are fetched at most."""

FORMAT = 1
"""The layout of the folder, kept as ``checkpoint_format`` in its ``config.json``. It is raised when
an older dermsim could not read what a newer one writes."""


def local_folder(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
) -> Path:
    """Find a checkpoint folder here, or fetch it from the Hub.

    Args:
        name_or_path: A local folder, or the id of a model on the Hub.
        revision: Branch, tag or commit on the Hub.
        cache_dir: Where downloads are kept; by default the cache of huggingface_hub.
        token: Token for the Hub, for a model that is not public; by default the one that
            ``hf auth login`` stored or ``HF_TOKEN`` holds. False sends none.

    Returns:
        A local folder that has every part.

    Raises:
        FileNotFoundError: If there is no such folder, model or revision, or it lacks a part.
        PermissionError: If the Hub refuses the token, or the model is open to few.
        ConnectionError: If the Hub cannot be reached and the model is not in the cache, or what it
            sends is damaged.
        ValueError: If the folder is of a later dermsim, its parts are pointers of Git LFS, or on
            the Hub they are larger than `LARGEST`.
        OSError: If the cache cannot be written.
    """
    folder = Path(name_or_path)
    recover(folder)
    if not folder.exists():
        folder = download(
            str(name_or_path),
            revision=revision,
            largest=LARGEST,
            cache_dir=cache_dir,
            token=token,
            allow_patterns=list(FETCHED),
        )
    refuse_lfs_pointer(*(folder / part for part in (*PARTS, *OPTIONAL_PARTS)))
    written = _check_format(folder, name=str(name_or_path))
    if missing := [part for part in PARTS if not (folder / part).exists()]:
        raise RefusedFileNotFoundError(
            "core_checkpoint.lacks_files", name_or_path=name_or_path, missing=list(missing)
        )
    if written is None:
        raise Refused("core_checkpoint.no_format", name_or_path=name_or_path)
    return folder


def _check_format(folder: Path, *, name: str) -> int | None:
    """Refuse a folder that a later dermsim wrote, before anything in it is misread.

    Returns:
        The format, None where config.json is missing or names none.
    """
    path = folder / "config.json"
    if not path.exists():
        return None
    try:
        config = read_json(path, limit=LARGEST_CONFIG)
    except ValueError as error:
        raise Refused("core_checkpoint.no_checkpoint", name=name, error=error) from error
    if not isinstance(config, dict) or "checkpoint_format" not in config:
        return None
    written = config["checkpoint_format"]
    if type(written) is not int or not 1 <= written <= FORMAT:
        raise Refused("core_checkpoint.newer_format", name=name, written=written, format=FORMAT)
    return written
