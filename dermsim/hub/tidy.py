"""Is a checkpoint folder finished, and does it hold nothing else? Asked before it is sent."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from dermsim.core.checkpoint import OPTIONAL_PARTS, PARTS, TEXT
from dermsim.core.refused import Refused, RefusedFileNotFoundError
from dermsim.lite.encoder import FILES, FOLDER, REPORT
from dermsim.models.shipped_sources import shipped_sources
from dermsim.tasks.retrieve import OWN

MADE_AT_THE_END = ("training.json", "evaluation.json", "README.md")
"""What a run writes only when it is through."""

EXPORTED = (FOLDER, *(f"{FOLDER}/{name}" for name in (*FILES.values(), REPORT)))
"""What `dermsim export` leaves in a checkpoint."""

SOMETIMES = ("calibration_facts.json", *OPTIONAL_PARTS, *EXPORTED)
"""Parts that only some checkpoints have."""

FOLDERS = ("gallery", TEXT, FOLDER)
"""Parts that are folders."""

GALLERY = ("gallery.json", "embeddings.safetensors", "records.parquet")
"""What the gallery's own folder holds as a run leaves it; one that was added to holds more."""

SOURCES = shipped_sources(
    "modeling_dermsim_ensemble", "modeling_dermsim_dual", "image_processing_dermsim"
)
"""The model's code, which travels with the weights: that of every kind of encoder."""


def check_tidy(folder: Path) -> None:
    """Refuse a checkpoint folder that is not what a finished run left.

    Args:
        folder: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such folder, or a part of it is missing.
        ValueError: If it holds anything else, an empty file, a link or a device, code that is not
            this dermsim's own, or if it is under version control and has changes that are not
            committed.
    """
    if not folder.is_dir():
        raise RefusedFileNotFoundError("tidy.no_folder", folder=folder)
    wanted = [*PARTS, *MADE_AT_THE_END, *(f"gallery/{name}" for name in GALLERY)]
    if missing := [name for name in wanted if not (folder / name).exists()]:
        raise RefusedFileNotFoundError("tidy.unfinished", folder=folder, missing=list(missing))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise Refused("tidy.link", name=name, folder=folder)
        grown = path.parent == folder / "gallery" and OWN.fullmatch(path.name)
        if name not in (*wanted, *SOMETIMES, TEXT) and name not in SOURCES and not grown:
            raise Refused("tidy.foreign", folder=folder, name=name)
        if path.is_dir() != (name in FOLDERS) or not (path.is_dir() or path.is_file()):
            raise Refused("tidy.malformed", name=name, folder=folder)
        if path.is_file() and path.stat().st_size == 0:
            raise Refused("tidy.empty", name=name, folder=folder)
        if name in SOURCES and path.read_bytes() != SOURCES[name].encode():
            raise Refused("tidy.other_code", name=name, folder=folder)
    _check_committed(folder)


def _check_committed(folder: Path) -> None:
    """Refuse changes since the last commit, where the folder is tracked by git."""
    if not _git(folder, "ls-files", "."):
        return
    if changed := _git(folder, "status", "--porcelain", "."):
        name = changed.splitlines()[0].split(maxsplit=1)[1]
        raise Refused("tidy.uncommitted", name=name)


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says of a folder; nothing where there is no git, or no checkout."""
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
