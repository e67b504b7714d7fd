"""Signals to a server at work: answers are finished, and no visitor's picture stays on disk."""

from __future__ import annotations

import signal
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx

from hostile import Count
from hostile._served import PATIENCE, command, lesion, upload

CLIENTS = 8
ROUNDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def run() -> list[Count]:
    """Send each signal to a server of which eight visitors ask for a heatmap."""
    counts = []
    for number in ROUNDS:
        counts += _ended_by(number)
    return [*counts, _killed()]


def _ended_by(number: signal.Signals) -> list[Count]:
    with tempfile.TemporaryDirectory() as folder:
        uploads = Path(folder)
        with (
            command(uploads, "--grace", "300") as (address, server),
            ThreadPoolExecutor(CLIENTS) as pool,
        ):
            begun = threading.Barrier(CLIENTS + 1)
            asked = [pool.submit(_explain, address, seed, begun) for seed in range(CLIENTS)]
            begun.wait(timeout=PATIENCE)  # all are sent; some are under way, others wait
            server.send_signal(number)
            broken = sum(not _is_answered(each) for each in asked)
            status = server.wait(timeout=PATIENCE)
        left = [path for path in uploads.rglob("*") if path.is_file()]
    return [
        Count(f"answers broken off by {number.name}", CLIENTS, broken),
        Count(f"pictures left on disk by {number.name}", CLIENTS, len(left)),
        Count(f"exits by {number.name} with a status other than 0", 1, int(status != 0)),
    ]


def _explain(address: str, seed: int, begun: threading.Barrier) -> bool:
    options = ("mel", 0.5, "gradcam", "", False, False)
    with httpx.Client(base_url=address, timeout=PATIENCE) as http:
        picture, session = upload(http, lesion(seed)), f"visitor-{seed}"
        body = {"data": [picture, *options], "session_hash": session}
        sent = http.post("/gradio_api/call/explain", json=body).raise_for_status().json()
        begun.wait(timeout=PATIENCE)
        said = http.get(f"/gradio_api/call/explain/{sent['event_id']}").raise_for_status().text
    return said.strip().split("\n\n")[-1].startswith("event: complete")


def _is_answered(asked: Future[bool]) -> bool:
    try:
        return asked.result(timeout=PATIENCE)
    except httpx.HTTPError:
        return False


def _killed() -> Count:
    """Kill a server that holds an upload; the next one at the same place deletes it."""
    with tempfile.TemporaryDirectory() as folder:
        uploads = Path(folder)
        with command(uploads) as (address, server):
            with httpx.Client(base_url=address, timeout=PATIENCE) as http:
                path = Path(upload(http, lesion())["path"])
            server.kill()
            server.wait(timeout=PATIENCE)
            if not path.exists():
                raise RuntimeError("nothing was left, so there is nothing to sweep")
        with command(uploads):
            left = path.exists()
    return Count("pictures of a killed server after the next start", 1, int(left))
