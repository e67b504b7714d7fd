"""What is too large or too much is refused before it costs anything, and nothing goes to disk."""

import io
import json
import logging
import threading

import pytest
from PIL import Image
from problems import problem, small
from refusals import refuses

from dermsim.serve.errors import BusyError
from dermsim.serve.limits import Limits, Workers


def test_a_declared_length_is_refused_before_a_byte_is_read(open_client, engine):
    client = open_client(engine, request_bytes=1000)
    kind = {"content-type": "multipart/form-data; boundary=x", "content-length": "1001"}
    answer = client.post("/api/v1/predict", content=b"x" * 1001, headers=kind)
    problem(answer, 413, "more than the 1,000 bytes accepted")


def test_a_body_of_no_declared_length_is_refused_while_it_comes(engine, lesion):
    """Over ASGI, where it can be seen how much was asked for."""
    import anyio

    from dermsim.serve import Desk, build_rest

    app = build_rest(Desk(lambda: engine, limits=Limits(request_bytes=10_000)))
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    asked, sent = [], []

    async def receive():
        asked.append(1)
        body = part if len(asked) == 1 else b"\0" * 1000
        return {"type": "http.request", "body": body, "more_body": True}  # for ever

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }
    anyio.run(app, scope, receive, send)
    assert sent[0]["status"] == 413
    assert len(asked) <= 12
    assert "10,000 bytes" in json.loads(sent[1]["body"])["detail"]


def test_a_client_that_leaves_in_the_middle_harms_nobody(engine, client, lesion, caplog):
    import anyio

    from dermsim.serve import Desk, build_rest

    messages = [
        {"type": "http.request", "body": b"--x\r\n", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
    }
    app = build_rest(Desk(lambda: engine, limits=Limits()))
    with caplog.at_level(logging.WARNING):
        anyio.run(app, scope, receive, send)
    assert not messages and not caplog.records


def test_all_bodies_together_are_bounded(open_client, engine, lesion):
    client = open_client(engine, held_bytes=len(lesion))
    answer = client.post("/api/v1/predict", files={"images": lesion})
    problem(answer, 503, "Too many pictures are being sent")
    assert int(answer.headers["retry-after"]) > 0
    # what was refused is not counted any more
    small_enough = client.post("/api/v1/predict", files={"images": b"x"})
    assert small_enough.status_code == 422


def test_too_many_pictures_are_refused(open_client, engine, lesion):
    client = open_client(engine, pictures=2)
    answer = client.post("/api/v1/predict", files=[("images", lesion)] * 3)
    problem(answer, 413, "3 pictures came, and 2 are accepted at once")


def test_too_large_a_bank_is_refused(open_client, engine, lesion):
    client = open_client(engine, bank_bytes=10)
    answer = client.post("/api/v1/predict", files={"images": lesion, "bank": b"x" * 11})
    problem(answer, 413, "The bank has more than the 10 bytes accepted")


def test_pixels_are_counted_over_all_pictures(open_client, engine):
    client = open_client(engine, pixels=10_000)
    one = [("images", small(100, 100))]
    assert client.post("/api/v1/embed", files=one).status_code == 200
    problem(client.post("/api/v1/embed", files=one * 2), 422, "more than 10,000 pixels together")
    large = [("images", small(101, 100))]
    problem(client.post("/api/v1/embed", files=large), 422, "Picture 1 is 101 x 100 pixels")


@pytest.mark.parametrize("values", [{"pictures": 0}, {"waiting": -1}, {"pixels": 1.5}])
def test_limits_under_which_nothing_can_be_asked_are_refused(values):
    with refuses("limits.positive", name=next(iter(values))):
        Limits(**values)


def test_too_much_work_is_refused_and_then_accepted_again():
    import anyio

    gate, begun = threading.Event(), threading.Event()
    workers = Workers(Limits(threads=1, waiting=1))

    def slow():
        begun.set()
        assert gate.wait(30)
        return "done"

    async def main():
        answers = []

        async def ask():
            answers.append(await workers.run(slow))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await anyio.to_thread.run_sync(begun.wait)
            with refuses("limits.busy", BusyError):
                await workers.run(slow)
            gate.set()
        return [*answers, await workers.run(slow)]

    assert anyio.run(main) == ["done"] * 3


def test_nothing_is_written_to_disk(client, monkeypatch):
    """A picture of more than the megabyte that Starlette would keep in memory."""
    import tempfile

    stream = io.BytesIO()
    Image.effect_noise((1300, 1000), 100).convert("RGB").save(stream, "PNG")
    assert len(stream.getvalue()) > 2**20
    made = []
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *v, **o: made.append(v))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda *v, **o: made.append(v))
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *v, **o: made.append(v))
    files = {"images": stream.getvalue()}
    answer = client.post("/api/v1/enroll", files=files, data={"name": "clover"})
    assert answer.status_code == 200
    assert not made
