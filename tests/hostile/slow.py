"""Clients that never finish their requests: they are sent away, and others are answered."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import httpx

from hostile import Count
from hostile._served import page

EACH = 100
HEAD = b"POST /api/v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"


def run() -> list[Count]:
    """Open half heads and half bodies, and count those still held when their time is over."""
    from dermsim.ui.connections import HEAD as HEAD_SECONDS
    from dermsim.ui.connections import PAUSE

    where = urlsplit(page())
    place = (where.hostname, where.port)
    heads = [_connect(place, HEAD) for _ in range(EACH)]
    bodies = [_connect(place, HEAD + FORM) for _ in range(EACH)]
    refused = sum(httpx.get(f"{page()}/api/health", timeout=60).status_code != 200 for _ in "12345")
    time.sleep(max(HEAD_SECONDS, PAUSE) + 10)
    counts = [
        Count("half heads still held", EACH, sum(map(_is_held, heads))),
        Count("half bodies still held", EACH, sum(map(_is_held, bodies))),
        Count("others not answered meanwhile", 5, refused),
    ]
    for connection in (*heads, *bodies):
        connection.close()
    return counts


def _connect(place: tuple[str | None, int | None], sent: bytes) -> socket.socket:
    connection = socket.create_connection(place, timeout=60)
    connection.sendall(sent)
    connection.setblocking(False)
    return connection


def _is_held(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):  # an answer, and then the end
            continue
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False
