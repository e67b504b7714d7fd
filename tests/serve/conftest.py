"""What the tests of the server share."""

import io
import sys

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from dermsim.data.synthetic import draw_lesion


@pytest.fixture(scope="session")
def open_client():
    """Make a client of REST around an engine, mounted as beside the page."""
    from dermsim.serve import Desk, Limits, build_rest

    def make(engine, *, token=None, **limits) -> TestClient:
        desk = Desk(lambda: engine, limits=Limits(**limits))
        app = Starlette(routes=[Mount("/api", build_rest(desk, token=token))])
        return TestClient(app)  # an error that is not answered would be raised here

    return make


@pytest.fixture(scope="session")
def client(open_client, engine):
    return open_client(engine)


def png(code: str, *, seed: int = 3, size=(120, 90)) -> bytes:
    stream = io.BytesIO()
    draw_lesion(code, seed=seed, size=size).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session")
def lesion() -> bytes:
    """The bytes of a picture."""
    return png("mel")


@pytest.fixture(scope="session")
def other() -> bytes:
    """Those of another."""
    return png("bcc", seed=4, size=(90, 120))


@pytest.fixture
def without_mcp(monkeypatch):
    """An installation without the package for assistants."""
    import gradio  # noqa: F401  it looks for the package once, for all tests to come

    monkeypatch.setitem(sys.modules, "mcp", None)  # makes its import fail


@pytest.fixture(scope="module")
def serve(engine):
    """Serve the page with all that is beside it; return its address."""
    from dermsim.serve import beside_page
    from dermsim.serve.beside import entrance
    from dermsim.ui.app import build_app, launch

    apps = []

    def start(*, token=None, tools=False, **door) -> str:
        app = build_app(lambda: engine)
        apps.append(app)
        server = beside_page(lambda: engine, token=token, tools=tools)
        return launch(app, port=None, server=server, entrance=entrance(token, **door)).rstrip("/")

    yield start
    for app in apps:
        try:
            app.close()
        except RuntimeError:  # Gradio's loop was going through its listeners; see tests/ui
            app.close()
