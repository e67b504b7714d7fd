"""What `dermsim.ui.gradio_seams` reaches for is there in Gradio; nothing else reaches as far."""

import ast
import importlib
import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import gradio.http_server
import httpx
import pytest
from gradio.data_classes import ImageData
from gradio.state_holder import StateHolder
from packaging.requirements import Requirement
from PIL import Image

import dermsim
from dermsim.core import discretion
from dermsim.ui import gradio_seams, i18n, inline, middleware
from dermsim.ui.tabs import Page, sentences
from dermsim.ui.uploads import upload_folder

PACKAGE = Path(dermsim.__file__).parent
REACHING = PACKAGE / "ui" / "gradio_seams.py"
MODULES = ("blocks", "context", "http_server", "i18n", "mcp", "networking", "processing_utils")
MODULES += ("queueing", "route_utils", "routes", "state_holder", "utils")


def reaches(source):
    """The names in a module that are not what ``import gradio as gr`` documents."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("gradio."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gradio":
            yield node.module
        elif isinstance(node, ast.Attribute):
            of_gradio = isinstance(node.value, ast.Name) and node.value.id in ("gr", "gradio")
            if of_gradio and (node.attr in MODULES or node.attr.startswith("_")):
                yield node.attr
        elif isinstance(node, ast.keyword) and (node.arg or "").startswith("_"):
            yield node.arg


def test_a_reach_is_recognised():
    for source in (
        "import gradio.utils",
        "from gradio.context import LocalContext",
        "from gradio import mcp",
        "gr.utils.get_space()",
        "app.launch(_frontend=False)",
    ):
        assert list(reaches(source)), source
    assert not list(reaches("import gradio as gr\ngr.themes.Base()\ngr.Blocks(title='x')"))


def test_nothing_else_reaches_into_gradio():
    files = [path for path in PACKAGE.rglob("*.py") if path != REACHING]
    found = {str(path): [*reaches(path.read_text(encoding="utf-8"))] for path in files}
    assert {path: names for path, names in found.items() if names} == {}
    assert [*reaches(REACHING.read_text(encoding="utf-8"))]


def test_the_next_major_version_is_not_admitted():
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith('"gradio>'))
    specifier = Requirement(line.strip().strip('",')).specifier
    major = int(gr.__version__.partition(".")[0])
    assert specifier.contains(gr.__version__)
    assert not specifier.contains(f"{major + 1}.0")


# --- one contract each ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(close):
    """A small page with one listener, and its address."""
    told = {}

    def listen(text):
        told["request"] = gradio_seams.visitor_request()
        return f"heard {text}"

    with Page() as page:
        text, heard = gr.Textbox(label=i18n.say("facts.sex")), gr.Textbox()
        gr.on([], sentences(listen), [text], [heard], api_name="listen")
    address = gradio_seams.launch(page, server_name="127.0.0.1", quiet=True, i18n=page.spoken())
    yield page, address.rstrip("/"), told
    close(page)


def ask(address, text, session):
    body = {"data": [text], "session_hash": session}
    event = httpx.post(f"{address}/gradio_api/call/listen", json=body).json()["event_id"]
    return httpx.get(f"{address}/gradio_api/call/listen/{event}", timeout=60).text


def test_launch_need_not_look_at_its_own_page():
    assert inspect.signature(gr.Blocks.launch).parameters["_frontend"].default is True
    source = inspect.getsource(gr.Blocks.launch)
    assert "if _frontend and not networking.url_ok(" in source
    documented = ("app_kwargs", "auth", "head", "i18n", "max_file_size", "run_history", "theme")
    assert set(documented) <= set(inspect.signature(gr.Blocks.launch).parameters)


def test_a_listener_can_know_its_visitor_and_nobody_else_can(served):
    _, address, told = served
    assert "heard you" in ask(address, "you", "a-visitor")
    assert told["request"].session_hash == "a-visitor"
    assert told["request"].headers["host"] and dict(told["request"].query_params) == {}
    assert gradio_seams.visitor_request() is None


def test_what_a_component_showed_is_kept_until_it_is_forgotten(served):
    page, address, _ = served
    ask(address, "my left arm", "forgetful")
    state = page.app.state_holder.session_data["forgetful"]

    def values():
        return json.dumps([*state.config_values.values()], default=str)

    assert "my left arm" in values()
    gradio_seams.forget_values(page.app)
    assert "my left arm" not in values()


def test_the_page_is_known_says_its_language_and_has_a_head(served):
    page = httpx.get(served[1]).content
    for part in (gradio_seams.PAGE_MARK, gradio_seams.PAGE_LANGUAGE, gradio_seams.PAGE_HEAD):
        assert page.count(part) >= 1, part
    assert page.index(gradio_seams.PAGE_HEAD) < page.index(gradio_seams.PAGE_MARK)
    told = gradio_seams.told_language(page, "es").decode()
    assert 'lang="es"' in told and '["language", "es"]' in told
    assert gradio_seams.told_language(b'<html lang="en"><head>', "es") == b'<html lang="en"><head>'


def test_the_scripts_ask_the_browser_for_its_language():
    scripts = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    assert any("navigator.language" in path.read_text() for path in scripts.glob("runtime-*.js"))


def test_the_browser_is_told_by_the_hook_and_programs_by_another(served):
    _, address, _ = served
    key = i18n.phrases()[i18n.say("facts.sex")]
    labels = [c["props"].get("label") for c in httpx.get(f"{address}/config").json()["components"]]
    assert gradio_seams.browser_text(key) in labels
    api = httpx.get(f"{address}/gradio_api/info").json()["named_endpoints"]["/listen"]
    assert api["parameters"][0]["label"] == i18n.say("facts.sex")


def test_a_mark_is_what_gradio_makes_of_a_translated_text():
    page = gr.I18n(en={"key": "text"})
    assert str(page("key")) == gradio_seams.browser_text("key")


def test_gradio_validates_inputs_by_the_method_that_fills_them_in():
    assert "self.validate_inputs(block_fn, inputs)" in inspect.getsource(gr.Blocks.preprocess_data)
    names = ["self", "block_fn", "inputs"]
    for blocks in (gr.Blocks, gradio_seams.HookedBlocks):
        assert list(inspect.signature(blocks.validate_inputs).parameters) == names


def test_a_plot_takes_plotlys_json_as_it_is():
    value = gradio_seams.plot('{"data": []}')
    assert gr.Plot().postprocess(value).plot == '{"data": []}'


def test_gradio_prints_by_the_names_that_are_replaced():
    for module in gradio_seams.PRINTING:
        assert hasattr(module, "traceback") or "traceback" not in inspect.getsource(module)
    assert any(hasattr(module, "traceback") for module in gradio_seams.PRINTING)
    for module in gradio_seams.TALKING:
        assert "print(" in inspect.getsource(module), module.__name__


def test_nothing_else_of_gradio_s_server_prints_tracebacks():
    known = {module.__name__ for module in gradio_seams.PRINTING}
    server = ("blocks", "queueing", "routes", "route_utils", "utils", "state_holder", "events")
    for name in server:
        module = importlib.import_module(f"gradio.{name}")
        if "traceback.print_exc" in inspect.getsource(module):
            assert module.__name__ in known


def test_silence_is_kept_by_all_that_print(monkeypatch, capsys):
    for module in gradio_seams.PRINTING:
        if hasattr(module, "traceback"):
            monkeypatch.setattr(module, "traceback", module.traceback)
    for module in gradio_seams.TALKING:
        monkeypatch.setattr(module, "print", print, raising=False)
    gradio_seams.be_discreet()
    for module in gradio_seams.TALKING:
        module.print("secret")
    for module in gradio_seams.PRINTING:
        if hasattr(module, "traceback"):
            assert isinstance(module.traceback, discretion.Discretion)
    assert capsys.readouterr() == ("", "")


def test_uploads_go_where_the_documented_variable_says():
    folder = upload_folder().path
    assert Path(gr.utils.get_upload_folder()).resolve() == folder


def test_a_picture_without_a_file_is_a_value_of_an_image():
    value = inline.picture(Image.new("RGB", (2, 2)))
    taken = ImageData(**value)
    assert taken.path is None and taken.url == value["url"]
    assert taken.meta == value["meta"]


def test_the_routes_that_are_guarded_are_gradio_s(served):
    paths = served[0].app.openapi()["paths"]
    guarded = inspect.signature(middleware.ServedFolder).parameters
    starts = (middleware.UPLOADS, *guarded["paths"].default, *guarded["closed"].default)
    for start in starts:
        assert any(path.startswith(start) for path in paths), start


# --- sessions and the server ---------------------------------------------------------------------


@pytest.fixture
def holder():
    with gr.Blocks() as blocks:
        gr.State(None)
    found = StateHolder()
    found.set_blocks(blocks)
    found.capacity = 3
    return found


def test_gradio_drops_sessions_where_they_are_asked_for(holder):
    assert "self.update(session_id)" in inspect.getsource(StateHolder.__getitem__)
    for name in "abcd":
        holder[name]
    assert [*holder.session_data] == ["b", "c", "d"]


def test_sessions_that_hold_nothing_make_room_first(holder):
    dropped = []
    app = SimpleNamespace(state_holder=holder)
    gradio_seams.keep_sessions(app, holding=lambda: {"a", "b"}, evicted=dropped.append)
    for name in "abcde":
        holder[name]
    assert [*holder.session_data] == ["a", "b", "e"] and dropped == ["c", "d"]
    assert set(holder.time_last_used) == {"a", "b", "e"}
    holder["a"]
    gradio_seams.keep_sessions(app, holding=lambda: {*"abe"}, evicted=dropped.append)
    holder["f"]
    assert dropped == ["c", "d", "b"]  # all hold something, and that one was used longest ago


def test_what_is_put_outermost_is_asked_before_gradio(close):
    asked, configured = [], []

    def outermost(app):
        async def first(scope, receive, send):
            asked.append(scope["type"])
            await app(scope, receive, send)

        return first

    with Page() as page:
        gr.Textbox()
    own = gradio.http_server.Server
    address = gradio_seams.launch(
        page, server_name="127.0.0.1", quiet=True, outermost=outermost, configure=configured.append
    )
    assert gradio.http_server.Server is own
    assert httpx.get(address).status_code == 200
    assert {"lifespan", "http"} <= set(asked) and configured[0].app
    assert gradio_seams.is_served(page) and gradio_seams.pending_calls(page) == 0
    assert gradio_seams.stop_server(page, seconds=5)
    assert not gradio_seams.is_served(page)
