"""What a served page keeps, shows to others and says of its visitors."""

import base64
import hashlib
import http.client
import io
import json
import logging
import re
import struct
import time
import zlib
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from dermsim.data.synthetic import draw_lesion
from dermsim.ui.uploads import upload_folder

ROOT = Path(__file__).parents[2]
SECRET = "mrs-miller-left-arm"
PATIENCE = 60


@pytest.fixture(scope="module")
def served(engine, close):
    """The page and its address."""
    from dermsim.ui.app import build_app, launch

    app = build_app(lambda: engine)
    yield app, launch(app, port=None).rstrip("/")
    close(app)


@pytest.fixture
def address(served):
    return served[1]


@pytest.fixture
def lesion():
    def draw(name=f"{SECRET}.png", seed=0):
        buffer = io.BytesIO()
        draw_lesion("mel", seed=seed, size=(90, 70)).save(buffer, "PNG")
        return name, buffer.getvalue()

    return draw


META = {"meta": {"_type": "gradio.FileData"}}


def upload(address, *files):
    answer = httpx.post(f"{address}/gradio_api/upload", files=[("files", f) for f in files])
    answer.raise_for_status()
    return answer.json()


def call(address, endpoint, *data, session=None):
    """Ask an endpoint as a program without Gradio's client does; return event and answer."""
    body = {"data": list(data)} | ({"session_hash": session} if session else {})
    started = httpx.post(f"{address}/gradio_api/call/{endpoint}", json=body).json()
    stream = f"{address}/gradio_api/call/{endpoint}/{started['event_id']}"
    return started["event_id"], httpx.get(stream, timeout=PATIENCE).text


