"""What a server may say of its visitors: sizes and times, and where the program failed.

No line holds a name, a path of a file, an address, a value that was asked for or the words of an
error: all of them may come from a visitor. For the page's server and for REST's alike.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ACCESS = logging.getLogger("dermsim.access")
"""A line for each request, at level INFO."""

ERRORS = logging.getLogger("dermsim.errors")
"""A line for each mistake of the program, at level ERROR."""

_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",  # it must not phone home
    # nor make a table of its last 10,000 calls after each call, which takes it 20 ms
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads of torch and FAISS must not spin
}

_OTHERS = ("uvicorn.error", "uvicorn.asgi", "asyncio", "gradio", "gradio.route_utils", "starlette")
"""Loggers of libraries that tell errors with their words."""


def quieten() -> None:
    """Set what a server's libraries read from the environment, once, when they are imported.

    What the environment says already is left as it is.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


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


def note_error(error: BaseException) -> None:
    """Write of a mistake of the program: its kind and where it was made, not its words."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:]]
    ERRORS.error("%s at %s", type(error).__name__, " > ".join(places) or "an unknown place")


class Discreet(logging.Filter):
    """Leaves of an error that another library logs its kind and place only."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the words out of a record that tells of an error."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            note_error(error)
            return False
        if record.levelno >= logging.WARNING and record.args:
            # the pattern is the library's, what stands in it is the visitor's
            record.msg, record.args = str(record.msg), ()
        return True


def be_discreet() -> None:
    """Have the libraries of a server tell no more of errors than `note_error` does."""
    # what an assistant sent is in the words of all its records
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)
    for name in _OTHERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Discreet) for known in logger.filters):
            logger.addFilter(Discreet())


class Discretion:
    """Stands in for the module `traceback` where a library prints what went wrong."""

    def __getattr__(self, name: str) -> Any:
        """Everything else is the module's."""
        return getattr(traceback, name)

    @staticmethod
    def print_exc(*ignored: Any, **options: Any) -> None:
        """Write of the error being handled as `note_error` does."""
        if (error := sys.exc_info()[1]) is not None:
            note_error(error)


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


def show_access() -> None:
    """Write the lines of `AccessLog` to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    ACCESS.addHandler(handler)
    ACCESS.setLevel(logging.INFO)
    ACCESS.propagate = False


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
