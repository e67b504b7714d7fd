"""ASGI middleware of the page: a line for each request, HEAD, and limits on what is fetched."""

from __future__ import annotations

import time
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermsim.core.discretion import ACCESS
from dermsim.core.refused import Keyed, Phrase


class AccessLog:
    """ASGI middleware that writes a line for each request when it is over.

    A line has the method, the route's pattern, the status, the bytes sent and the milliseconds
    taken: ``GET /gradio_api/file={path_or_url:path} 200 5123 B 4 ms``.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Write of the requests to an ASGI application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, size = time.perf_counter(), 500, 0

        async def count(message: Message) -> None:
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

    def __init__(self, app: ASGIApp) -> None:
        """Answer for an ASGI application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, HEAD as it does GET."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        begun = False

        async def without_body(message: Message) -> None:
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


class ServedFolder:
    """ASGI middleware that hands out files of one folder only, whatever the application would.

    Gradio checks the same; this is a second lock on the same door.
    """

    def __init__(
        self,
        app: ASGIApp,
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
                something elsewhere, or take uploads that nothing limits.
        """
        self.app, self.folder, self.paths, self.closed = app, folder.resolve(), paths, closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does, or with 403."""
        if scope["type"] == "http" and not self._is_served(scope["path"]):
            await refusal(403, Phrase("middleware.not_served"))(scope, receive, send)
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


def refusal(status: int, sentence: Keyed | str) -> PlainTextResponse:
    """Return a response of one sentence, after which the connection is closed."""
    headers = {"connection": "close"}
    if status == 503:
        headers["retry-after"] = "60"
    return PlainTextResponse(str(sentence), status, headers)


def is_upload(scope: Scope) -> bool:
    """Say whether a request hands in files."""
    posted = scope["type"] == "http" and scope["method"] == "POST"
    return posted and scope["path"].rstrip("/") == UPLOADS


def is_call(scope: Scope) -> bool:
    """Say whether a request is sent by the page to Gradio; files are no call."""
    posted = scope["type"] == "http" and scope["method"] == "POST"
    return posted and scope["path"].startswith(("/gradio_api/", "/login")) and not is_upload(scope)