def sent(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def heard(url):
    """Return what a stream says until it ends, breaks off or falls silent."""
    said = ""
    try:
        with httpx.stream("GET", url, timeout=5) as stream:
            for part in stream.iter_text():
                said += part
    except (httpx.RemoteProtocolError, httpx.ReadTimeout):
        pass
    return said


def left():
    """Return the files on disk that are not the page's own."""
    folder = upload_folder()
    return [path for path in folder.path.rglob("*") if path.is_file() and path not in folder.kept]


def raw(address, method, path, headers=(), body=None):
    """Send a request just as it is written."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


# What is kept.


def test_nothing_is_left_of_uploads_used_or_not_nor_of_what_was_made_of_them(served, lesion):
    from dermsim.ui.tabs.housekeeping import tidy

    app, address = served
    used, unused, bank = upload(
        address, lesion(), lesion("unused.png", seed=1), ("bank.safetensors", b"not a bank")
    )
    assert "event: complete" in call(address, "classify", sent(used), "balanced")[1]
    drawn = call(address, "explain", sent(used), "mel", 0.5, "gradcam", "", False, True)[1]
    assert "event: complete" in drawn
    alike = call(address, "likeness", sent(used), sent(unused), "")[1]
    assert "event: complete" in alike
    assert {Path(used), Path(unused), Path(bank)} < set(left())
    # the heatmap's picture, and the two that are alike; two that are equal are one file
    made = set(re.findall(r'"path": ?"([^"]+)"', drawn + alike))
    assert len(made) >= 2 and set(left()) == {
        *map(Path, made),
        Path(used),
        Path(unused),
        Path(bank),
    }
    tidy(app.app)
    assert len(left()) == 3 + len(
        made
    )  # they are not old enough to be gone while somebody may fetch them
    upload_folder().sweep(age=-1)
    assert left() == []
    folders = [path for path in upload_folder().path.iterdir() if path.is_dir()]
    assert {path.parent for path in upload_folder().kept} >= set(folders)
    said = call(address, "classify", sent(used), "balanced")[1]
    assert "event: error" in said


def test_the_server_tidies_up_by_itself(served, lesion, monkeypatch):
    monkeypatch.setattr("dermsim.ui.tabs.housekeeping.AGE", 0.2)
    monkeypatch.setattr("dermsim.ui.tabs.housekeeping.PERIOD", 0.05)
    upload(served[1], lesion())
    until = time.monotonic() + PATIENCE
    while left() and time.monotonic() < until:
        time.sleep(0.05)
    assert left() == []


def test_gradio_forgets_what_components_showed(served, lesion):
    from dermsim.ui.tabs.housekeeping import tidy

    app, address = served
    (path,) = upload(address, lesion(seed=5))
    call(address, "classify", sent(path), "balanced", session="forgetful")
    (again,) = upload(address, lesion(seed=6))
    call(address, "report", sent(again), "en", session="forgetful")
    state = app.app.state_holder.session_data["forgetful"]

    def values():
        return json.dumps([config for config in state.config_values.values()], default=str)

    assert SECRET in values() and "data:image" in values()
    tidy(app.app)
    assert SECRET not in values() and "data:image" not in values()


def test_a_closed_page_lets_go_of_what_it_held(served):
    import gradio as gr

    from dermsim.ui.tabs import holding

    held = holding.SHELF.put(b"picture", size=7, session="closing")
    place = holding.SHELF._places[held.number]
    before = place.until
    with httpx.stream("GET", f"{served[1]}/gradio_api/heartbeat/closing") as stream:
        assert "ALIVE" in next(stream.iter_text())
    until = time.monotonic() + PATIENCE
    while place.until == before and time.monotonic() < until:
        time.sleep(0.05)
    assert place.until <= time.monotonic() + holding.SHELF.grace
    assert holding.SHELF.grace + gr.processing_utils.MAX_REDIRECTS < 60


# What others can see.


def test_one_visitors_files_and_answers_are_not_found_by_another(address, lesion):
    name, content = lesion(seed=7)
    (path,) = upload(address, (name, content))
    event, answer = call(address, "classify", sent(path), "balanced", session="mine")
    assert "event: complete" in answer
    guesses = [
        f"{upload_folder().path}/{hashlib.sha256(content).hexdigest()}/{name}",
        f"{upload_folder().path}/{name}",
        f"{upload_folder().path}/",
        f"{upload_folder().path}",
    ]
    assert path not in guesses
    for guess in guesses:
        assert httpx.get(f"{address}/gradio_api/file={guess}").status_code == 403
    for other in ("0" * 32, "yours", hashlib.md5(event.encode()).hexdigest()):
        said = heard(f"{address}/gradio_api/call/classify/{other}")
        assert "probabilities" not in said
    for session in ("yours", event[:8]):
        said = heard(f"{address}/gradio_api/queue/data?session_hash={session}")
        assert "probabilities" not in said


def test_what_one_visitor_taught_is_unknown_to_another(address, lesion, tmp_path):
    (tmp_path / "one.png").write_bytes(lesion()[1])
    picture = handle_file(str(tmp_path / "one.png"))
    one, other = Client(address, verbose=False), Client(address, verbose=False)
    one.predict("clover", [picture], api_name="/enroll")
    assert "clover" in one.predict(picture, api_name="/compare")
    assert "clover" not in other.predict(picture, api_name="/compare")


def outside(tmp_path):
    """Return paths of files that are there and must not be read, in all kinds of spelling."""
    (tmp_path / "secret").write_text(SECRET)
    folder = upload_folder().path
    link = folder / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "secret")
    up = "../" * 12
    plain = [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/cmdline",
        str(ROOT / "pyproject.toml"),
        str(ROOT / "hub" / "dermsim-ham10000" / "config.json"),
        str(ROOT / "hub" / "dermsim-ham10000" / "model.safetensors"),
        str(tmp_path / "secret"),
        str(link),
        f"{folder}/{up}etc/passwd",
        f"{up}etc/passwd",
        "pyproject.toml",
        "./pyproject.toml",
        "file:///etc/passwd",
    ]
    encoded = [quote(path, safe="") for path in plain]
    dots = [path.replace(".", "%2e").replace("/", "%2f") for path in plain]
    twice = [quote(path, safe="") for path in encoded]
    backslashes = [path.replace("/", "\\") for path in plain]
    return plain + encoded + dots + twice + backslashes + [f"/{path}" for path in plain]


def test_no_path_outside_the_served_folder_can_be_read(address, tmp_path):
    starts = (
        "/gradio_api/file=",
        "/file=",
        "/gradio_api/file/",
        "/static/",
        "/assets/",
        "/svelte/",
    )
    for path in outside(tmp_path):
        path = path.replace(" ", "%20")
        for start in starts:
            status, body = raw(address, "GET", start + path)
            assert status in (400, 403, 404, 405, 500), (start, path, status)
            for words in (b"root:", SECRET.encode(), b"[build-system]", b"PATH=", b"safetensors"):
                assert words not in body, (start, path)
    (upload_folder().path / "link").unlink()


def test_a_path_of_the_server_is_no_upload(address, tmp_path):
    for path in ("/etc/passwd", str(ROOT / "README.md"), "/proc/self/environ"):
        for value in (sent(path), {"path": path}, path, {"url": path}, {"path": path, "url": path}):
            _, said = call(address, "classify", value, "balanced")
            assert "event: error" in said
            assert "root:" not in said and "PATH=" not in said


# What is said of visitors.


def test_the_log_has_sizes_and_times_and_no_names(address, lesion, caplog, capfd):
    caplog.set_level(logging.INFO)
    (path,) = upload(address, lesion())
    (letter,) = upload(address, (f"{SECRET}.jpg", b"Dear doctor"))
    httpx.get(f"{address}/gradio_api/file={path}")
    assert "event: complete" in call(address, "classify", sent(path), "balanced")[1]
    assert "is not an image" in call(address, "classify", sent(letter), "balanced")[1]
    # Gradio itself refuses that one
    call(address, "classify", sent(f"/srv/{SECRET}.png"), "balanced")
    call(address, "classify", {"path": SECRET, "url": f"file:///{SECRET}"}, "balanced")
    httpx.get(f"{address}/nowhere/{SECRET}", params={"q": SECRET})
    httpx.get(f"{address}/gradio_api/file=/srv/{SECRET}")
    httpx.get(f"{address}/custom_component/{SECRET}/client/type/{SECRET}")
    httpx.post(f"{address}/gradio_api/call/classify", content=f"{{{SECRET}")
    httpx.post(f"{address}/gradio_api/upload", files={"files": (f"../../{SECRET}", b"x")})
    raw(address, "POST", f"/gradio_api/upload?{SECRET}", [("Content-Length", "0")])
    own = [r for r in caplog.records if r.name.startswith(("dermsim", "uvicorn", "gradio"))]
    said = "\n".join(record.getMessage() for record in own)
    out, err = capfd.readouterr()
    for words in (SECRET, str(upload_folder().path), "127.0.0.1"):
        assert words not in said
        assert words not in out + err
    assert "POST /gradio_api/upload 200 " in said
    assert "GET /gradio_api/file={path_or_url:path} 200 " in said
    assert "POST /gradio_api/call/{api_name} 200 " in said


# What is too much.


def test_an_upload_without_end_is_refused_before_it_is_sent(address):
    form = ("Content-Type", "multipart/form-data; boundary=b")
    huge = [form, ("Content-Length", str(10**12))]
    status, said = raw(address, "POST", "/gradio_api/upload", huge)
    assert (status, b"are taken at a time" in said) == (413, True)
    unknown = [form, ("Transfer-Encoding", "chunked")]
    status, said = raw(address, "POST", "/gradio_api/upload", unknown, b"0\r\n\r\n")
    assert (status, b"Content-Length" in said) == (411, True)
    assert left() == [] or all(path.stat().st_size < 10**6 for path in left())


@pytest.mark.parametrize("path", ["queue/join", "call/classify", "run/predict", "cancel"])
def test_a_call_without_end_is_refused_before_it_is_sent(address, path):
    huge = [("Content-Type", "application/json"), ("Content-Length", str(10**12))]
    status, said = raw(address, "POST", f"/gradio_api/{path}", huge)
    assert (status, b"are taken at a time" in said) == (413, True)


def test_uploads_of_all_visitors_together_are_bounded(address, lesion, monkeypatch):
    monkeypatch.setattr(upload_folder(), "room", 0)
    answer = httpx.post(f"{address}/gradio_api/upload", files=[("files", lesion())])
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"


def bomb():
    """Return the head of a PNG of 3.6 thousand million pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_pictures_of_too_many_pixels_and_too_many_pictures_are_refused(address, lesion):
    (path,) = upload(address, ("bomb.png", bomb()))
    said = call(address, "classify", sent(path), "balanced")[1]
    assert "60000 x 60000 pixels, more than the 50 million" in said
    (path,) = upload(address, lesion())
    client = Client(address, verbose=False)
    with pytest.raises(AppError, match="51 pictures are too many: choose up to 50"):
        client.predict("clover", [handle_file(path)] * 51, api_name="/enroll")


def test_an_address_is_refused_with_a_sentence_at_every_endpoint(address):
    asked = {
        "classify": ("balanced",),
        "explain": ("mel", 0.5, "gradcam", "", False, False),
        "compare": (),
        "report": ("en",),
    }
    for endpoint, rest in asked.items():
        for value in (sent("https://example.org/x.png"), "http://127.0.0.1:9/x.png"):
            _, said = call(address, endpoint, value, *rest)
            assert "event: error" in said and "fetches no pictures from elsewhere" in said
        _, said = call(address, endpoint, sent("/etc/passwd"), *rest)
        assert "event: error" in said and "was not uploaded" in said
    _, said = call(address, "batch", [sent("https://example.org/x.zip")], "balanced")
    assert "fetches no pictures from elsewhere" in said


def test_a_data_uri_is_taken_as_the_description_says(address, lesion):
    (path,) = upload(address, lesion(seed=3))
    _, expected = call(address, "classify", sent(path), "balanced")
    uri = f"data:image/png;base64,{base64.b64encode(lesion(seed=3)[1]).decode()}"
    _, said = call(address, "classify", {"path": None, "url": uri, **META}, "balanced")
    assert "event: complete" in said and said == expected
    # where files are taken, which may be anything, they are uploaded
    for endpoint, values in (("enroll", ("clover", [{"url": uri, **META}])), ("batch", ([uri],))):
        _, said = call(address, endpoint, *values)
        assert "event: error" in said and "/gradio_api/upload" in said
