"""What all tabs share: the visitor's picture, how a function becomes a listener, the endpoints.

Every listener that takes a picture is wired with ``preprocess=False``, so that the uploaded file
reaches `dermsim.data.images.read_image` as it came: Gradio's own preprocessing would decode it
first, with PIL's messages. (A `gr.Image` subclass could do the same, but Gradio writes a ``.pyi``
file beside every module that defines one.)

A listener whose function has a keyword ``language`` is given the visitor's; how components are put
into it is told in `dermsim.ui.tabs.page`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.core import refused
from dermsim.core.discretion import note_error
from dermsim.core.language import LANGUAGES
from dermsim.core.refused import Refused
from dermsim.data.admission import PIXELS
from dermsim.data.images import pixels_to_decode
from dermsim.engine.shared_runs import Overloaded, patience
from dermsim.ui import inline
from dermsim.ui.gradio_seams import visitor_request
from dermsim.ui.i18n import say
from dermsim.ui.inline import is_inline
from dermsim.ui.page_language import chosen_language
from dermsim.ui.shelf import CLASSES, FILE, ROWS, VISIT, Gone, Held
from dermsim.ui.tabs.holding import SHELF, held_thing
from dermsim.ui.uploads import Upload, upload_folder

MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 16, "preprocess": False}
"""Listeners that ask the model see files as they were uploaded. Several run at the same time, as
many as read their pictures while others' are in the forward pass, which they share; whoever comes
after them sees their place in line."""

EXPLAIN: dict[str, Any] = {**MODEL, "concurrency_id": "explain", "concurrency_limit": 2}
"""For those that need gradients: several times the work and memory, and nothing to share."""

PATIENCE = 60.0
"""Seconds that a listener waits for the model at most."""

ON_PAGE: dict[str, Any] = {
    **MODEL,
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
"""The same for those that serve the page only; programs have endpoints of their own. What a visitor
chooses while an answer is under way is answered next; Gradio's own default is to pass over it."""

ONCE: dict[str, Any] = {"trigger_mode": "once"}
"""For buttons, of which a second press during the first means nothing."""

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For those that answer at once and do not ask the model."""

DRAWING: dict[str, Any] = {**QUIET, "concurrency_id": "draw", "concurrency_limit": 4}
"""For those that draw again what is known: nobody waits for one visitor's large picture."""


def visitors_language() -> str:
    """Return the language of the visitor whose call is being answered; English without one."""
    request = visitor_request()
    if request is None:
        return LANGUAGES[0]
    return chosen_language(dict(request.query_params), dict(request.headers).get("accept-language"))


def sentences(
    fn: Callable[..., Any],
    *,
    language: Callable[[], str] = visitors_language,
    holds: bool = True,
) -> Callable[..., Any]:
    """Make a function a listener: uploads become paths, refusals become `gr.Error`.

    Args:
        fn: Function or generator; a keyword ``language`` is given to it where it has one.
        language: () -> the language of what it says.
        holds: Whether room is held for the pixels of all its pictures until it has answered, as it
            must unless it decodes them a few at a time. A generator holds none.
    """
    takes_language = "language" in inspect.signature(fn).parameters

    def call(values: tuple[Any, ...], special: dict[str, Any]) -> Any:
        if takes_language:
            special = {**special, "language": language()}
        session = getattr(visitor_request(), "session_hash", None)
        if session is not None and SHELF.was_lost(session):
            raise Gone(VISIT)
        plain = [_plain(value) for value in values]
        pixels = sum(map(_pixels, plain)) if holds else 0
        with PIXELS.hold(pixels, seconds=PATIENCE):
            return fn(*plain, **special)

    @functools.wraps(fn)
    def listener(*values: Any, **special: Any) -> Any:
        with _refusals(language):
            return call(values, special)

    @functools.wraps(fn)
    def steps(*values: Any, **special: Any) -> Iterator[Any]:
        with _refusals(language):
            answers = call(values, special)
        while True:  # each step may be asked for in another context
            with _refusals(language):
                try:
                    answer = next(answers)
                except StopIteration:
                    return
            yield answer

    return steps if inspect.isgeneratorfunction(fn) else listener


_GONE = {
    FILE: "wiring.gone",
    CLASSES: "wiring.classes_gone",
    ROWS: "wiring.rows_gone",
    VISIT: "wiring.visit_gone",
}
"""What a visitor is told of what was held for him and is there no more."""


@contextmanager
def _refusals(language: Callable[[], str]) -> Iterator[None]:
    """Tell the visitor in one sentence what the library refused."""
    try:
        with patience(PATIENCE):
            yield
    except Gone as error:
        raise _refusal(say(_GONE[error.kind], language())) from error
    except FileNotFoundError as error:
        raise _refusal(say("wiring.gone", language())) from error
    except ValueError as error:
        raise _refusal(refused.say(error, language())) from error
    except (Overloaded, TimeoutError) as error:
        raise _refusal(say("sharing.busy", language())) from error
    except gr.Error:
        raise
    except Exception as error:
        note_error(error)
        raise _refusal(say("sharing.failed", language())) from error


