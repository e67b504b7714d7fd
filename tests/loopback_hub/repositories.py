"""Accounts and repositories: who asks, what there is, and how it is described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from .descriptions import describe, last_commit, walk
from .exchange import HubError, Request, Response, reply, unquoted
from .routing import REPO, route
from .storage import Commit, Repository

if TYPE_CHECKING:
    from .server import LoopbackHub

KIND_OF_TYPE = {None: "models", "model": "models", "dataset": "datasets", "space": "spaces"}
PREFIX = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}


def readable(hub: LoopbackHub, request: Request, kind: str, name: str) -> Repository:
    """Return a repository that this request may see.

    Raises:
        HubError: If it may not; whether there is one, the Hub then keeps to itself.
    """
    found = hub.storage.repository(kind, name)
    who = request.account
    if found is not None:
        private = found.settings["private"]
        if not private or (who is not None and who.may_read(name.split("/")[0])):
            return found
    if who is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="Authentication required"'}
        raise HubError(401, "Invalid username or password.", headers=challenge)
    raise HubError(404, "Repository not found", "RepoNotFound")


def writable(hub: LoopbackHub, request: Request, kind: str, name: str) -> Repository:
    """Return a repository that this request may change, or refuse."""
    found = readable(hub, request, kind, name)
    if request.account is None:
        raise HubError(401, "Invalid username or password.")
    if not request.account.may_write(name.split("/")[0]):
        raise HubError(403, "Forbidden: you must use a write token to upload to a repository.")
    return found


def at(repository: Repository, revision: str) -> Commit:
    """Return the commit that a revision names, or say that there is none."""
    commit = repository.resolve(revision)
    if commit is None:
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    return commit


@route("GET", "/api/whoami-v2")
def whoami(hub: LoopbackHub, request: Request) -> Response:
    """Say whose token this is and what it may do."""
    who = request.account
    if who is None:
        raise HubError(401, "Invalid username or password.")
    token: dict[str, Any] = {"displayName": "test", "role": who.role}
    if who.role == "fineGrained":
        entity = {"type": "user", "name": who.name, "_id": "0" * 24}
        scope = {"entity": entity, "permissions": list(who.permissions)}
        token["fineGrained"] = {"canReadGatedRepos": False, "global": [], "scoped": [scope]}
    organizations = [{"type": "org", "name": name} for name in who.organizations]
    return reply(
        {
            "type": "user",
            "id": "0" * 24,
            "name": who.name,
            "fullname": who.name.title(),
            "isPro": False,
            "orgs": organizations,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


@route("GET", "/api/agent-harnesses")
def agent_harnesses(hub: LoopbackHub, request: Request) -> Response:
    """List the programs that the client would name in its user agent: none."""
    return reply({"standardEnvVars": [], "harnesses": {}})


@route("POST", "/api/repos/create")
def create(hub: LoopbackHub, request: Request) -> Response:
    """Make a repository."""
    asked = request.json()
    if request.account is None:
        raise HubError(401, "Invalid username or password.")
    kind = KIND_OF_TYPE[asked.pop("type", None)]
    namespace = asked.pop("organization", None) or request.account.name
    name = f"{namespace}/{asked.pop('name')}"
    if not request.account.may_write(namespace):
        what = (
            f'You don\'t have the rights to create a {kind[:-1]} under the namespace "{namespace}"'
        )
        raise HubError(403, what)
    url = f"{request.base}/{PREFIX[kind]}{name}"
    private = asked.pop("visibility", "public") == "private" or asked.pop("private", False)
    with hub.storage.lock:
        if hub.storage.repository(kind, name):
            answer = {"error": f"You already created this {kind[:-1]} repo", "url": url}
            return reply(answer, status=409, headers={"X-Error-Message": answer["error"]})
        hub.storage.create(kind, name, settings={"private": private, "gated": False, **asked})
    return reply({"url": url, "name": name, "id": "0" * 24})


@route("DELETE", "/api/repos/delete")
def delete(hub: LoopbackHub, request: Request) -> Response:
    """Delete a repository."""
    asked = request.json()
    namespace = asked.get("organization") or (request.account.name if request.account else "")
    kind = KIND_OF_TYPE[asked.get("type")]
    writable(hub, request, kind, f"{namespace}/{asked['name']}").delete()
    return reply({})


@route("PUT", f"/api/{REPO}/settings")
def settings(hub: LoopbackHub, request: Request, kind: str, name: str) -> Response:
    """Make a repository private, public or gated."""
    repository = writable(hub, request, kind, name)
    asked = request.json()
    if "visibility" in asked:
        asked["private"] = asked.pop("visibility") == "private"
    repository.update_settings(**asked)
    return reply(asked)


@route("GET", f"/api/{REPO}/auth-check(/write)?")
def auth_check(
    hub: LoopbackHub, request: Request, kind: str, name: str, write: str | None
) -> Response:
    """Say whether a repository can be read, or written."""
    (writable if write else readable)(hub, request, kind, name)
    return Response(200)


@route("GET", "/api/(models|datasets|spaces)")
def listing(hub: LoopbackHub, request: Request, kind: str) -> Response:
    """List the repositories that this request may see."""
    found = []
    for repository in hub.storage.repositories(kind):
        owner = repository.name.split("/")[0]
        hidden = repository.settings["private"] and not (
            request.account and request.account.may_read(owner)
        )
        wanted = request.query.get("author", owner) == owner
        if wanted and not hidden and request.query.get("search", "") in repository.name:
            found.append(describe(repository, repository.head))
    return reply(found)


@route("GET", f"/api/{REPO}(?:/revision/([^/]+))?")
def info(
    hub: LoopbackHub, request: Request, kind: str, name: str, revision: str | None
) -> Response:
    """Describe a repository at a revision."""
    repository = readable(hub, request, kind, name)
    commit = at(repository, *unquoted(revision or "main"))
    return reply(describe(repository, commit, blobs=request.flag("blobs")))


@route("GET", f"/api/{REPO}/tree/([^/]+)(?:/(.+))?")
def tree(
    hub: LoopbackHub, request: Request, kind: str, name: str, revision: str, folder: str | None
) -> Response:
    """List a folder, a page at a time."""
    revision, folder = unquoted(revision, folder)
    commit = at(readable(hub, request, kind, name), revision)
    found = list(walk(commit, folder.strip("/"), recursive=request.flag("recursive")))
    if folder and not found:
        raise HubError(404, f"{folder} does not exist on {revision!r}", "EntryNotFound")
    if request.flag("expand"):
        found = [{**item, "lastCommit": last_commit(commit)} for item in found]
    start = int(request.query.get("cursor", 0))
    page, headers = found[start : start + hub.page_size], {}
    if start + hub.page_size < len(found):
        flags = "".join(f"&{k}={request.query.get(k, 'false')}" for k in ("recursive", "expand"))
        address = f"{request.base}{request.path}?cursor={start + hub.page_size}{flags}"
        headers["Link"] = f'<{address}>; rel="next"'
    return reply(page, headers=headers)


@route("POST", f"/api/{REPO}/paths-info/([^/]+)")
def paths_info(hub: LoopbackHub, request: Request, kind: str, name: str, revision: str) -> Response:
    """Describe some paths; those that are not there are left out."""
    commit = at(readable(hub, request, kind, name), *unquoted(revision))
    asked = parse_qs(request.body.decode())
    expand = asked.get("expand", ["false"])[0].lower() == "true"
    found = {item["path"]: item for item in walk(commit, "", recursive=True)}
    items = [found[path] for path in asked.get("paths", []) if path in found]
    if expand:
        items = [{**item, "lastCommit": last_commit(commit)} for item in items]
    return reply(items)


@route("GET", f"/api/{REPO}/refs")
def refs(hub: LoopbackHub, request: Request, kind: str, name: str) -> Response:
    """List branches, tags and, when asked for, pull requests."""
    known = readable(hub, request, kind, name).refs

    def described(group: str, place: str) -> list[dict[str, str]]:
        return [
            {"name": short, "ref": f"refs/{place}/{short}", "targetCommit": oid}
            for short, oid in known[group].items()
        ]

    values = {"branches": described("heads", "heads"), "tags": described("tags", "tags")}
    if request.flag("include_prs"):
        values["pullRequests"] = described("pr", "pr")
    return reply({**values, "converts": []})


@route("GET", f"/api/{REPO}/commits/([^/]+)")
def commits(hub: LoopbackHub, request: Request, kind: str, name: str, revision: str) -> Response:
    """List the commits of a revision, newest first."""
    repository = readable(hub, request, kind, name)
    return reply(
        [
            {
                "id": commit.oid,
                "title": commit.title,
                "message": commit.message,
                "authors": [{"user": commit.author}],
                "date": commit.date,
            }
            for commit in repository.history(at(repository, *unquoted(revision)))
        ]
    )


@route("POST", f"/api/{REPO}/(branch|tag)/([^/]+)")
def add_ref(
    hub: LoopbackHub, request: Request, kind: str, name: str, what: str, label: str
) -> Response:
    """Make a branch, or a tag of the revision in the path."""
    repository = writable(hub, request, kind, name)
    asked = request.json()
    (label,) = unquoted(label)
    group, short, revision = ("heads", label, asked.get("startingPoint", "main"))
    if what == "tag":
        group, short, revision = "tags", asked["tag"], label
    with hub.storage.lock:
        known = repository.refs
        if short in known[group]:
            raise HubError(409, f"Reference already exists: {short}")
        known[group][short] = at(repository, revision).oid
        repository.write_refs(known)
    return reply({})


@route("DELETE", f"/api/{REPO}/(branch|tag)/([^/]+)")
def remove_ref(
    hub: LoopbackHub, request: Request, kind: str, name: str, what: str, label: str
) -> Response:
    """Delete a branch or a tag."""
    repository = writable(hub, request, kind, name)
    (label,) = unquoted(label)
    with hub.storage.lock:
        known = repository.refs
        if label == "main" and what == "branch":
            raise HubError(403, "The main branch cannot be deleted.")
        if known["heads" if what == "branch" else "tags"].pop(label, None) is None:
            raise HubError(404, f"Reference does not exist: {quote(label)}", "RevisionNotFound")
        repository.write_refs(known)
    return reply({})
