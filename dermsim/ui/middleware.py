"""ASGI middleware: a line for each request, HEAD, limits on what is sent and fetched."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from dermsim.core.discretion import ACCESS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class AccessLog:
    """ASGI middleware that writes a line for each request when it is over.

    A line has the method, the route's pattern, the status, the bytes sent and the milliseconds
    taken: ``GET /gradio_api/file={path_or_url:path} 200 5123 B 4 ms``.
    """

    def __init__(self, app: App) -> None:
        """Write of the requests to an ASGI application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, size = time.perf_counter(), 500, 0

        async def count(message: MutableMapping[str, Any]) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, count)
        finally:
            ACCESS.info(
                "%s %s %d %d B %.0f ms",
                scope["method"] if scope["method"] in _METHODS else "?",
                route_of(scope),
                status,
                size,
                1000 * (time.perf_counter() - started),
            )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Scope) -> str:
    """Return the pattern of the route that a request took, or a dash if it took none."""
    return str(getattr(scope.get("route"), "path", "-"))


class HeadRequests:
    """ASGI middleware that answers HEAD wherever GET is answered (RFC 9110, section 9.3.2).

    Monitors and load balancers ask so. The answer's status and headers are those of GET; its body,
    which may be a stream without an end, is left out.
    """

    def __init__(self, app: App) -> None:
        """Answer for an ASGI application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, HEAD as it does GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        begun = False

        async def without_body(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                await send(message)
            elif not begun:
                begun = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        asked = {**scope, "method": "GET"}  # the server itself must go on knowing that it is HEAD
        try:
            await self.app(asked, receive, without_body)
        finally:
            if "route" in asked:  # for the line in the log
                scope["route"] = asked["route"]


UPLOADS = "/gradio_api/upload"
"""Where Gradio takes files."""


class UploadLimits:
    """ASGI middleware that refuses uploads larger than a server takes, before they are stored.

    Gradio itself limits each file, and a request to 1,000 of them.
    """

    def __init__(
        self,
        app: App,
        *,
        most: int,
        admit: Callable[[int], bool],
        receiving: Callable[[], AbstractContextManager[None]] = nullcontext,
        path: str = UPLOADS,
    ) -> None:
        """Limit what is uploaded to an ASGI application.

        Args:
            app: The application.
            most: Bytes of one request.
            admit: Bytes of one request -> whether there is room for them, over all visitors.
            receiving: () -> what is entered for as long as a request is being stored.
            path: Where uploads are sent to.
        """
        self.app, self.most, self.admit, self.path = app, most, admit, path
        self.receiving = receiving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or with 411, 413 or 503 and a sentence."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or scope["path"].rstrip("/") != self.path
        ):
            await self.app(scope, receive, send)
            return
        length = await _admissible(scope, send, self.most)
        if length is None:
            return
        if not self.admit(length):
            await _refuse(send, 503, "Many visitors are uploading: try again in a minute.")
        else:
            with self.receiving():
                await self.app(scope, receive, send)


class CallLimits:
    """ASGI middleware that refuses calls larger than any page makes, before they are read.

    Gradio reads the JSON of a call into memory whatever its size.
    """

    def __init__(
        self, app: App, *, most: int, paths: tuple[str, ...] = ("/gradio_api/", "/login")
    ) -> None:
        """Limit what is sent to an ASGI application.

        Args:
            app: The application.
            most: Bytes of one request.
            paths: What the addresses begin with; that of uploads is left to `UploadLimits`.
        """
        self.app, self.most, self.paths = app, most, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or with 411 or 413 and a sentence."""
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"].startswith(self.paths)
            and scope["path"].rstrip("/") != UPLOADS
            and {name for name, _ in scope["headers"]} & {b"content-length", b"transfer-encoding"}
            and await _admissible(scope, send, self.most) is None
        ):
            return
        await self.app(scope, receive, send)


class ServedFolder:
    """ASGI middleware that hands out files of one folder only, whatever the application would.

    Gradio checks the same; this is a second lock on the same door.
    """

    def __init__(
        self,
        app: App,
        *,
        folder: Path,
        paths: tuple[str, ...] = ("/gradio_api/file=", "/gradio_api/file/"),
        closed: tuple[str, ...] = ("/gradio_api/proxy=", "/gradio_api/component_server"),
    ) -> None:
        """Limit the files that an ASGI application hands out.

        Args:
            app: The application.
            folder: The folder.
            paths: What URLs of files begin with, before the file's path.
            closed: What URLs begin with that are never answered: those that have the server fetch
                something elsewhere, or take uploads without `UploadLimits`.
        """
        self.app, self.folder, self.paths, self.closed = app, folder.resolve(), paths, closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or with 403."""
        if scope["type"] == "http" and not self._is_served(scope["path"]):
            await _refuse(send, 403, "This file is not served here.")
            return
        await self.app(scope, receive, send)

    def _is_served(self, path: str) -> bool:
        if path.startswith(self.closed):
            return False
        for start in self.paths:
            if path.startswith(start):
                try:
                    asked = Path("/", path.removeprefix(start)).resolve()
                except (OSError, RuntimeError, ValueError):  # a loop of links, a zero byte
                    return False
                return asked.is_relative_to(self.folder)
        return True


async def _admissible(scope: Scope, send: Send, most: int) -> int | None:
    """Return how many bytes a request announces, or refuse it and return None."""
    length = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
    if not length.isdecimal():
        await _refuse(send, 411, "Say how long the request is: send a Content-Length.")
    elif int(length) > most:
        megabytes = f"{most / 1e6:.0f} MB"
        await _refuse(send, 413, f"No more than {megabytes} are taken at a time: send less.")
    else:
        return int(length)
    return None


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    if status == 503:
        headers.append((b"retry-after", b"60"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
