import asyncio
import logging
import os
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from dermsim.core.discretion import (
    ACCESS,
    ERRORS,
    Discreet,
    Discretion,
    be_discreet,
    note_error,
    quieten,
    show_access,
)
from dermsim.ui.body_limit import BodyLimit
from dermsim.ui.middleware import (
    AccessLog,
    HeadRequests,
    ServedFolder,
    is_call,
    is_upload,
    refusal,
)

SECRET = "mrs-miller-left-arm"


def ask(app, method="GET", path="/", headers=(), kind="http", route=None):
    """Send one request to an application; return the status and the body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path, "headers": list(headers)}
    if route:
        scope["route"] = SimpleNamespace(path=route)
    asyncio.run(app(scope, receive, send))
    if not sent:
        return None
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


async def hello(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        await send({"type": "http.response.body", "body": b"lo"})


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger=ACCESS.name)
    assert ERRORS.isEnabledFor(logging.ERROR)
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_line_has_sizes_and_times_and_no_names(lines):
    path = f"/gradio_api/file=/tmp/{SECRET}.png"
    headers = [(b"x-forwarded-for", b"203.0.113.7"), (b"user-agent", SECRET.encode())]
    answer = ask(AccessLog(hello), path=path, headers=headers, route="/gradio_api/file={p:path}")
    assert answer == (200, b"hello")
    (line,) = lines()
    assert line.startswith("GET /gradio_api/file={p:path} 200 5 B ")
    assert line.endswith(" ms")
    assert SECRET not in line and "203.0.113.7" not in line


def test_a_request_without_a_route_or_of_an_odd_method_says_nothing_of_itself(lines):
    ask(AccessLog(hello), method=SECRET, path=f"/{SECRET}")
    assert lines()[0].startswith("? - 200 5 B")


def test_a_request_that_fails_is_a_500_in_the_log_and_goes_on_failing(lines):
    async def broken(scope, receive, send):
        raise ValueError(SECRET)

    with pytest.raises(ValueError, match=SECRET):
        ask(AccessLog(broken), route="/classify")
    assert lines()[0].startswith("GET /classify 500 0 B")


def test_what_is_no_request_is_not_logged(lines):
    assert ask(AccessLog(hello), kind="lifespan") is None
    assert lines() == []


def test_lines_are_shown_when_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(ACCESS, "handlers", [])
    monkeypatch.setattr(ACCESS, "propagate", True)
    level = ACCESS.level
    try:
        show_access()
        ask(AccessLog(hello), route="/")
    finally:
        ACCESS.setLevel(level)
    assert " GET / 200 5 B " in capsys.readouterr().err


def fail():
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise RuntimeError(f"cannot read {SECRET}") from error


def test_of_an_error_the_kind_and_the_place_are_told(lines):
    try:
        fail()
    except RuntimeError as error:
        note_error(error)
    (line,) = lines()
    assert line.startswith("RuntimeError at test_middleware.py:")
    assert SECRET not in line


def test_libraries_tell_no_more(lines, capfd):
    be_discreet()
    be_discreet()  # once is enough, and twice does no harm
    logger = logging.getLogger("uvicorn.error")
    assert sum(isinstance(known, Discreet) for known in logger.filters) == 1
    try:
        fail()
    except RuntimeError:
        logger.exception("Exception in ASGI application")
        Discretion().print_exc()
    logger.warning("Upload of %s failed", SECRET)
    said = lines()
    assert [line.split(" at ")[0] for line in said[:2]] == ["RuntimeError", "RuntimeError"]
    assert said[2] == "Upload of %s failed"
    out, err = capfd.readouterr()
    assert SECRET not in " ".join(said) + out + err
    assert Discretion().format_exc is __import__("traceback").format_exc


def test_nothing_is_printed_where_nothing_went_wrong(lines, capfd):
    Discretion().print_exc()
    assert lines() == []
    assert capfd.readouterr() == ("", "")


# Limits of uploads.


def limit(app, concerns, **options):
    """What the page puts before Gradio, with a limit of 100 bytes."""
    words = {"too_long": "No more than 0 MB are taken", "too_many": "Many visitors are uploading"}
    return BodyLimit(app, most=100, refuse=refusal, concerns=concerns, **words, **options)


@pytest.fixture
def limited():
    admitted = []

    def admit(size):
        admitted.append(size)
        return sum(admitted) <= 150

    return limit(hello, is_upload, admit=admit)


@pytest.mark.parametrize(
    ("length", "status", "sentence"),
    [
        ([], 411, "send a Content-Length"),
        ([(b"content-length", b"many")], 411, "send a Content-Length"),
        ([(b"content-length", b"-1")], 411, "send a Content-Length"),
        ([(b"content-length", b"101")], 413, "No more than 0 MB are taken"),
        ([(b"content-length", b"100")], 200, "hello"),
    ],
)
@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/upload/"])
def test_an_upload_has_a_length_and_a_limit(limited, path, length, status, sentence):
    found, body = ask(limited, "POST", path, length)
    assert found == status
    assert sentence in body.decode()


def test_all_uploads_together_have_a_limit(limited):
    length = [(b"content-length", b"80")]
    assert ask(limited, "POST", "/gradio_api/upload", length)[0] == 200
    status, body = ask(limited, "POST", "/gradio_api/upload", length)
    assert (status, body) == (503, b"Many visitors are uploading")


def test_what_is_stored_is_announced_for_as_long_as_it_comes():
    said = []

    @contextmanager
    def receiving():
        said.append("begin")
        yield
        said.append("end")

    async def store(scope, receive, send):
        said.append("stored")
        await hello(scope, receive, send)

    limited = limit(store, is_upload, admit=lambda size: size < 90, receiving=receiving)
    assert ask(limited, "POST", "/gradio_api/upload", [(b"content-length", b"95")])[0] == 503
    assert ask(limited, "GET", "/gradio_api/upload")[0] == 200
    assert said == ["stored"]
    assert ask(limited, "POST", "/gradio_api/upload", [(b"content-length", b"80")])[0] == 200
    assert said == ["stored", "begin", "stored", "end"]


def test_other_requests_are_not_limited(limited):
    assert ask(limited, "POST", "/gradio_api/queue/join")[0] == 200
    assert ask(limited, "GET", "/gradio_api/upload")[0] == 200
    assert ask(limited, kind="lifespan") is None


# Limits of calls.


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ([], 200, "hello"),
        ([(b"content-length", b"100")], 200, "hello"),
        ([(b"content-length", b"101")], 413, "No more than 0 MB are taken"),
        ([(b"transfer-encoding", b"chunked")], 200, "hello"),
    ],
)
@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/call/batch", "/login"])
def test_a_call_has_a_limit(path, headers, status, sentence):
    found, body = ask(limit(hello, is_call), "POST", path, headers)
    assert found == status
    assert sentence in body.decode()


def test_what_has_limits_of_its_own_is_left_to_them():
    limited, long = limit(hello, is_call), [(b"content-length", b"101")]
    for path in ("/gradio_api/upload", "/gradio_api/upload/", "/api/v1/predict"):
        assert ask(limited, "POST", path, long)[0] == 200
    assert ask(limited, "GET", "/gradio_api/info", long)[0] == 200
    assert ask(limited, kind="lifespan") is None


# Bytes that were not declared.


def pour(app, *chunks, headers=()):
    """Send a call in chunks; return the messages sent back and how many chunks were taken."""
    sent, taken = [], []

    async def receive():
        taken.append(1)
        return {"type": "http.request", "body": chunks[len(taken) - 1], "more_body": True}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/login", "headers": list(headers)}
    asyncio.run(app(scope, receive, send))
    return sent, len(taken)


async def drink(scope, receive, send):
    """Read to the end, or until the client leaves; then answer whatever came."""
    while (await receive())["type"] == "http.request":
        pass
    await hello(scope, receive, send)


async def choke(scope, receive, send):
    """The same, but fail when the client leaves, as Starlette does."""
    while (await receive())["type"] == "http.request":
        pass
    raise RuntimeError("the client left")


@pytest.mark.parametrize("app", [drink, choke])
@pytest.mark.parametrize("headers", [(), [(b"content-length", b"60")]])
def test_bytes_are_counted_while_they_come(app, headers):
    sent, taken = pour(limit(app, is_call), *[b"0" * 60] * 9, headers=headers)
    assert (sent[0]["status"], taken) == (413, 2)
    assert b"".join(m.get("body", b"") for m in sent) == b"No more than 0 MB are taken"


def test_an_application_that_fails_of_itself_goes_on_failing():
    async def fail(scope, receive, send):
        raise RuntimeError("of itself")

    with pytest.raises(RuntimeError, match="of itself"):
        ask(limit(fail, is_call), "POST", "/login")


def test_what_is_under_way_together_has_a_limit_and_is_forgotten_afterwards():
    async def statuses():
        released = asyncio.Event()

        async def hold(scope, receive, send):
            await receive()
            await released.wait()
            await hello(scope, receive, send)

        limited = limit(hold, is_call, together=150)

        async def call():
            sent = []

            async def receive():
                return {"type": "http.request", "body": b"0" * 90, "more_body": False}

            async def send(message):
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": "/login", "headers": []}
            await limited(scope, receive, send)
            return sent[0]["status"]

        together = [asyncio.create_task(call()) for _ in range(2)]
        await asyncio.sleep(0.01)
        released.set()
        return [*await asyncio.gather(*together), await call()]

    assert asyncio.run(statuses()) == [200, 503, 200]


# The folder that is served.


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "mine.png").write_bytes(b"mine")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder / "loop")
    return folder


def test_files_of_the_folder_are_served(served):
    app = ServedFolder(hello, folder=served)
    for path in (f"/gradio_api/file={served}/mine.png", f"/gradio_api/file/{served}/mine.png"):
        assert ask(app, path=path)[0] == 200
    assert ask(app, path="/gradio_api/info")[0] == 200
    assert ask(app, kind="lifespan") is None


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        "{root}/secret",
        "{served}/../secret",
        "{served}/link",
        "{served}/loop",
        "{served}/mine.png/../../secret",
        "{served}-other/file",
        "../../../../etc/passwd",
        "etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "{served}/\0",
        "",
        str(Path(__file__).parents[2] / "pyproject.toml"),
    ],
)
def test_no_other_file_is_served(served, path):
    app = ServedFolder(hello, folder=served)
    asked = path.format(served=served, root=served.parent)
    for start in ("/gradio_api/file=", "/gradio_api/file/"):
        assert ask(app, path=start + asked) == (403, b"This file is not served here.")


def test_the_server_fetches_nothing_for_a_visitor(served):
    app = ServedFolder(hello, folder=served)
    assert ask(app, path="/gradio_api/proxy=http://127.0.0.1:1/x")[0] == 403
    assert ask(app, "POST", "/gradio_api/component_server")[0] == 403


def test_a_quiet_server_leaves_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("GRADIO_ANALYTICS_MAX_EVENTS", raising=False)
    quieten()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] == "1"


async def only_get(scope, receive, send):
    """Answers GET alone, with a stream, and notes the route as Starlette does."""
    status = 200 if scope["method"] == "GET" else 405
    scope["route"] = SimpleNamespace(path="/health")
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})


@pytest.mark.parametrize(
    ("method", "answer"),
    [("HEAD", (200, b"")), ("GET", (200, b"hello")), ("PUT", (405, b"hello"))],
)
def test_head_is_answered_as_get_without_a_body(method, answer):
    assert ask(HeadRequests(only_get), method) == answer


def test_the_log_knows_that_it_was_head_and_which_route_it_took(lines):
    ask(AccessLog(HeadRequests(only_get)), "HEAD")
    assert lines()[0].startswith("HEAD /health 200 0 B")


def test_a_stream_without_an_end_ends_for_head():
    """The client of HEAD is gone as soon as the answer is complete."""

    async def events(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            await send({"type": "http.response.body", "body": b"more", "more_body": True})

    sent = []

    async def receive():
        done = sent and not sent[-1].get("more_body", True)
        return {"type": "http.disconnect"} if done else {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    asyncio.run(HeadRequests(events)({"type": "http", "method": "HEAD"}, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_other_kinds_of_requests_pass(lines):
    assert ask(HeadRequests(hello), kind="websocket") is None
