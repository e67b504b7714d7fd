"""Every reach into Gradio beyond what it documents, and nothing else reaches further.

Each has a test in ``tests/ui/test_gradio_seams.py`` that fails when Gradio changes under it, and
`pyproject.toml` admits no later major version. Three reaches stay although there is a documented
way around them:

- The page is served by `gradio.Blocks.launch` and not mounted on a server of our own by
  `gradio.mount_gradio_app`. ZeroGPU moves the weights to the card when ``launch`` is called (the
  package `spaces` wraps it), and only ``launch`` opens a tunnel and bounds the visitors remembered.
  Middleware, lifespan, REST and tools come in through its documented `app_kwargs`.
- The page is built once and translated in the browser, not built once for each language. Gradio's
  own words, such as "Drop image here", follow ``navigator.language`` whichever page is shown, so it
  must be redefined either way; and a second page would have a queue and sessions of its own.
- Listeners learn their visitor's language from `gradio.context`, not from a parameter of type
  `gradio.Request`. Gradio fills such a parameter by its position, which a function that takes any
  number of values does not have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gradio as gr
import gradio.http_server
import gradio.processing_utils
import gradio.queueing
import gradio.route_utils
import gradio.routes
import gradio.utils
from gradio.blocks import BlockFunction
from gradio.components.plot import PlotData
from gradio.context import LocalContext
from gradio.i18n import I18nData

from dermsim.core.discretion import Discretion
from dermsim.core.refused import Phrase

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Config

PRINTING = (gradio.queueing, gradio.routes, gradio.route_utils, gradio.utils)
"""Modules that print tracebacks."""

TALKING = (gradio.queueing, gradio.routes, gradio.processing_utils)
"""Modules that print notices."""

PAGE_MARK, PAGE_LANGUAGE, PAGE_HEAD = b"window.gradio_config", b'lang="en"', b"<head>"
"""What Gradio's page is known by, where it says its language, and where its scripts begin."""

_SCRIPT = """<script>
for (const [name, value] of [["language", "LANGUAGE"], ["languages", ["LANGUAGE"]]])
  Object.defineProperty(navigator, name, { get: () => value, configurable: true });
</script>"""


FILES = (gr.Image, gr.File, gr.Gallery, gr.UploadButton, gr.DownloadButton, gr.ImageSlider)
"""Components that take files."""

UPLOADED = (gr.File, gr.UploadButton)
"""Those of them that take nothing but an upload."""


