"""Pointers of Git LFS: what lies in place of a large file after a clone without git-lfs.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

from pathlib import Path

from dermsim.core.refused import Refused

_START = b"version https://git-lfs"
_LONGEST = 1024  # bytes, by the specification


def is_lfs_pointer(start: bytes) -> bool:
    """Say whether a file that begins so is a pointer."""
    return start.startswith(_START)


def refuse_lfs_pointer(*paths: Path) -> None:
    """Refuse files that are pointers; what is no file is left for others to refuse.

    Raises:
        ValueError: If one is; the message names all of them and what to do.
    """
    pointers = [path for path in paths if path.is_file() and _is_pointer(path)]
    if not pointers:
        return
    key = "lfs.pointer" if len(pointers) == 1 else "lfs.pointers"
    raise Refused(key, names=[path.name for path in pointers], parent=pointers[0].parent)


def _is_pointer(path: Path) -> bool:
    if path.stat().st_size > _LONGEST:
        return False
    with path.open("rb") as stream:
        return is_lfs_pointer(stream.read(len(_START)))
