"""Files: uploads by git-lfs or in the commit itself, commits, and downloads by redirect."""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .cards import check_card
from .exchange import HubError, Request, Response, reply, unquoted
from .repositories import PREFIX, at, readable, writable
from .routing import PAGE, REPO, route
from .storage import Commit, Entry, Repository, git_hash, pointer, write

if TYPE_CHECKING:
    from .server import LoopbackHub

REGULAR_LIMIT = 10 * 2**20
"""Bytes above which a file must go through git-lfs."""


@route("POST", "/api/validate-yaml")
def validate_yaml(hub: LoopbackHub, request: Request) -> Response:
    """Check the card of a repository that may not exist yet."""
    asked = request.json()
    errors, warnings = check_card(asked["content"], kind=asked["repoType"])
    answer = {
        "errors": [{"message": text} for text in errors],
        "warnings": [{"message": text} for text in warnings],
    }
    return reply(answer, status=400 if errors else 200)


@route("POST", f"/api/{REPO}/preupload/([^/]+)")
def preupload(hub: LoopbackHub, request: Request, kind: str, name: str, revision: str) -> Response:
    """Say of each file how it is to be sent, and what is there now."""
    repository = _target(hub, request, kind, name)
    commit = at(repository, *unquoted(revision))
    answers = []
    for file in request.json()["files"]:
        sample = base64.b64decode(file["sample"])
        large = _through_lfs(repository, commit, file["path"], file["size"], sample)
        answer = {
            "path": file["path"],
            "uploadMode": "lfs" if large else "regular",
            "shouldIgnore": False,
        }
        if file["path"] in commit.files:
            answer["oid"] = commit.files[file["path"]].etag
        answers.append(answer)
    return reply({"files": answers})


def _target(hub: LoopbackHub, request: Request, kind: str, name: str) -> Repository:
    """Return the repository to change; who may only read may still open a pull request."""
    if request.flag("create_pr") and request.account is not None:
        return readable(hub, request, kind, name)
    return writable(hub, request, kind, name)


def _through_lfs(
    repository: Repository, commit: Commit, path: str, size: int, sample: bytes
) -> bool:
    if ".gitattributes" in commit.files:
        rules = repository.storage.content(commit.files[".gitattributes"]).decode()
        suffixes = re.findall(r"^\*(\.\w+) filter=lfs", rules, flags=re.MULTILINE)
        if path.endswith(tuple(suffixes)):
            return True
    return size > REGULAR_LIMIT or b"\0" in sample


