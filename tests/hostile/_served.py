"""Pages to be attacked: in this process, or as the command in one of its own."""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-hostile-runs"
PATIENCE = 600.0


@functools.cache
def tiny_engine() -> Any:
    """Fit everything around random weights on drawn lesions, once."""
    from fuzz.__main__ import tiny_engine

    return tiny_engine()


@functools.cache
def tiny_checkpoint() -> Path:
    """Return the folder of the same as a checkpoint, which goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="dermsim-hostile-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tiny_engine().save_pretrained(folder / "tiny")
    return folder / "tiny"


@functools.cache
def page(token: str | None = None) -> str:
    """Serve the page with all that is beside it from this process; return its address."""
    from dermsim.serve.beside import beside_page, entrance
    from dermsim.ui.app import build_app, launch

    app = build_app(tiny_engine)
    server = beside_page(tiny_engine, token=token)
    return launch(app, port=None, server=server, entrance=entrance(token)).rstrip("/")


@contextmanager
def command(uploads: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start `python app.py` with a folder of uploads of its own, and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # a shell ignores signals for what it starts in the background, and the server would, too
    attentive = ["env", "--default-signal=HUP,INT,TERM"]
    app = [sys.executable, "app.py", "--model", str(tiny_checkpoint()), "--port", str(port)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(uploads), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [*attentive, *app, *options], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    try:
        while not _is_up(address):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.2)
        yield address, server
    finally:
        if server.poll() is None:
            server.kill()
        server.wait(timeout=60)


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def lesion(seed: int = 0, size: tuple[int, int] = (120, 90)) -> bytes:
    """Draw a lesion, as the bytes of a PNG."""
    from dermsim.data.synthetic import draw_lesion

    stream = io.BytesIO()
    draw_lesion("mel", seed=seed, size=size).save(stream, "PNG")
    return stream.getvalue()


def upload(http: httpx.Client, picture: bytes) -> dict[str, Any]:
    """Upload a picture, and return what an endpoint takes for it."""
    answer = http.post("/gradio_api/upload", files={"files": ("lesion.png", picture)})
    (path,) = answer.raise_for_status().json()
    return file(path)


def file(path: Any, **more: Any) -> dict[str, Any]:
    """Describe a file as Gradio does."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def call(
    http: httpx.Client, endpoint: str, *values: Any, session: str | None = None
) -> tuple[str, Any]:
    """Ask an endpoint; return what its last event is called, and its data."""
    body = {"data": list(values)} | ({"session_hash": session} if session else {})
    begun = http.post(f"/gradio_api/call/{endpoint}", json=body).raise_for_status().json()
    said = http.get(f"/gradio_api/call/{endpoint}/{begun['event_id']}").raise_for_status().text
    head, _, data = said.strip().split("\n\n")[-1].partition("\ndata: ")
    return head.removeprefix("event: "), json.loads(data or "null")
