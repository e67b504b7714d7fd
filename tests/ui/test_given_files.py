"""What a program may give an endpoint in a file's place."""

import base64
import io

import pytest
from PIL import Image
from refusals import refuses

from dermsim.ui import inline
from dermsim.ui.given_files import ELSEWHERE, NOT_UPLOADED, foreign_files

META = {"meta": {"_type": "gradio.FileData"}}

ADDRESSES = [
    *("http://127.0.0.1/x", "https://example.org/x.png", "HTTP://EXAMPLE.ORG", "ftp://x/y"),
    *("file:///etc/passwd", "//example.org/x", "data:image/png;base64,AAAA", "blob:x"),
    *("gopher://x", "http://[::1]/x", "http://2130706433/", "s3://bucket/x"),
]
PATHS = ["/etc/passwd", "x.png", "../x", "{folder}/../x", "/proc/self/environ", "a\0b", "~/x"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "uploads" / "abc").mkdir(parents=True)
    return (tmp_path / "uploads").resolve()


def why(value, folder, *, is_file=True):
    return list(foreign_files(value, folder=folder, is_file=is_file))


def shapes(named):
    yield {"path": named, **META}
    yield {"path": named}
    yield [{"path": named, **META}]
    yield [{"image": {"path": named, **META}, "caption": None}]
    yield {"value": {"path": named, "url": None}}
    yield named
    yield [named]


@pytest.mark.parametrize("named", ADDRESSES)
def test_addresses_are_not_fetched(named, folder):
    for value in shapes(named):
        assert why(value, folder) == [ELSEWHERE], value
    if not named.startswith("data:"):
        assert why({"path": None, "url": named, **META}, folder) == [ELSEWHERE]


@pytest.mark.parametrize("named", PATHS)
def test_files_of_the_server_are_not_taken(named, folder):
    for value in shapes(named.format(folder=folder)):
        assert why(value, folder) == [NOT_UPLOADED], value


def test_uploads_and_complete_pictures_are(folder):
    mine = f"{folder}/abc/lesion.png"
    complete = {"path": None, "url": "data:image/png;base64,AAAA"}
    for value in (
        {"path": mine, "url": "http://127.0.0.1:7860/gradio_api/file=x", **META},
        [{"image": {"path": mine}, "caption": "http://not.a/file"}],
        complete,
        [complete],
        mine,
        None,
        [],
        7,
    ):
        assert why(value, folder) == []
    assert why("http://only.a/text", folder, is_file=False) == []
    assert why({"text": "http://only.a/text"}, folder, is_file=False) == []
    assert why({"path": "http://a/picture"}, folder, is_file=False) == [ELSEWHERE]


def test_where_a_file_is_taken_a_data_uri_is_not(folder):
    uri = {"url": "data:image/png;base64,AAAA"}
    found = foreign_files([uri], folder=folder, is_file=True, uris=False)
    assert list(found) == [NOT_UPLOADED]


def test_a_link_among_the_uploads_leads_nowhere(folder, tmp_path):
    (tmp_path / "mine.png").touch()
    (folder / "link.png").symlink_to(tmp_path / "mine.png")
    assert why(f"{folder}/link.png", folder) == [NOT_UPLOADED]
    (folder / "loop").symlink_to(folder / "loop")
    assert why(f"{folder}/loop/x", folder) in ([], [NOT_UPLOADED])


def test_a_data_uri_is_the_picture_itself():
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), "red").save(stream, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
    found = inline.content({"path": None, "url": url, "orig_name": "a.png"})
    assert found == stream.getvalue() and (found.name, found.mark) == ("a.png", "")
    for broken in ("data:image/png;base64,!!!", "data:image/png,AAAA", "data:"):
        with refuses("inline.not_base64"):
            inline.content({"url": broken})
