"""The checkpoint folder: what it must hold, and where it is: here, or on the Hub."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

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

FORMAT = 1
"""The layout of the folder, kept as ``checkpoint_format`` in its ``config.json``. It is raised when
an older dermsim could not read what a newer one writes. Folders without it are of the first."""

ATTEMPTS = 4
"""How often a download is taken up again before it is given up."""

WAIT = 1.0
"""Seconds before the second attempt; each further wait is twice as long."""

TRANSIENT = (408, 429, 500, 502, 503, 504)
"""HTTP statuses of a Hub that may answer in a moment."""


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
        ValueError: If the folder is of a later dermsim.
        OSError: If the cache cannot be written.
    """
    folder = Path(name_or_path)
    if not folder.exists():
        folder = download(str(name_or_path), revision=revision, cache_dir=cache_dir, token=token)
    _check_format(folder, name=str(name_or_path))
    if missing := [part for part in PARTS if not (folder / part).exists()]:
        raise FileNotFoundError(
            f"{name_or_path} is not a dermsim checkpoint: it lacks {', '.join(missing)}."
        )
    return folder


def damaged_files(snapshot: Path) -> list[Path]:
    """Find files of a snapshot in the cache that do not hold what the Hub said they do.

    huggingface_hub compares the size of what it fetched, not the content. Its cache keeps each file
    under the hash that the Hub gave for it, and a snapshot links there: SHA-256 for files that
    went through git-lfs, git's SHA-1 for others. What is no such link is not looked at.

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


def _check_format(folder: Path, *, name: str) -> None:
    """Refuse a folder that a later dermsim wrote, before anything in it is misread."""
    path = folder / "config.json"
    if not path.is_file():
        return
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, or nested without end
        raise ValueError(f"The config.json of {name} is not valid JSON: {error}.") from error
    written = config.get("checkpoint_format", 1) if isinstance(config, dict) else 1
    if type(written) is not int or not 1 <= written <= FORMAT:
        raise ValueError(
            f"{name} has checkpoint_format {written!r}, and this dermsim reads formats up to "
            f"{FORMAT}: install a later one (pip install -U dermsim)."
        )


def download(name: str, *, revision: str | None = None, **options: Any) -> Path:
    """Fetch a snapshot into the cache, taking it up again where it broke off, and check it.

    Args:
        name: A repository on the Hub.
        revision: Branch, tag or commit.
        options: As for `huggingface_hub.snapshot_download`; ``repo_type="dataset"`` for a data set.

    Returns:
        Its folder in the cache.

    Raises:
        OSError: Of the kinds that `local_folder` raises, if it cannot be had whole.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    wait = WAIT
    damaged: list[str] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(wait)
            wait *= 2
        last = attempt == ATTEMPTS - 1
        try:
            folder = Path(snapshot_download(name, revision=revision, **options))
        except (HTTPError, OSError, ValueError) as error:
            if damaged and isinstance(error, LocalEntryNotFoundError):
                raise ConnectionError(
                    f"{', '.join(damaged)} of {name} was damaged in the cache, and removed: go "
                    "online to fetch it again."
                ) from error
            if last or not _is_transient(error):
                kind = "data set" if options.get("repo_type") == "dataset" else "model"
                raise _explained(error, name, revision, kind) from error
            continue
        damaged = []
        for path in damaged_files(folder):  # of no use to anyone; the next attempt fetches it
            damaged.append(path.relative_to(folder).as_posix())
            path.resolve().unlink(missing_ok=True)
            path.unlink()
        if not damaged:
            return folder
    raise ConnectionError(
        f"{', '.join(damaged)} of {name} came {ATTEMPTS} times with another content than the Hub "
        "says it has: try another network."
    )


def _is_transient(error: Exception) -> bool:
    """Say whether trying again may help: an answer broke off, or the Hub is busy."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError

    # a cache that lacks the model hides what the Hub answered
    seen = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    if isinstance(seen, HfHubHTTPError):
        return seen.response.status_code in TRANSIENT
    # what cannot even be connected to is reported at once; a bare OSError is a wrong size
    broken = isinstance(error, HTTPError | json.JSONDecodeError)
    return broken or (type(error) is OSError and error.errno is None)


def _explained(error: Exception, name: str, revision: str | None, kind: str) -> OSError:
    """Return what is raised in place of an error of huggingface_hub: one sentence."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        IncompleteSnapshotError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    nowhere = f"There is no folder {name}, and"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__).split(". ")[0]
    if isinstance(error, HFValidationError):
        return FileNotFoundError(f"{nowhere} it cannot be the name of a {kind} on the Hub.")
    if isinstance(error, RevisionNotFoundError):
        return FileNotFoundError(f"The {kind} {name} on the Hub has no revision {revision!r}.")
    if isinstance(error, GatedRepoError):
        return PermissionError(
            f"The {kind} {name} is open only to those its owners admit: ask for access on its page "
            "on the Hub, and give a token of yours."
        )
    if isinstance(error, LocalTokenNotFoundError):
        return PermissionError(
            f"A token is to be sent for {name}, and none is stored: log in with hf auth login, or "
            "set HF_TOKEN."
        )
    if status == 401 and "Invalid credentials" in str(error):
        return PermissionError(
            f"The Hub does not accept the token that was sent for {name}: log in again with "
            "hf auth login, or correct HF_TOKEN."
        )
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return FileNotFoundError(
            f"{nowhere} no such {kind} on the Hub that you may read; if it is private, give a "
            "token."
        )
    if status == 403:
        return PermissionError(f"The Hub does not let you read {name}: {reason}")
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(f"{name} could not be kept in the cache: {error.strerror or reason}.")
    if isinstance(error, IncompleteSnapshotError):
        return ConnectionError(
            f"The copy of {name} in the cache is incomplete, and the Hub could not be asked for "
            "the rest: go online."
        )
    if isinstance(error, json.JSONDecodeError):
        reason = "what answered is not the Hub, or sent half an answer."
    return ConnectionError(
        f"{nowhere} the Hub could not be asked for a {kind} of that name: {reason}"
    )