class HookedBlocks(gr.Blocks):
    """Blocks that a subclass may describe otherwise, to browsers and to programs."""

    def shown(self, kind: str, props: dict[str, Any]) -> None:
        """Change, in place, what a browser is told of a component.

        Args:
            kind: Its type, such as ``"button"``.
            props: Its properties by name.
        """

    def described(self, api: Any) -> Any:
        """Change what programs are told of the endpoints, as plain values."""
        return api

    def check_given(self, value: Any, *, is_file: bool, uris: bool) -> None:
        """Refuse a value that was sent, before Gradio looks at it: it would fetch what it names.

        Args:
            value: As it came, of any make.
            is_file: Whether it is for a component that takes files.
            uris: Whether that takes a data URI, too.
        """

    def get_config_file(self) -> Any:
        """Describe the page for the browser."""
        config = super().get_config_file()
        for component in config["components"]:
            self.shown(component["type"], component["props"])
        return config

    def get_api_info(self, *options: Any, **named: Any) -> Any:
        """Describe the endpoints for programs."""
        return self.described(super().get_api_info(*options, **named))

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        """Fill in place what a program left out at the end, as Gradio's own client does.

        Raises:
            gradio.Error: If what is left out has no default, or a value is refused.
        """
        self._fill(block_fn, inputs)
        for block, value in zip(block_fn.inputs, inputs, strict=False):
            whole = isinstance(block, FILES)
            self.check_given(value, is_file=whole, uris=not isinstance(block, UPLOADED))

    def _fill(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        if len(inputs) >= len(block_fn.inputs):
            return
        asked = [block for block in block_fn.inputs if not block.skip_api]
        values = [*inputs, *(getattr(block, "value", None) for block in asked[len(inputs) :])]
        if None in values[len(inputs) :]:
            needed = [getattr(block, "label", None) for block in asked]
            said = Phrase("gradio_seams.values", count=len(inputs), needed=needed)
            raise gr.Error(str(said), print_exception=False)
        given = iter(values)
        inputs[:] = [None if block.skip_api else next(given) for block in block_fn.inputs]


def launch(
    blocks: gr.Blocks,
    *,
    outermost: Callable[[ASGIApp], ASGIApp] | None = None,
    configure: Callable[[Config], None] | None = None,
    **options: Any,
) -> str:
    """Launch without Gradio's look at its own page, which gives up after 3 s on a busy machine.

    Args:
        blocks: The page.
        outermost: Application -> what is served in its place. Gradio puts middleware of its own
            around that of `app_kwargs`, which lets other sites in.
        configure: Changes the settings of the server before it starts.
        options: As for `gradio.Blocks.launch`.

    Returns:
        The page's local address.
    """
    with _served_as(outermost, configure):
        _, url, _ = blocks.launch(prevent_thread_lock=True, _frontend=False, **options)
    return url


_LAUNCHING = threading.Lock()


@contextmanager
def _served_as(
    outermost: Callable[[ASGIApp], ASGIApp] | None, configure: Callable[[Config], None] | None
) -> Iterator[None]:
    """Have the server that Gradio starts serve more than Gradio, with settings of our own."""
    own = gradio.http_server.Server

    class Server(own):  # type: ignore[misc, valid-type]  # Gradio looks it up when it starts one
        def __init__(self, config: Config, *values: Any, **named: Any) -> None:
            if outermost is not None:
                config.app = outermost(config.app)  # type: ignore[arg-type]  # it is no text
            if configure is not None:
                configure(config)
            super().__init__(config, *values, **named)

    with _LAUNCHING:
        gradio.http_server.Server = Server  # type: ignore[misc]
        try:
            yield
        finally:
            gradio.http_server.Server = own  # type: ignore[misc]


def pending_calls(blocks: gr.Blocks) -> int:
    """Return how many calls of the page are waiting, under way, or answered and not yet fetched."""
    return sum(map(len, list(blocks._queue.pending_event_ids_session.values())))


def keep_sessions(
    app: Any, *, holding: Callable[[], set[str]], evicted: Callable[[str], None]
) -> None:
    """Have sessions that hold nothing make room for new ones first, whoever opened them.

    Gradio drops the one that was used longest ago, so a thousand empty ones would push out all.

    Args:
        app: Gradio's server.
        holding: Returns the sessions that hold something.
        evicted: Called with each session that is dropped.
    """
    holder = app.state_holder

    def update(session: str) -> None:
        with holder.lock:
            known = holder.session_data
            if session in known:
                known.move_to_end(session)
            if len(known) <= holder.capacity:
                return
            kept = holding()
            others = [name for name in known if name != session]
            victim = next((name for name in others if name not in kept), others[0])
            del known[victim]
            holder.time_last_used.pop(victim, None)
        evicted(victim)

    holder.update = update


def stop_streams(app: Any) -> None:
    """End the streams that otherwise never end. To be called in the server's event loop.

    Args:
        app: Gradio's server.
    """
    app.stop_event.set()


def stop_server(blocks: gr.Blocks, *, seconds: float) -> bool:
    """Have the server end, and wait for its thread.

    Args:
        blocks: The launched page.
        seconds: How long connections that are still open are waited for, and then the thread.

    Returns:
        Whether it ended.
    """
    server: Any = blocks.server
    server.config.timeout_graceful_shutdown = seconds
    server.should_exit = True
    server.thread.join(timeout=2 * seconds)
    return not server.thread.is_alive()


def is_served(blocks: gr.Blocks) -> bool:
    """Say whether the page has been launched and its server is up."""
    server: Any = getattr(blocks, "server", None)
    return blocks.is_running and server is not None and server.thread.is_alive()


def visitor_request() -> gr.Request | None:
    """Return the request of the visitor whose call is being answered; None outside of one."""
    return LocalContext.request.get(None)


def browser_text(key: str) -> str:
    """Return what the browser replaces by the text of a key, in its own language."""
    return str(I18nData(key))


def told_language(page: bytes, language: str) -> bytes:
    """Say the language in Gradio's page, before its own scripts; any other page stays as it is.

    The scripts ask the browser for its language and cannot be told another, so one before them
    answers in the browser's place. The ``head`` given to ``launch`` would come too late: Gradio
    adds it when its texts are chosen already.
    """
    if PAGE_MARK not in page:
        return page
    script = _SCRIPT.replace("LANGUAGE", language)
    told = page.replace(PAGE_LANGUAGE, f'lang="{language}"'.encode(), 1)
    return told.replace(PAGE_HEAD, PAGE_HEAD + script.encode(), 1)


def plot(figure: str) -> Any:
    """Return a figure of Plotly's JSON as the value of a `gradio.Plot`; Plotly is not needed."""
    return PlotData(type="plotly", plot=figure)


def forget_values(app: Any) -> None:
    """Drop what Gradio remembers of the values that components showed.

    It keeps the last value of every component of every session, for links that reopen a session
    elsewhere. There are no such links here, and the values are visitors' pictures.

    Args:
        app: Gradio's server.
    """
    for session in list(app.state_holder.session_data.values()):
        for config in list(session.config_values.values()):
            if config and isinstance((config.get("props") or {}).get("value"), dict | list | str):
                config["props"]["value"] = None


def be_discreet() -> None:
    """Have Gradio print no more of errors than `dermsim.core.discretion.note_error` does.

    It prints tracebacks and notices, in which there are names of visitors' files.
    """
    for module in PRINTING:
        if hasattr(module, "traceback"):
            module.traceback = Discretion()  # type: ignore[attr-defined]
    for module in TALKING:
        module.print = _say_nothing  # type: ignore[attr-defined]


def _say_nothing(*ignored: Any, **options: Any) -> None:
    """Take the place of `print`."""
