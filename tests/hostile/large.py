"""Many pictures of 49 megapixels with opacity at once: all answered, in bounded memory."""

from __future__ import annotations

import functools
import io
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from PIL import Image

from hostile import Count
from hostile._served import PATIENCE, call, command, lesion, upload

TOGETHER = 16
SIDE = 7000
ABOVE_IDLE = 1.5e9
"""Bytes that the server may take beyond what it holds when nobody asks."""


def run() -> list[Count]:
    """Send `TOGETHER` pictures at once, to REST and to the page, and watch the server's memory."""
    counts = []
    for where, ask in (("REST", _ask_rest), ("the page", _ask_page)):
        with (
            tempfile.TemporaryDirectory() as uploads,
            command(Path(uploads)) as (address, server),
            httpx.Client(base_url=address, timeout=PATIENCE) as http,
        ):
            ask(http, lesion())  # until the checkpoint is loaded
            failed, samples, idle = _send(functools.partial(ask, http), server.pid)
        above = [max(0, sample - idle) for sample in samples]
        print(f"{where}: at most {max(above) / 1e6:.0f} MB above idle", file=sys.stderr)
        counts += [
            Count(f"large pictures that {where} did not answer", TOGETHER, failed),
            Count(
                f"moments of more than {ABOVE_IDLE / 1e9:g} GB above idle, {where}",
                len(above),
                sum(each > ABOVE_IDLE for each in above),
            ),
        ]
    return counts


def _send(ask: Callable[[bytes], bool], process: int) -> tuple[int, list[int], int]:
    """Return how many were not answered, the memory from time to time, and that before."""
    picture, idle = _large(), _resident(process)
    samples, over = [], threading.Event()

    def watch() -> None:
        while not over.is_set():
            samples.append(_resident(process))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(TOGETHER) as clients:
            answered = list(clients.map(ask, [picture] * TOGETHER))
    finally:
        over.set()
        watcher.join()
    return answered.count(False), samples, idle


def _ask_rest(http: httpx.Client, picture: bytes) -> bool:
    answer = http.post("/api/v1/predict", files={"images": ("lesion.png", picture)})
    return answer.status_code == 200


def _ask_page(http: httpx.Client, picture: bytes) -> bool:
    event, _ = call(http, "classify", upload(http, picture), "balanced")
    return event == "complete"


@functools.cache
def _large() -> bytes:
    """Return a drawn lesion of 49 megapixels, as the bytes of a PNG with opacity."""
    with Image.open(io.BytesIO(lesion(size=(700, 700)))) as small:
        large = small.resize((SIDE, SIDE), Image.Resampling.NEAREST)
    large.putalpha(255)
    stream = io.BytesIO()
    large.save(stream, "PNG")
    return stream.getvalue()


def _resident(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096
