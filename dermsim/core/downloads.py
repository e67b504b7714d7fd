"""Downloads from the Hub: taken up again where they broke off, checked, and explained if they fail.

huggingface_hub fetches and caches; what is added here is what it leaves to its callers. It asks
again after some failures and not after others, compares the size of what came and not the content,
and raises errors of many kinds and lines.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dermsim.core.refused import (
    Keyed,
    Phrase,
    Refused,
    RefusedConnectionError,
    RefusedFileNotFoundError,
    RefusedOSError,
    RefusedPermissionError,
)

T = TypeVar("T")

ATTEMPTS = 4
"""How often something is tried with the Hub before it is given up."""

WAIT = 1.0
"""Seconds before the second attempt; each further wait is twice as long."""

TRANSIENT = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of a Hub that may answer in a moment."""

FINAL = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ReadTimeout", "WriteTimeout")
"""What makes huggingface_hub look into the cache instead: when nothing is found there, there is no
network to wait for. The names are of the HTTP client, whose package changes with its versions."""


class DamagedError(RefusedOSError):
    """A file came with another content than the Hub says it has."""


def download(
    name: str, *, revision: str | None = None, largest: int | None = None, **options: Any
) -> Path:
    """Fetch a snapshot into the cache, taking it up again where it broke off, and check it.

    Args:
        name: A repository on the Hub.
        revision: Branch, tag or commit.
        largest: Bytes to fetch at most; None for no limit.
        options: As for `huggingface_hub.snapshot_download`; ``repo_type="dataset"`` for a data set.

    Returns:
        Its folder in the cache.

    Raises:
        FileNotFoundError: If there is no such repository or revision that may be read.
        PermissionError: If the Hub refuses the token, or the repository is open to few.
        ConnectionError: If the Hub cannot be reached and the cache does not hold everything, or
            what the Hub sends is damaged.
        ValueError: If there is more to fetch than `largest`; nothing is.
        OSError: If the cache cannot be written.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    removed: list[str] = []

    if largest is not None:
        refuse_large(name, largest, revision=revision, **options)

    def fetch() -> Path:
        folder = Path(snapshot_download(name, revision=revision, **options))
        damaged = damaged_files(folder)
        removed[:] = [path.relative_to(folder).as_posix() for path in damaged]
        for path in damaged:  # of no use to anyone, and the next attempt fetches what is missing
            path.resolve().unlink(missing_ok=True)
            path.unlink()
        if damaged:
            raise DamagedError("downloads.damaged", removed=list(removed))
        return folder

    try:
        return persist(fetch)
    except (HTTPError, OSError, ValueError) as error:
        data_set = options.get("repo_type") == "dataset"
        kind = Phrase("downloads.data_set" if data_set else "downloads.model")
        raise (
            _damage(error, name, removed)
            or _refusal(error, name, kind, revision)
            or _failure(error, name, kind)
        ) from error


def refuse_large(
    name: str,
    largest: int,
    *,
    revision: str | None = None,
    repo_type: str | None = None,
    allow_patterns: list[str] | None = None,
    token: str | bool | None = None,
    **_: Any,
) -> None:
    """Refuse a repository of which there is too much to fetch, by what the Hub says of it.

    Where the Hub cannot be asked nothing is fetched, and the cache was compared when it was filled;
    why it refuses, `download` explains.

    Args:
        name: A repository on the Hub.
        largest: Bytes to fetch at most.
        revision: Branch, tag or commit.
        repo_type: As for `huggingface_hub.snapshot_download`, as are the rest.
        allow_patterns: Of the files that would be fetched.
        token: For the Hub.

    Raises:
        ValueError: If there is more.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import filter_repo_objects

    try:
        found: Any = HfApi().repo_info(
            name, revision=revision, repo_type=repo_type, files_metadata=True, token=token
        )
    except (HTTPError, OSError, ValueError):
        return
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
    size = sum(sizes[file] for file in filter_repo_objects(sizes, allow_patterns=allow_patterns))
    if size > largest:
        raise Refused("downloads.too_large", name=name, size=size, largest=largest)


