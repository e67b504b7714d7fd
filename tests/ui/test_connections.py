"""Connections that do not hurry, on a real server of uvicorn with short limits."""

import asyncio
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dermsim.ui import connections
from dermsim.ui.connections import BodyPace, PatientHttp, connection_limit, limit_connections


async def read(request):
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def port(monkeypatch, free_port):
    """The port of a server that waits half a second for heads and pieces."""
    monkeypatch.setattr(connections, "HEAD", 0.5)
    app = BodyPace(Starlette(routes=[Route("/", read, methods=["GET", "POST"])]), pause=0.5)
    config = uvicorn.Config(app, port=free_port, log_level="error", timeout_keep_alive=30)
    limit_connections(config)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield free_port
    server.should_exit = True
    thread.join(timeout=30)


def connect(port, sent):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(sent)
    return connection


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


def test_half_heads_are_dropped_and_half_bodies_answered(port):
    silent = [connect(port, b"") for _ in range(5)]
    heads = [connect(port, HEAD[:20]) for _ in range(20)]
    bodies = [connect(port, HEAD + b"ab") for _ in range(20)]
    assert httpx.post(f"http://127.0.0.1:{port}", content=b"abcd").text == "4"
    assert [connection.recv(9) for connection in (*silent, *heads)] == [b""] * 25
    for connection in bodies:
        assert connection.recv(99).startswith(b"HTTP/1.1 408")
        connection.close()


def test_a_second_head_on_one_connection_must_hurry_too(port):
    connection = connect(port, HEAD + b"abcd")
    assert connection.recv(999).startswith(b"HTTP/1.1 200")
    connection.sendall(HEAD[:20])
    rest = b""
    while part := connection.recv(999):
        rest += part
    assert b"HTTP" not in rest
    connection.close()


def drip(size, every, **limits):
    """Send a body of so many bytes, one a piece, by a clock that is turned by hand."""
    now, left, sent = [0.0], [size], []

    async def receive():
        now[0] += every
        left[0] -= 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": left[0] > 0}

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RuntimeError("the client left")
            if not message["more_body"]:
                await PlainTextResponse("whole")(scope, receive, send)
                return

    paced = BodyPace(app, clock=lambda: now[0], **limits)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(paced(scope, receive, send))
    return sent[0]["status"]


def test_a_body_that_trickles_is_dropped_and_a_slow_one_is_not():
    assert drip(100, 10.0, pause=20.0, pace=10_000) == 408
    assert drip(100, 0.1, pause=20.0, pace=10_000) == 200
    assert drip(500, 0.1, pause=20.0, pace=9_000) == 200


def test_there_are_fewer_connections_than_files_may_be_open(monkeypatch):
    resource = pytest.importorskip("resource")
    for soft, most in ((1024, 896), (100, 16), (10**6, 4096), (resource.RLIM_INFINITY, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, soft=soft: (soft, soft))
        assert connection_limit() == most
    config = uvicorn.Config(read)
    limit_connections(config)
    assert config.http is PatientHttp and config.limit_concurrency == 4096
