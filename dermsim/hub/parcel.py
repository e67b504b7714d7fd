"""A parcel: a folder that becomes one repository on the Hub, in one commit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dermsim.core.refused import Refused, RefusedOSError

Kind = Literal["model", "dataset", "space"]

NOTES = {
    "apache-2.0": "made by a program, no one's photographs: free to use",
    "cc-by-nc-4.0": "made of HAM10000 (Tschandl, Rosendahl and Kittler 2018): credit the authors, "
    "no commercial use",
}
"""What a licence asks of whoever takes a parcel, by its name on the Hub."""


@dataclass(frozen=True)
class Parcel:
    """What goes to one repository.

    Attributes:
        kind: What the repository is.
        repo_id: Its name on the Hub, ``owner/name``.
        folder: What it shall hold, exactly.
        licence: As the Hub spells it.
    """

    kind: Kind
    repo_id: str
    folder: Path
    licence: str

    def __post_init__(self) -> None:
        """Refuse a name that the Hub cannot have."""
        check_repo_id(self.repo_id)

    @property
    def files(self) -> dict[str, Path]:
        """Every file by its path in the repository, in order."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in found}

    @property
    def note(self) -> str:
        """What its licence asks for, in words."""
        return NOTES.get(self.licence, "see its terms")


def check_repo_id(repo_id: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        ValueError: If it is not ``owner/name``, or holds what the Hub does not allow.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    if repo_id.count("/") != 1:
        raise Refused("parcel.no_owner", repo_id=repo_id)
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise Refused("parcel.repository_name", repo_id=repo_id, error=error) from error


def refuse_pictures(parcel: Parcel) -> None:
    """Refuse a parcel with pictures in it, whatever they show, as the last thing before sending.

    Raises:
        ValueError: If a file is a picture under any name, a table has a column of them or of
            anything else that no release has, or a file is of a kind that none has.
    """
    from dermsim.hub.contents import why_not_sent

    for name, path in parcel.files.items():
        if (reason := why_not_sent(path)) is not None:
            raise Refused("parcel.pictures", name=name, repo_id=parcel.repo_id, reason=reason)


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_room(where: Path, needed: int) -> None:
    """Refuse to begin what would fill the disk.

    Args:
        where: A folder on that disk.
        needed: Bytes to be written.

    Raises:
        OSError: If there is less room.
    """
    free = shutil.disk_usage(where).free
    if free < needed:
        raise RefusedOSError("parcel.disk", where=where, free=free / 2**20, needed=needed / 2**20)