@dataclass(frozen=True)
class Picture:
    """The picture that all tabs speak of.

    Attributes:
        upload: Where the visitor puts it; what the endpoints take.
        path: What it is held by (`dermsim.ui.tabs.holding`) once it was read, None while there is
            none; listeners get its bytes. The tabs take this: by the time their turn comes, the
            visitor may already have uploaded another, unreadable one.
        accepted: The event after which `path` is new.
        nearest: The past cases most like it.
        last_good: What the last picture that could be read is held by.
    """

    upload: gr.Image
    path: gr.State
    accepted: Any
    nearest: gr.State
    last_good: gr.State


@dataclass(frozen=True)
class Above:
    """What stands around all tabs and speaks of the same picture.

    Attributes:
        notice: For what must be read before any label.
        summary: The answer in short.
        line: The stop of the malignancy threshold.
    """

    notice: gr.HTML
    summary: gr.HTML
    line: gr.Slider


def of(picture: Upload | None, html: str) -> str:
    """Say of which picture an answer is, so that it is never seen beside another one.

    ``case.js`` hides it, with the ``ds-follows`` around it, while another picture is on show.

    Args:
        picture: What is held of it; None for an answer that is of none.
        html: The answer.
    """
    if picture is None:
        return html
    return f'<div data-picture="{escape(picture.mark, quote=True)}">{html}</div>'


def picture_input(label: str, **looks: Any) -> gr.Image:
    """Place an upload: a file, a photograph taken now, or what was copied.

    Args:
        label: Read out, not seen.
        looks: Further arguments of `gr.Image`.
    """
    return gr.Image(
        label=label,
        show_label=False,
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        # a mole on the left is on the left; mirrored, it would not be the skin's own picture
        webcam_options=gr.WebcamOptions(mirror=False),
        **looks,
    )


def add_endpoint(
    name: str,
    fn: Callable[..., Any],
    inputs: list[Any],
    outputs: list[Any],
    *,
    named: Sequence[str] = (),
    holds: bool = True,
    **turns: Any,
) -> None:
    """Expose a function to `gradio_client` and MCP, apart from what the page shows; in English.

    Args:
        name: What programs call it.
        fn: As for `sentences`, as is `holds`.
        inputs: Components.
        outputs: Components.
        named: What programs call the inputs, a `gr.State` among them, too; Gradio reads it off the
            function's signature. Nothing to have it number them.
        holds: Whether room is held for all its pictures together.
        turns: How many are answered at a time; as `MODEL` by default.
    """

    @functools.wraps(fn)
    def from_program(*values: Any, **special: Any) -> Any:
        return fn(*map(_from_uri, values), **special)

    answer = sentences(from_program, language=lambda: LANGUAGES[0], holds=holds)
    if named:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [inspect.Parameter(each, kind) for each in named]
        answer.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    gr.on([], answer, inputs, outputs, api_name=name, **(turns or MODEL))


def _plain(value: Any) -> Any:
    """Reduce Gradio's raw descriptions of files, alone or in a list, to their paths.

    What is held for the visitor takes the place of its name.
    """
    if isinstance(value, Held):
        return held_thing(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if path := value.get("path"):
        return _uploaded(path)
    if is_inline(value):
        return value
    return _plain(value.get("image") or value.get("video"))  # what a gallery holds


def _pixels(value: Any) -> int:
    """Return how many pixels are decoded when a value, or a list of them, is looked at."""
    if isinstance(value, list):
        return sum(map(_pixels, value))
    return pixels_to_decode(value) if isinstance(value, _UploadedPath | Upload) else 0


def _from_uri(value: Any) -> Any:
    """Return the picture that a program sent as a data URI, alone or in a list."""
    if isinstance(value, list):
        return [_from_uri(item) for item in value]
    return inline.content(value) if is_inline(value) else value


def _uploaded(path: str) -> _UploadedPath:
    """Return the path of an upload; a program may name any file of the server as its own."""
    if not Path(path).resolve().is_relative_to(upload_folder().path):
        raise Refused("wiring.not_uploaded", name=Path(path).name)
    return _UploadedPath(path)


class _UploadedPath(str):
    """The path of an upload, unlike any other text that a listener is given."""

    __slots__ = ()


def _refusal(sentence: str) -> gr.Error:
    # Gradio shows the message as HTML, and it may hold the visitor's own file name
    return gr.Error(escape(sentence, quote=False), print_exception=False)
