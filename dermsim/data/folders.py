"""The one door for folders: which files there are, and which of them may be photographs.

Links are followed, each folder once, and a link to nothing is a file like any other: whoever opens
it says so. Nothing that may be a picture is passed over because its ending is not known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dermsim.core.refused import Refused

NO_PICTURES = frozenset(
    (
        *(".arrow", ".bat", ".bib", ".c", ".cfg", ".conf", ".cpp", ".css", ".csv", ".db"),
        *(".feather", ".h", ".h5", ".hdf5", ".htm", ".html", ".ini", ".ipynb", ".js", ".json"),
        *(".jsonl", ".jsx", ".lock", ".log", ".m", ".mat", ".md", ".npy", ".npz", ".ods"),
        *(".onnx", ".parquet", ".pb", ".php", ".pkl", ".ps1", ".pt", ".pth", ".py", ".pyc"),
        *(".r", ".rmd", ".rst", ".safetensors", ".sh", ".sql", ".sqlite", ".tab", ".tex"),
        *(".tflite", ".toml", ".ts", ".tsv", ".txt", ".xls", ".xlsm", ".xlsx", ".xml", ".yaml"),
        ".yml",
    )
)
"""Lower-case endings of text, tables, programs and weights: never pictures, so never looked at."""

_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
_SYSTEM_FOLDERS = frozenset({"__macosx", "$recycle.bin", "system volume information"})


def is_hidden(name: str) -> bool:
    """Say whether a path within a folder or archive is hidden, or kept by an operating system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any(
        (part.startswith(".") and part not in (".", ".."))
        or part.lower() in _SYSTEM_FOLDERS
        or part.lower() in _SYSTEM_FILES
        for part in parts
    )


def may_be_picture(name: str) -> bool:
    """Say whether a file in a folder or archive is worth looking at, by its path within it.

    Everything is but hidden files and `NO_PICTURES`: a picture of a kind that cannot be read, or
    without an ending, is to be named and not to be missing silently.
    """
    if is_hidden(name):
        return False
    return PurePosixPath(name.replace("\\", "/")).suffix.lower() not in NO_PICTURES


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, links to folders followed, hidden ones left out.

    Args:
        folder: Where to look. A folder that is reached by several ways is looked into once.

    Yields:
        Paths below `folder`, as they are named there; links to nothing among them.
    """
    seen = {os.path.realpath(folder)}
    for root, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            place = os.path.realpath(os.path.join(root, name))
            if not is_hidden(name) and place not in seen:
                seen.add(place)
                kept.append(name)
        folders[:] = kept
        yield from (Path(root, name) for name in names if not is_hidden(name))


def list_files(folder: Path) -> list[Path]:
    """List what below a folder may be a picture, sorted by path.

    Raises:
        ValueError: If there is nothing.
    """
    found = sorted(path for path in walk_files(folder) if may_be_picture(path.name))
    if not found:
        raise Refused("folders.no_pictures", folder=folder)
    return found
