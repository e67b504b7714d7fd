"""Starts the app as a user would, asks it about a drawn lesion, prints the answer, stops it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120
"""Seconds the page may take to answer."""


def main() -> None:
    """Print the app's answer and how long the page took."""
    from dermsim.core.labels import CODES
    from dermsim.data.synthetic import draw_lesion

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "lesion.png"
        draw_lesion("mel", seed=1).save(picture)
        app = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=ROOT)
        try:
            wait_for_page(url, app)
            ready = time.monotonic() - started
            answer = ask(url, picture)
        finally:
            app.terminate()
            app.wait(timeout=30)
    assert answer["label_name"] in CODES, answer
    print(json.dumps(answer, indent=2))
    print(f"page after {ready:.1f} s, first prediction after {time.monotonic() - started:.1f} s")


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_page(url: str, app: subprocess.Popen[bytes]) -> None:
    """Return once the page answers.

    Raises:
        RuntimeError: If the app stopped.
        TimeoutError: If it does not answer within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if app.poll() is not None:
            raise RuntimeError(f"the app stopped with status {app.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise TimeoutError(f"the app did not answer at {url} within {PATIENCE} s")


def ask(url: str, picture: Path) -> dict[str, Any]:
    """Return the prediction for one picture, through the app's own API."""
    from gradio_client import Client, handle_file

    return Client(url, verbose=False).predict(handle_file(str(picture)), api_name="/classify")


if __name__ == "__main__":
    main()
