"""The tools for assistants: as functions, and asked by a client of the protocol over loopback."""

import base64
import json
import logging
from typing import get_type_hints

import anyio
import httpx
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.optional import require
from dermsim.serve import Desk, Limits, beside_page
from dermsim.serve.tools import build_tools, picture_bytes


def as_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


# --- pictures as text ----------------------------------------------------------------------------


def test_a_picture_may_be_given_in_several_ways(lesion, tmp_path):
    upload = tmp_path / "0f3a" / "a lesion.png"
    upload.parent.mkdir()
    upload.write_bytes(lesion)
    address = f"http://127.0.0.1:7860/gradio_api/file={str(upload).replace(' ', '%20')}"
    plain = base64.b64encode(lesion).decode()
    for text in (as_uri(lesion), plain, f"{plain[:70]}\n{plain[70:]}", str(upload), address):
        assert picture_bytes(text, uploads=tmp_path) == lesion


def test_base64_that_begins_like_a_path_is_no_path(tmp_path):
    jpeg = b"\xff\xd8\xff\xe0 and so on"
    assert base64.b64encode(jpeg).startswith(b"/9j/")
    assert picture_bytes(base64.b64encode(jpeg).decode(), uploads=tmp_path) == jpeg


def test_no_other_file_is_read_and_nothing_fetched(lesion, tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(lesion)
    (uploads / "link.png").symlink_to(secret)
    for path in (secret, uploads / ".." / "secret.png", uploads / "link.png", uploads, "\0"):
        for text in (str(path), f"http://127.0.0.1/gradio_api/file={path}"):
            with refuses(("tools.upload_gone", "tools.not_a_picture")):
                picture_bytes(text, uploads=uploads)
    with refuses("tools.no_fetching"):
        picture_bytes("https://example.org/lesion.png", uploads=uploads)
    with refuses("tools.not_a_picture"):
        picture_bytes("my lesion!", uploads=uploads)


# --- the functions -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tools(engine, tmp_path_factory):
    desk = Desk(lambda: engine, limits=Limits(pictures=3))
    made = build_tools(desk, uploads=tmp_path_factory.mktemp("uploads"))
    return {tool.__name__: tool for tool in made}


def call(tool, **values):
    async def main():
        return await tool(**values)

    return anyio.run(main)


def test_the_tools_are_the_verbs_and_say_what_they_take(tools):
    assert list(tools) == ["predict", "embed", "explain", "similar", "enroll", "describe"]
    for tool in tools.values():
        assert len(tool.__doc__.split()) > 10
        for name, hint in get_type_hints(tool, include_extras=True).items():
            assert name == "return" or hint.__metadata__[0].description


def test_enroll_teaches_and_asks_in_one_go(tools, engine, lesion, other):
    told = call(tools["enroll"], name="clover", examples=[as_uri(lesion)], image=as_uri(other))
    bank = engine.class_bank()
    bank = bank.enroll("clover", engine.embed([lesion], space=bank.space.name))
    expected = bank.predict(engine.embed([other], space=bank.space.name))[0]
    assert told["probabilities"] == pytest.approx(expected)
    assert "clover" not in engine.class_bank().names


def test_similar_keeps_to_a_diagnosis(tools, lesion):
    told = call(tools["similar"], image=as_uri(lesion), k=4, dx="Melanoma")
    assert [case["dx"] for case in told["neighbors"]] == ["mel"] * 4


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("predict", {"operating_point": "best"}, "Unknown operating point 'best'"),
        ("predict", {"operating_point": 1.2}, "A threshold on malignancy is a number in"),
        ("similar", {"k": 0}, "Asked for 0 similar cases: choose 1 to 100"),
        ("explain", {"target": "clover"}, "Unknown dx 'clover'"),
        ("enroll", {"name": "mel", "examples": []}, "needs at least one example"),
        ("enroll", {"name": "mel", "examples": ["/9j/"]}, "Picture 1 is"),
        ("enroll", {"name": "x", "examples": ["a"] * 3}, "4 pictures are too many"),
        ("embed", {"image": ""}, "Picture 1 is empty"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(tools, lesion, name, values, words):
    with pytest.raises(ValueError, match=words):
        call(tools[name], **{"image": as_uri(lesion), **values})


def test_while_the_checkpoint_loads_assistants_are_told(lesion, tmp_path):
    predict, *_ = build_tools(Desk(lambda: None, limits=Limits()), uploads=tmp_path)
    with pytest.raises(ValueError, match=r"^The checkpoint is still loading"):
        call(predict, image=as_uri(lesion))


def test_a_fault_is_told_and_logged_without_what_was_sent(
    tools, engine, lesion, monkeypatch, caplog
):
    def fail(*values, **options):
        raise OSError("secret-patient.png")

    monkeypatch.setattr(type(engine), "embed", fail)
    with caplog.at_level(logging.DEBUG), pytest.raises(RuntimeError) as fault:
        call(tools["embed"], image=as_uri(lesion))
    assert "secret" not in str(fault.value)
    assert "OSError in " in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("without_mcp")
def test_without_the_package_there_is_a_sentence_and_no_server(engine):
    with refuses("optional.not_installed", ImportError, extra="mcp"):
        beside_page(lambda: engine, tools=True)


# --- the protocol --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mcp():
    try:
        return require("mcp", extra="mcp")
    except ImportError as error:
        pytest.skip(str(error))


def ask(mcp, page, work, *, token=None):
    """Let a coroutine have a session of a real client."""
    from mcp.client.streamable_http import streamablehttp_client

    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def main():
        address = f"{page}/gradio_api/mcp/"
        async with (
            streamablehttp_client(address, headers=headers) as (read, write, _),
            mcp.ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await work(session)

    return anyio.run(main)


@pytest.fixture(scope="module")
def page(mcp, serve):
    return serve(tools=True)


def test_a_client_finds_the_tools_and_no_others(mcp, page):
    found = ask(mcp, page, lambda session: session.list_tools()).tools
    names = ["predict", "embed", "explain", "similar", "enroll", "describe"]
    assert [tool.name for tool in found] == names
    for tool in found:
        assert tool.description
        for name, schema in tool.inputSchema["properties"].items():
            assert schema["description"], f"{tool.name} {name}"


def test_a_client_gets_the_engine_s_answers(mcp, page, engine, lesion):
    async def work(session):
        image = as_uri(lesion)
        predicted = await session.call_tool("predict", {"image": image})
        explained = await session.call_tool("explain", {"image": image, "target": "mel"})
        return predicted, explained

    predicted, explained = ask(mcp, page, work)
    [text] = predicted.content
    told = json.loads(text.text)
    assert told["probabilities"] == pytest.approx(engine.predict([lesion])[0].probabilities)
    text, picture = explained.content
    assert json.loads(text.text)["target"] == "mel"
    assert json.loads(text.text)["worth"]["not_measured"] == "not_measured"
    assert base64.b64decode(picture.data).startswith(b"\x89PNG")
    assert picture.mimeType == "image/png"


def test_what_an_assistant_sends_is_not_logged(mcp, page, lesion, caplog, capfd):
    handlers = [*logging.getLogger().handlers]
    with caplog.at_level(logging.DEBUG):
        ask(mcp, page, lambda s: s.call_tool("predict", {"image": "secret-patient"}))
    assert logging.getLogger().handlers == handlers  # FastMCP would add one of its own
    told = [record.getMessage() for record in caplog.records if record.name[:10] != "mcp.client"]
    assert not any("secret-patient" in text for text in told)
    assert "secret-patient" not in "".join(capfd.readouterr())


def test_a_client_may_upload_first(mcp, page, engine, lesion):
    [path] = httpx.post(f"{page}/gradio_api/upload", files={"files": ("a.png", lesion)}).json()
    for image in (path, f"{page}/gradio_api/file={path}"):
        told = ask(mcp, page, lambda s, image=image: s.call_tool("predict", {"image": image}))
        assert json.loads(told.content[0].text)["label_name"] in CODES


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("predict", {"image": "https://example.org/lesion.png"}, "fetches no pictures"),
        ("predict", {"image": "/etc/passwd"}, "neither a data URI nor base64"),
        ("predict", {}, "'image' is a required property"),
        ("classify", {}, "Unknown tool"),
    ],
)
def test_a_client_is_refused_with_a_sentence(mcp, page, name, values, words):
    answer = ask(mcp, page, lambda session: session.call_tool(name, values))
    assert answer.isError
    assert words in answer.content[0].text


def test_the_token_guards_the_tools(mcp, serve, lesion):
    guarded = serve(token="s3cret-of-the-clinic", tools=True)
    for path in ("", "schema", "sse"):
        assert httpx.get(f"{guarded}/gradio_api/mcp/{path}").status_code == 401
    found = ask(mcp, guarded, lambda session: session.list_tools(), token="s3cret-of-the-clinic")
    assert len(found.tools) == 6
