"""What the Hub says of repositories, commits and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from .storage import Commit, Entry, Repository, pointer


def describe(repository: Repository, commit: Commit, *, blobs: bool = False) -> dict[str, Any]:
    """Return what the Hub says of a repository."""
    readme = commit.files.get("README.md")
    card = metadata(repository.storage.content(readme).decode()) if readme else {}
    siblings: list[dict[str, Any]] = []
    for path, entry in commit.files.items():
        sibling: dict[str, Any] = {"rfilename": path}
        if blobs:
            listed = file_info(path, entry)
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if "lfs" in listed:
                lfs = listed["lfs"]
                sibling["lfs"] = {**lfs, "sha256": lfs["oid"]}
        siblings.append(sibling)
    values = {
        "_id": "0" * 24,
        "id": repository.name,
        "author": repository.name.split("/")[0],
        "sha": commit.oid,
        "createdAt": repository.history(commit)[-1].date,
        "lastModified": commit.date,
        "private": repository.settings["private"],
        "gated": repository.settings["gated"],
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": card.get("tags") or [],
        "cardData": card,
        "siblings": siblings,
    }
    for key in ("pipeline_tag", "library_name"):
        if key in card:
            values[key] = card[key]
    if repository.kind == "models":
        values["modelId"] = repository.name
    if repository.kind == "spaces":
        values["sdk"] = repository.settings.get("sdk")
    return values


def metadata(readme: str) -> dict[str, Any]:
    """Return the YAML block at the head of a card; empty if there is none or it is broken."""
    if not readme.startswith("---\n") or "\n---" not in readme[3:]:
        return {}
    try:
        values = yaml.safe_load(readme[4:].split("\n---", 1)[0])
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def file_info(path: str, entry: Entry) -> dict[str, Any]:
    """Describe a file as trees do."""
    values: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.lfs:
        size = len(pointer(entry.lfs, entry.size))
        values["lfs"] = {"oid": entry.lfs, "size": entry.size, "pointerSize": size}
    return values


def walk(commit: Commit, folder: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
    """Yield the files and folders in a folder of a commit; "" is the whole tree."""
    start = f"{folder}/" if folder else ""
    seen = set()
    for path, entry in commit.files.items():
        if not path.startswith(start):
            continue
        below = path[len(start) :].split("/")
        for depth in range(1, len(below) if recursive else min(len(below), 2)):
            inner = start + "/".join(below[:depth])
            if inner not in seen:
                seen.add(inner)
                yield {"type": "directory", "oid": "0" * 40, "size": 0, "path": inner}
        if recursive or len(below) == 1:
            yield file_info(path, entry)


def last_commit(commit: Commit) -> dict[str, str]:
    """Describe the commit that a file is from; here always the newest."""
    return {"id": commit.oid, "title": commit.title, "date": commit.date}
