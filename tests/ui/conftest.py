"""What the tests of the page share: among it a browser with the network cut off."""

import shutil
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def close() -> Callable:
    """Close a served page, whoever is still listening to it."""

    def close_app(app) -> None:
        try:
            app.close()
        except RuntimeError as error:
            # Gradio sets its event of stopping from this thread while its own loop may be going
            # through the listeners; the event is set by then, and a second call does the rest.
            if "mutated during iteration" not in str(error):
                raise
            app.close()

    return close_app


@pytest.fixture(scope="module")
def address(engine, close):
    """The address of a served page."""
    from dermsim.ui.app import build_app, launch

    app = build_app(lambda: engine)
    yield launch(app, port=None)
    close(app)


@pytest.fixture(scope="module")
def browser():
    """A real one; what it is asked to load from another host fails."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    """Open the page as another visitor; afterwards, check that it kept quiet and to itself."""
    contexts, outside, complaints = [], [], []

    def guard(route):
        if urlsplit(route.request.url).hostname in ("127.0.0.1", None):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    def failed(request):
        # Gradio's client closes its stream of events itself, when it has all it waited for
        if request.failure != "net::ERR_ABORTED":
            complaints.append(f"{request.url}: {request.failure}")

    def open_page(width=1280, height=900, *, locale="en-US", scheme="light", query=""):
        context = browser.new_context(
            locale=locale,
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            color_scheme=scheme,
        )
        contexts.append(context)
        context.route("**/*", guard)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", failed)
        page.goto(address + query, wait_until="domcontentloaded")
        page.locator("#examples button img").first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert outside == []
    assert complaints == []
