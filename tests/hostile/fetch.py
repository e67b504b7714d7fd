"""Addresses and paths of the server in a picture's place: nothing is fetched, nothing read."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from hostile import Count
from hostile._served import PATIENCE, call, file, lesion, page

AT_LEAST = 50

ENDPOINTS: dict[str, tuple[Any, ...]] = {
    "classify": ("balanced",),
    "explain": ("mel", 0.5, "gradcam", "", False, False),
    "compare": (),
    "report": ("en",),
}


@contextmanager
def canary() -> Iterator[tuple[int, list[str]]]:
    """Serve a picture on this machine, and note who asks for it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(lesion())

        do_HEAD = do_GET  # noqa: N815  (the library calls it so)

        def log_message(self, *ignored: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def addresses(port: int) -> list[str]:
    """Return the ways in which the canary is named."""
    hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "127.1", "0.0.0.0")
    return [f"http://{host}:{port}/lesion.png" for host in hosts] + [
        f"http://elsewhere.example@127.0.0.1:{port}/lesion.png",
        f"HTTP://127.0.0.1:{port}/lesion.png",
        f"//127.0.0.1:{port}/lesion.png",
        f"ftp://127.0.0.1:{port}/lesion.png",
    ]


PATHS = ("file:///etc/hostname", "/etc/hostname", "etc/hostname", "/proc/self/environ")
PATHS += ("../../../etc/hostname", "pyproject.toml", "/dev/zero", "a\0b")


def ways(named: str) -> Iterator[Any]:
    """Yield the shapes in which a program may give a name."""
    yield file(named)
    yield {"path": named}
    yield file(None, url=named)
    yield named


def run() -> list[Count]:
    """Ask every endpoint for every address and path; the list of public names lets ours pass."""
    from gradio import processing_utils

    processing_utils.PUBLIC_HOSTNAME_WHITELIST.extend(["127.0.0.1", "localhost"])
    fetched = read = unsaid = tried_addresses = tried_paths = 0
    with canary() as (port, asked), httpx.Client(base_url=page(), timeout=PATIENCE) as http:
        for endpoint, rest in ENDPOINTS.items():
            for named in addresses(port):
                for value in ways(named):
                    event, told = call(http, endpoint, value, *rest)
                    tried_addresses += 1
                    fetched += event != "error"
                    unsaid += not _is_sentence(told)
            for named in PATHS:
                for value in ways(named):
                    event, told = call(http, endpoint, value, *rest)
                    tried_paths += 1
                    read += event != "error"
                    unsaid += not _is_sentence(told)
        fetched += len(asked)
    return [
        Count("addresses given to endpoints, fetched", tried_addresses, fetched),
        Count("paths given to endpoints, read", tried_paths, read),
        Count("refusals of them without a sentence", tried_addresses + tried_paths, unsaid),
        _tools(),
    ]


def _is_sentence(told: Any) -> bool:
    words = told.get("error") if isinstance(told, dict) else None
    return isinstance(words, str) and words.endswith(".") and "wrong on the server" not in words


def _tools() -> Count:
    """Give the tools the same."""
    from dermsim.serve.tools import picture_bytes
    from dermsim.ui.uploads import upload_folder

    tried = through = 0
    with canary() as (port, asked):
        folder = upload_folder().path
        for named in (*addresses(port), *PATHS, f"{folder}/../x", f"{folder}/nothing.png"):
            tried += 1
            try:
                found = picture_bytes(named, uploads=folder)
            except ValueError:
                continue
            # some paths read as base64, and stand for what that says
            through += found != base64.b64decode(named)
        through += len(asked)
    return Count("addresses and paths given to tools", tried, through)
