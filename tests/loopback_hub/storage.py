"""Repositories on disk: commits, branches, tags and pull requests over content-addressed objects.

Objects are kept under the hash of what they hold: git's SHA-1 for small files, SHA-256 for those
that go through git-lfs. A commit lists its whole tree. It becomes visible when one file, the
repository's ``refs.json``, is replaced; whatever fails before that leaves every branch as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KINDS = ("models", "datasets", "spaces")

GIT_ATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n"
    for suffix in ("arrow", "bin", "gz", "jpg", "npz", "parquet", "png", "safetensors", "zip")
)
"""What a new repository starts with: files of these kinds go through git-lfs."""


@dataclass(frozen=True)
class Entry:
    """One file of a commit.

    Attributes:
        oid: SHA-1 of the git blob; for a file kept by git-lfs, of its pointer.
        size: Bytes of the file itself.
        lfs: SHA-256 of the file when git-lfs keeps it.
    """

    oid: str
    size: int
    lfs: str | None = None

    @property
    def etag(self) -> str:
        """What names the content in a cache."""
        return self.lfs or self.oid


@dataclass(frozen=True)
class Commit:
    """A commit and its whole tree."""

    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    files: dict[str, Entry] = field(default_factory=dict)


def git_hash(data: bytes) -> str:
    """Return git's own hash of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """Return the small file that git keeps in place of a large one."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return text.encode()


def write(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(data)
    os.replace(temporary, path)


class Storage:
    """Everything the server remembers, under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()

    def lfs_path(self, sha256: str) -> Path:
        """Return where a git-lfs object is, or would be."""
        return self.root / "lfs" / sha256[:2] / sha256

    def put_blob(self, data: bytes) -> Entry:
        """Keep a small file."""
        oid = git_hash(data)
        write(self.root / "blobs" / oid[:2] / oid, data)
        return Entry(oid, len(data))

    def put_lfs(self, data: bytes) -> Entry:
        """Keep a large file."""
        oid = hashlib.sha256(data).hexdigest()
        write(self.lfs_path(oid), data)
        return Entry(git_hash(pointer(oid, len(data))), len(data), oid)

    def put_file(self, path: Path) -> Entry:
        """Keep a file the way that a new repository would have it."""
        data = path.read_bytes()
        large = f"*{path.suffix} filter=lfs" in GIT_ATTRIBUTES or b"\0" in data
        return self.put_lfs(data) if large else self.put_blob(data)

    def content(self, entry: Entry) -> bytes:
        """Return the bytes of a file."""
        if entry.lfs:
            return self.lfs_path(entry.lfs).read_bytes()
        return (self.root / "blobs" / entry.oid[:2] / entry.oid).read_bytes()

    def repositories(self, kind: str) -> list[Repository]:
        """Return all repositories of a kind, by name."""
        found = sorted((self.root / "repos" / kind).glob("*/*/refs.json"))
        return [
            Repository(self, kind, f"{path.parts[-3]}/{path.parts[-2]}", path.parent)
            for path in found
        ]

    def repository(self, kind: str, name: str) -> Repository | None:
        """Find a repository, such as ``("models", "alice/dermsim")``."""
        folder = self.root / "repos" / kind / name
        return Repository(self, kind, name, folder) if (folder / "refs.json").is_file() else None

    def create(self, kind: str, name: str, *, settings: dict[str, Any]) -> Repository:
        """Make a repository with its first commit, as the Hub does."""
        repository = Repository(self, kind, name, self.root / "repos" / kind / name)
        write(repository.folder / "settings.json", json.dumps(settings).encode())
        files = {".gitattributes": self.put_blob(GIT_ATTRIBUTES.encode())}
        author = name.split("/")[0]
        first = repository.add_commit(None, files, title="initial commit", message="", by=author)
        repository.write_refs({"heads": {"main": first.oid}, "tags": {}, "pr": {}})
        return repository


@dataclass(frozen=True)
class Repository:
    """One repository.

    Attributes:
        storage: Where its objects are.
        kind: One of `KINDS`.
        name: Owner and name, with a slash between.
        folder: What is its own on disk.
    """

    storage: Storage
    kind: str
    name: str
    folder: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for when it was made: private, gated, sdk and the like."""
        return json.loads((self.folder / "settings.json").read_text())

    def update_settings(self, **changes: object) -> None:
        """Change settings."""
        write(self.folder / "settings.json", json.dumps({**self.settings, **changes}).encode())

    @property
    def refs(self) -> dict[str, dict[str, str]]:
        """Commits by name, of branches ("heads"), tags, and pull requests ("pr")."""
        return json.loads((self.folder / "refs.json").read_text())

    def write_refs(self, refs: dict[str, dict[str, str]]) -> None:
        """Point branches, tags and pull requests at commits, all at once."""
        write(self.folder / "refs.json", json.dumps(refs).encode())

    @property
    def head(self) -> Commit:
        """The last commit of main."""
        return self.commit(self.refs["heads"]["main"])

    def commit(self, oid: str) -> Commit:
        """Return a commit by its hash."""
        values = json.loads((self.folder / "commits" / f"{oid}.json").read_text())
        files = {path: Entry(**entry) for path, entry in values.pop("files").items()}
        return Commit(files=files, **values)

    def resolve(self, revision: str) -> Commit | None:
        """Find the commit that a branch, tag, pull request, hash or the start of one names."""
        refs = self.refs
        number = revision.removeprefix("refs/pr/")
        oid = refs["heads"].get(revision) or refs["tags"].get(revision)
        if oid is None and number != revision:
            oid = refs["pr"].get(number)
        if oid is None and len(revision) >= 7:
            found = list((self.folder / "commits").glob(f"{revision}*.json"))
            oid = found[0].stem if len(found) == 1 else None
        return None if oid is None else self.commit(oid)

    def history(self, commit: Commit) -> list[Commit]:
        """Return a commit and all before it, newest first."""
        found = [commit]
        while found[-1].parent:
            found.append(self.commit(found[-1].parent))
        return found

    def add_commit(
        self, parent: Commit | None, files: dict[str, Entry], *, title: str, message: str, by: str
    ) -> Commit:
        """Keep a commit that no branch points at yet."""
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        before = parent.oid if parent else None
        content = {path: asdict(entry) for path, entry in sorted(files.items())}
        # never the same twice, for clients remember what they loaded of a commit
        seed = json.dumps([self.kind, self.name, before, title, message, content, uuid.uuid4().hex])
        oid = hashlib.sha1(seed.encode()).hexdigest()
        commit = Commit(oid, before, title, message, by, date, files)
        path = self.folder / "commits" / f"{oid}.json"
        write(path, json.dumps({**asdict(commit), "files": content}).encode())
        return commit

    def delete(self) -> None:
        """Forget the repository; objects stay, as others may share them."""
        shutil.rmtree(self.folder)