def persist(action: Callable[[], T]) -> T:
    """Do something with the Hub, and again when that may help.

    Args:
        action: What to do; its errors are those of huggingface_hub or of what is built on it.

    Returns:
        What the first attempt that succeeded returned; the last attempt's error is raised.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return action()
        except Exception as error:
            if not is_transient(error):
                raise
        time.sleep(WAIT * 2 ** (attempt - 1))
    return action()


def is_transient(error: BaseException | None) -> bool:
    """Say whether trying again may help: an answer broke off or is damaged, or the Hub is busy."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    raised = error
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code in TRANSIENT
        if isinstance(error, HTTPError):
            return error is raised or type(error).__name__ not in FINAL
        if isinstance(error, DamagedError | json.JSONDecodeError):
            return True
        if type(error) is OSError and "Consistency check failed" in str(error):  # a wrong size
            return True
        error = error.__cause__  # "it is not in the cache" hides what the Hub answered
    return False


def damaged_files(snapshot: Path) -> list[Path]:
    """Find files of a snapshot in the cache that do not hold what the Hub said they do.

    The cache keeps each file under the hash that the Hub gave for it, and a snapshot links there:
    SHA-256 for files that went through git-lfs, git's SHA-1 for others. What is no such link, as
    where the file system has none, is not looked at.

    Args:
        snapshot: Folder of one commit in the cache.
    """
    linked = [path for path in sorted(snapshot.rglob("*")) if path.is_symlink()]
    return [path for path in linked if not _holds(path, Path(os.readlink(path)).name)]


def _holds(path: Path, name: str) -> bool:
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", name):
        return True
    with path.open("rb") as file:
        if len(name) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest() == name
        data = file.read()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == name


def _damage(error: Exception, name: str, files: list[str]) -> OSError | None:
    """Explain files that were found damaged, and stay so."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, DamagedError):
        return RefusedConnectionError(
            "downloads.other_content", files=files, name=name, attempts=ATTEMPTS
        )
    if files and isinstance(error, LocalEntryNotFoundError):
        return RefusedConnectionError("downloads.damaged_cache", files=files, name=name)
    return None


def _refusal(error: Exception, name: str, kind: Keyed, revision: str | None) -> OSError | None:
    """Explain an error that says no: there is no such thing, or it is not for this user."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, HfHubHTTPError):
        error = error.__cause__  # what the Hub answered, before the cache was looked into in vain
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, HFValidationError):
        return RefusedFileNotFoundError("downloads.no_hub_name", name=name, kind=kind)
    if isinstance(error, RevisionNotFoundError):
        return RefusedFileNotFoundError(
            "downloads.no_revision", kind=kind, name=name, revision=revision
        )
    if isinstance(error, GatedRepoError):
        return RefusedPermissionError("downloads.gated", kind=kind, name=name)
    if isinstance(error, LocalTokenNotFoundError):
        return RefusedPermissionError("downloads.no_token", name=name)
    if status == 401 and "Invalid credentials" in str(error):
        return RefusedPermissionError("downloads.token_refused", name=name)
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return RefusedFileNotFoundError("downloads.no_repository", name=name, kind=kind)
    if status == 403:
        return RefusedPermissionError(
            "downloads.not_readable", name=name, error=_first_sentence(error)
        )
    return None


def _failure(error: Exception, name: str, kind: Keyed) -> OSError:
    """Explain an error of the network, the Hub or the disk."""
    from huggingface_hub.errors import HfHubHTTPError, IncompleteSnapshotError

    answered = isinstance(error, HfHubHTTPError | ConnectionError)
    if isinstance(error, OSError) and error.strerror and not answered:
        return RefusedOSError("downloads.cache_not_writable", name=name, reason=error.strerror)
    if isinstance(error, IncompleteSnapshotError):
        return RefusedConnectionError("downloads.incomplete", name=name)
    reason: Keyed | str = _first_sentence(error)
    if isinstance(error, json.JSONDecodeError):
        reason = Phrase("downloads.no_answer")
    return RefusedConnectionError("downloads.hub_not_asked", name=name, kind=kind, reason=reason)


def _first_sentence(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(". ")[0].rstrip(".")
