"""The two HTTP servers: the Hub, and the storage that it sends clients on to."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import struct
import threading
import traceback
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from . import files, repositories, xet  # noqa: F401 they register their routes
from .exchange import Account, HubError, Request, Response
from .faults import Alter, CutShort, Effect, Fault, HangUp, LoseReply, Mangle, Refuse
from .routing import find
from .storage import Repository, Storage


@dataclass(frozen=True)
class Note:
    """One request that was seen, and the status it got; None when it got no answer."""

    host: str
    method: str
    target: str
    account: str | None
    status: int | None

    def __str__(self) -> str:
        return f"{self.host} {self.method} {self.target} -> {self.status}"


class LoopbackHub:
    """A Hub on 127.0.0.1. Use it as a context manager.

    Attributes:
        url: What ``HF_ENDPOINT`` is to be.
        storage_url: Where large files are sent to and fetched from: another origin, as it is with
            the real Hub, where the token must not follow.
        storage: What the Hub remembers.
        requests: All requests so far.
        unknown: Those among them that no endpoint answers. A test ends with none.
        crashes: Where an endpoint itself went wrong. A test ends with none.
        page_size: Entries of a tree per page.
        part_size: Bytes above which an upload comes in parts.
        xet_tokens: What the storage accepts from clients that use Xet.
        announced: Length and checksum of the xorbs that such clients are about to send.
    """

    def __init__(self, root: Path, *, page_size: int = 1000, part_size: int = 5 * 2**20) -> None:
        self.storage = Storage(root)
        self.page_size, self.part_size = page_size, part_size
        self.requests: list[Note] = []
        self.unknown: list[Note] = []
        self.crashes: list[str] = []
        self.xet_tokens: set[str] = set()
        self.announced: dict[str, tuple[int, int]] = {}
        self._accounts: dict[str, Account] = {}
        self._faults: list[Fault] = []
        self._servers = [_Server(self, "hub"), _Server(self, "storage")]
        self.url, self.storage_url = (server.url for server in self._servers)

    def __enter__(self) -> LoopbackHub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """Forget everything: repositories, accounts, requests and faults.

        Only xorbs stay: clients remember which of them they sent, and do not send them again.
        """
        for place in ("arriving", "blobs", "lfs", "repos"):
            shutil.rmtree(self.storage.root / place, ignore_errors=True)
        self._accounts.clear()
        self.xet_tokens.clear()
        self._faults.clear()
        self.requests.clear()
        self.unknown.clear()
        self.crashes.clear()

    def add_account(self, name: str, **rights: Any) -> str:
        """Make a user, or another token of one, and return the token.

        Args:
            name: The user.
            rights: As of `Account`: role, permissions, organizations.
        """
        token = f"hf_{secrets.token_hex(17)}"
        self._accounts[token] = Account(name, **rights)
        return token

    def account(self, token: str) -> Account:
        """Return whom a token belongs to, or refuse it."""
        if token not in self._accounts:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self._accounts[token]

    def repository(self, name: str, *, kind: str = "models") -> Repository:
        """Return a repository as it is on disk; there must be one."""
        found = self.storage.repository(kind, name)
        assert found is not None, f"there is no {kind[:-1]} {name}"
        return found

    def publish(
        self, name: str, folder: Path, *, kind: str = "models", private: bool = False
    ) -> str:
        """Commit a folder to main without a client, and return the commit: for tests of loading.

        Args:
            name: Owner and name; the repository is made when it is not there.
            folder: What to commit; files of other commits that it lacks are gone.
            kind: "models", "datasets" or "spaces".
            private: Whether a new repository is private.
        """
        settings = {"private": private, "gated": False}
        found = self.storage.repository(kind, name)
        repository = found or self.storage.create(kind, name, settings=settings)
        kept = {".gitattributes": repository.head.files[".gitattributes"]}
        kept |= {
            path.relative_to(folder).as_posix(): self.storage.put_file(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        made = repository.add_commit(
            repository.head, kept, title="Publish", message="", by=name.split("/")[0]
        )
        known = repository.refs
        known["heads"]["main"] = made.oid
        repository.write_refs(known)
        return made.oid

    def inject(self, *faults: Fault) -> None:
        """Arm faults; the first that fits a request befalls it."""
        self._faults.extend(faults)

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def effect(self, request: Request) -> Effect | None:
        """Return what goes wrong with this request, if anything."""
        return next((f.effect for f in list(self._faults) if f.befalls(request)), None)

    def seen(self, method: str, path: str) -> list[Note]:
        """Return the requests of a method whose target matches a regular expression."""
        return [n for n in self.requests if n.method == method and re.search(path, n.target)]

    def note(self, request: Request, status: int | None, *, known: bool = True) -> None:
        """Remember a request."""
        name = request.account.name if request.account else None
        seen = Note(request.host, request.method, request.target, name, status)
        self.requests.append(seen)
        if not known:
            self.unknown.append(seen)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: LoopbackHub, host: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub, self.host = hub, host
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away, which tests make them do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for headers and body, not two
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `LoopbackHub.requests` remembers."""

    def _serve(self) -> None:
        hub = self.server.hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.server.host, hub.url, self.command, self.path, headers)
        effect = hub.effect(request)
        if isinstance(effect, HangUp):
            self.rfile.read(int(int(headers.get("content-length", 0)) * effect.after))
            hub.note(request, None)
            self._close(reset=True)
            return
        request = replace(request, body=self._body(headers))
        if isinstance(effect, Mangle):
            request = replace(request, body=effect.change(request.body))
        if isinstance(effect, Refuse):
            answer = effect.answer()
            hub.note(request, answer.status)
        else:
            answer = self._answer(request)
        if isinstance(effect, Alter):
            answer = effect.change(answer)
        if isinstance(effect, LoseReply):
            self._close()
        else:
            self._send(answer, effect if isinstance(effect, CutShort) else None)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 http.server's names

    def _answer(self, request: Request) -> Response:
        hub = self.server.hub
        endpoint = find(request.host, request.method, request.path)
        try:
            request = replace(request, account=self._account(request))
            if endpoint is None:
                raise HubError(404, f"No such endpoint: {request.method} {request.path}")
            function, parts = endpoint
            answer = function(hub, request, *parts)
        except HubError as error:
            answer = error.response()
        except Exception:  # the server's own mistake, which no client's retry shall hide
            hub.crashes.append(traceback.format_exc())
            answer = HubError(500, "The loopback Hub failed.").response()
        hub.note(request, answer.status, known=endpoint is not None)
        return answer

    def _account(self, request: Request) -> Account | None:
        authorization = request.headers.get("authorization")
        if authorization is None:
            return None
        if request.host == "storage" and request.path.startswith(("/v1/", "/v2/")):
            return None  # Xet has tokens of its own
        if request.host == "storage":
            raise HubError(400, "Only one auth mechanism allowed: the address is signed already.")
        return self.server.hub.account(authorization.removeprefix("Bearer "))

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, answer: Response, cut: CutShort | None) -> None:
        chunked = answer.headers.get("Transfer-Encoding") == "chunked"
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not chunked and "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer.body, cut, chunked=chunked)
        if cut:
            self._close(reset=cut.reset)

    def _send_body(self, body: bytes, cut: CutShort | None, *, chunked: bool) -> None:
        kept = body if cut is None else body[: int(len(body) * cut.after)]
        if chunked:
            kept = b"%x\r\n%s\r\n" % (len(body), kept) + (b"" if cut else b"0\r\n\r\n")
        self.wfile.write(kept)
        self.wfile.flush()

    def _close(self, *, reset: bool = False) -> None:
        self.close_connection = True
        if reset:  # closing without lingering sends a reset in place of an orderly end
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            os.close(self.connection.detach())
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