@route("POST", rf"/{PAGE}\.git/info/lfs/objects/batch")
def lfs_batch(hub: LoopbackHub, request: Request, kind: str | None, name: str) -> Response:
    """Say where to put each object, unless it is there already."""
    writable(hub, request, kind or "models", name)
    asked = request.json()
    page = f"{request.base}/{PREFIX[kind or 'models']}{name}.git/info/lfs/objects"
    objects, transfer = [], "basic"
    for item in asked["objects"]:
        oid, size = item["oid"], item["size"]
        answer = {"oid": oid, "size": size, "authenticated": True}
        if not hub.storage.lfs_path(oid).is_file():
            upload: dict[str, Any] = {"href": f"{hub.storage_url}/upload/{oid}"}
            if size > hub.part_size and "multipart" in asked["transfers"]:
                transfer = "multipart"
                parts = range(1, -(-size // hub.part_size) + 1)
                upload["header"] = {
                    "chunk_size": str(hub.part_size),
                    **{str(n): f"{hub.storage_url}/upload/{oid}/{n}" for n in parts},
                }
                upload["href"] = f"{page}/complete/{oid}"
            answer["actions"] = {"upload": upload, "verify": {"href": f"{page}/verify"}}
        objects.append(answer)
    return reply({"transfer": transfer, "objects": objects})


@route("PUT", r"/upload/([0-9a-f]{64})(?:/(\d+))?", host="storage")
def upload(hub: LoopbackHub, request: Request, oid: str, part: str | None) -> Response:
    """Take an object, or a part of one. What it holds is only checked when it is complete."""
    write(_arriving(hub, oid, part), request.body)
    return Response(200, headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


@route("POST", rf"/{PAGE}\.git/info/lfs/objects/complete/([0-9a-f]{{64}})")
def complete(hub: LoopbackHub, request: Request, kind: str | None, name: str, oid: str) -> Response:
    """Put the parts of an object together."""
    joined = b""
    for part in request.json()["parts"]:
        data = _arrived(hub, oid, str(part["partNumber"]))
        if part["etag"].strip('"') != hashlib.md5(data).hexdigest():
            raise HubError(400, f"Part {part['partNumber']} is not the one that was sent.")
        joined += data
    write(_arriving(hub, oid, None), joined)
    return reply({})


@route("POST", rf"/{PAGE}\.git/info/lfs/objects/verify")
def verify(hub: LoopbackHub, request: Request, kind: str | None, name: str) -> Response:
    """Keep an object if it is what it was announced to be, and forget it if not."""
    writable(hub, request, kind or "models", name)
    asked = request.json()
    data = _arrived(hub, asked["oid"], None)
    _arriving(hub, asked["oid"], None).unlink()
    if len(data) != asked["size"] or hashlib.sha256(data).hexdigest() != asked["oid"]:
        raise HubError(400, "The uploaded object does not have the announced size and SHA-256.")
    write(hub.storage.lfs_path(asked["oid"]), data)
    return reply({})


def _arriving(hub: LoopbackHub, oid: str, part: str | None) -> Any:
    return hub.storage.root / "arriving" / (oid if part is None else f"{oid}.{part}")


def _arrived(hub: LoopbackHub, oid: str, part: str | None) -> bytes:
    path = _arriving(hub, oid, part)
    if not path.is_file():
        raise HubError(404, f"Nothing was uploaded for {oid}.")
    return path.read_bytes()


@route("POST", f"/api/{REPO}/commit/([^/]+)")
def commit(hub: LoopbackHub, request: Request, kind: str, name: str, revision: str) -> Response:
    """Add one commit: all of its changes, or none."""
    repository = _target(hub, request, kind, name)
    (revision,) = unquoted(revision)
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = lines[0]["value"]
    with hub.storage.lock:
        known = repository.refs
        parent = at(repository, revision)
        if header.get("parentCommit") not in (None, parent.oid):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(parent.files)
        for line in lines[1:]:
            _apply(repository, files, line["key"], line["value"])
        assert request.account is not None
        made = repository.add_commit(
            parent,
            files,
            title=header["summary"],
            message=header.get("description", ""),
            by=request.account.name,
        )
        page = f"{request.base}/{PREFIX[kind]}{name}"
        answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{page}/commit/{made.oid}"}
        if request.flag("create_pr"):
            number = str(len(known["pr"]) + 1)
            known["pr"][number] = made.oid
            answer["pullRequestUrl"] = f"{page}/discussions/{number}"
        elif revision.startswith("refs/pr/"):
            known["pr"][revision.removeprefix("refs/pr/")] = made.oid
        elif revision in known["heads"]:
            known["heads"][revision] = made.oid
        else:
            raise HubError(400, f"{revision} is no branch to commit to.")
        repository.write_refs(known)
    return reply(answer)


def _apply(
    repository: Repository, files: dict[str, Entry], key: str, value: dict[str, Any]
) -> None:
    """Make one change of a commit to its tree."""
    path = value["path"]
    if path.startswith("/") or {"..", ".git"} & set(path.split("/")):
        raise HubError(400, f"Invalid path: {path}")
    if key == "file":
        files[path] = _regular(repository, path, value["content"])
    elif key == "lfsFile":
        stored = repository.storage.lfs_path(value["oid"])
        if not stored.is_file() or stored.stat().st_size != value.get(
            "size", stored.stat().st_size
        ):
            raise HubError(400, f"The git-lfs object of {path} was not uploaded: {value['oid']}")
        size = stored.stat().st_size
        files[path] = Entry(git_hash(pointer(value["oid"], size)), size, value["oid"])
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    elif key == "deletedFolder":
        inside = [p for p in files if p.startswith(path.rstrip("/") + "/")]
        if not inside:
            raise HubError(404, f"A folder with this name doesn't exist: {path}", "EntryNotFound")
        for p in inside:
            del files[p]
    else:
        raise HubError(400, f"Unknown operation: {key}")


def _regular(repository: Repository, path: str, content: str) -> Entry:
    try:
        data = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise HubError(400, f"The content of {path} is not base64.") from error
    if len(data) > REGULAR_LIMIT or b"\0" in data:
        raise HubError(400, f"{path} is large or binary: it must go through git-lfs.")
    if path == "README.md":
        errors, _ = check_card(data.decode("utf-8", "replace"), kind=repository.kind[:-1])
        if errors:
            raise HubError(400, f"Invalid metadata in README.md: {' '.join(errors)}")
    return repository.storage.put_blob(data)


@route("GET|HEAD", f"/{PAGE}/resolve/([^/]+)/(.+)")
def resolve(
    hub: LoopbackHub, request: Request, kind: str | None, name: str, revision: str, path: str
) -> Response:
    """Send the client on to where a file is: a cache of the Hub's own, or another server."""
    revision, path = unquoted(revision, path)
    repository = readable(hub, request, kind or "models", name)
    commit = at(repository, revision)
    headers = {"X-Repo-Commit": commit.oid}
    if repository.settings["gated"] and not (
        request.account and request.account.may_write(name.split("/")[0])
    ):
        what = f"Access to {name} is restricted. You must be authenticated to access it."
        raise HubError(403 if request.account else 401, what, "GatedRepo", headers=headers)
    entry = commit.files.get(path)
    if entry is None:
        raise HubError(404, "Entry not found", "EntryNotFound", headers=headers)
    headers |= {"ETag": f'"{entry.etag}"', "Accept-Ranges": "bytes"}
    if entry.lfs:
        headers["X-Linked-ETag"] = f'"{entry.lfs}"'
        headers["X-Linked-Size"] = str(entry.size)
        headers["Location"] = f"{hub.storage_url}/lfs/{entry.lfs}?filename={quote(path, safe='')}"
        return Response(302, headers=headers)
    where = f"/api/resolve-cache/{kind or 'models'}/{name}/{commit.oid}/{quote(path)}"
    return Response(307, headers={**headers, "Location": where})


@route("GET|HEAD", f"/api/resolve-cache/{REPO}/([0-9a-f]{{40}})/(.+)")
def resolve_cache(
    hub: LoopbackHub, request: Request, kind: str, name: str, oid: str, path: str
) -> Response:
    """Send a small file, compressed when the client takes that."""
    (path,) = unquoted(path)
    repository = readable(hub, request, kind, name)
    entry = at(repository, oid).files[path]
    data = repository.storage.content(entry)
    headers = {"X-Repo-Commit": oid, "ETag": f'"{entry.etag}"', "Content-Type": "text/plain"}
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed and request.method == "GET" and "range" not in request.headers:
        headers |= {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
        return Response(200, gzip.compress(data), headers)
    return _ranged(request, Response(200, data, headers))


@route("GET|HEAD", "/lfs/([0-9a-f]{64})", host="storage")
def download(hub: LoopbackHub, request: Request, oid: str) -> Response:
    """Send a large file, or the range of it that is asked for."""
    path = hub.storage.lfs_path(oid)
    if not path.is_file():
        raise HubError(404, "NoSuchKey")
    return _ranged(request, Response(200, path.read_bytes(), {"ETag": f'"{oid}"'}))


def _ranged(request: Request, whole: Response) -> Response:
    """Cut the answer to the range that the request asks for."""
    size = len(whole.body)
    headers = {"Accept-Ranges": "bytes", **whole.headers}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if not match:
        return whole.replace(headers=headers)
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        return Response(416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return whole.replace(status=206, body=whole.body[start:stop], headers=headers)
