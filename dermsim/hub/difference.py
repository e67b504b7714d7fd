"""What a push would change: a parcel beside what its repository holds now."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dermsim.core.refused import Phrase
from dermsim.hub.asking import ask
from dermsim.hub.parcel import Parcel

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

KEPT = (".gitattributes",)
"""What the Hub puts into a repository itself, and a push leaves alone."""

READABLE = (".json", ".md", ".py", ".txt")
"""Endings of the files whose lines are compared."""

LONGEST = 200_000
"""Bytes of a file beyond which its lines are not."""

Status = Literal["new", "changed", "same", "removed"]


@dataclass(frozen=True)
class Change:
    """What becomes of one file.

    Attributes:
        path: Its path in the repository.
        status: ``"new"``, ``"changed"``, ``"same"`` or ``"removed"``.
        size: Bytes it will have, or had when it is removed.
    """

    path: str
    status: Status
    size: int

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {"path": self.path, "status": self.status, "size": self.size}


@dataclass(frozen=True)
class Difference:
    """A parcel beside its repository.

    Attributes:
        parcel: What is to be there.
        head: The commit it was compared with; None when there is no such repository yet.
        private: Whether the repository is private; None without one.
        changes: Of every file, by path.
        lines: Unified diff of the text files that change.
    """

    parcel: Parcel
    head: str | None
    private: bool | None
    changes: tuple[Change, ...]
    lines: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the repository holds exactly the parcel already."""
        return all(change.status == "same" for change in self.changes)

    @property
    def removed(self) -> tuple[str, ...]:
        """Paths that the repository has and the parcel has not."""
        return tuple(change.path for change in self.changes if change.status == "removed")

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            "kind": self.parcel.kind,
            "repo_id": self.parcel.repo_id,
            "licence": self.parcel.licence,
            "head": self.head,
            "private": self.private,
            "changes": [change.to_dict() for change in self.changes],
            "lines": list(self.lines),
        }


def compare(
    api: HfApi, parcel: Parcel, *, revision: str | None = None, texts: bool = True
) -> Difference:
    """Compare a parcel with what the Hub holds.

    Args:
        api: The Hub.
        parcel: What is to be there.
        revision: Branch to compare with; main when None, or when there is no such branch yet.
        texts: Fetch the text files that change, to compare their lines.

    Raises:
        PermissionError: If the token is refused.
        ConnectionError: If the Hub cannot be asked.
    """
    what = Phrase("asking.say_holds", repo_id=parcel.repo_id)
    head, private = ask(what, lambda: look(api, parcel, revision))
    there = ask(what, lambda: _tree(api, parcel, head)) if head else {}
    here = parcel.files
    changes = [
        Change(path, _status(here[path], there.get(path)), here[path].stat().st_size)
        for path in here
    ]
    gone = [path for path in there if path not in here and path not in KEPT]
    changes += [Change(path, "removed", there[path].size) for path in gone]
    lines: list[str] = []
    if texts and head:
        wanted = [c for c in changes if c.status == "changed" and _readable(c, there[c.path])]
        for change in wanted:
            lines += _line_diff(api, parcel, head, change.path)
    changes.sort(key=lambda change: change.path)
    return Difference(parcel, head, private, tuple(changes), tuple(lines))


def look(api: HfApi, parcel: Parcel, revision: str | None = None) -> tuple[str | None, bool | None]:
    """Return the commit that a branch, or else main, stands at, and whether it is private.

    Both are None where there is no repository that the token may see.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where: dict[str, Any] = {"repo_id": parcel.repo_id, "repo_type": parcel.kind}
    try:
        try:
            found = api.repo_info(**where, revision=revision)
        except RevisionNotFoundError:
            found = api.repo_info(**where)
    except RepositoryNotFoundError:
        return None, None
    except HfHubHTTPError as error:
        # who has no token is told no more than this, whether it is private or not there at all
        if error.response.status_code == 401 and "Invalid credentials" not in str(error):
            return None, None
        raise
    return found.sha, bool(found.private)


def _tree(api: HfApi, parcel: Parcel, head: str) -> dict[str, RepoFile]:
    from huggingface_hub.hf_api import RepoFile

    listed = api.list_repo_tree(
        parcel.repo_id, recursive=True, revision=head, repo_type=parcel.kind
    )
    return {entry.path: entry for entry in listed if isinstance(entry, RepoFile)}


def _status(here: Path, there: RepoFile | None) -> Status:
    if there is None:
        return "new"
    if here.stat().st_size != there.size:
        return "changed"
    if there.lfs is not None:
        with here.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == there.lfs.sha256
    else:
        data = here.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
        same = blob.hexdigest() == there.blob_id
    return "same" if same else "changed"


def _readable(change: Change, there: RepoFile) -> bool:
    return change.path.endswith(READABLE) and max(change.size, there.size) <= LONGEST


def _line_diff(api: HfApi, parcel: Parcel, head: str, path: str) -> list[str]:
    fetched = ask(
        Phrase("asking.hand_out", path=path, repo_id=parcel.repo_id),
        lambda: api.hf_hub_download(parcel.repo_id, path, repo_type=parcel.kind, revision=head),
    )
    old = Path(fetched).read_text(encoding="utf-8", errors="replace").splitlines()
    new = parcel.files[path].read_text(encoding="utf-8").splitlines()
    there, here = f"{parcel.repo_id}/{path} on the Hub", f"{parcel.repo_id}/{path}"
    return list(difflib.unified_diff(old, new, there, here, n=1, lineterm=""))
