"""What all tabs share: the visitor's picture, how a function becomes a listener, the endpoints.

Every listener that takes a picture is wired with ``preprocess=False``, so that the uploaded file
reaches `dermsim.data.images.read_image` as it came: Gradio's own preprocessing would decode it
first, with PIL's messages. (A `gr.Image` subclass could do the same, but Gradio writes a ``.pyi``
file beside every module that defines one.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1, "preprocess": False}
"""Listeners that ask the model take turns, and see files as they were uploaded."""

ON_PAGE: dict[str, Any] = {**MODEL, "api_visibility": "private"}
"""The same for those that serve the page only; programs have endpoints of their own."""

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For those that answer at once and do not ask the model."""


def sentences(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function a listener: uploads become paths, refusals become `gr.Error`."""

    @functools.wraps(fn)
    def listener(*values: Any, **special: Any) -> Any:
        try:
            return fn(*map(_plain, values), **special)
        except FileNotFoundError as error:
            raise _refusal("The file is no longer on the server: add it again.") from error
        except ValueError as error:
            raise _refusal(str(error)) from error

    return listener


@dataclass(frozen=True)
class Picture:
    """The picture that all tabs speak of.

    Attributes:
        upload: Where the visitor puts it; what the endpoints take.
        path: Its path once it was read, None while there is none. The tabs take this: by the time
            their turn comes, the visitor may already have uploaded another, unreadable one.
        accepted: The event after which `path` is new.
        nearest: The past cases most like it.
    """

    upload: gr.Image
    path: gr.State
    accepted: Any
    nearest: gr.State


@dataclass(frozen=True)
class Above:
    """What stands around all tabs and speaks of the same picture.

    Attributes:
        notice: For what must be read before any label.
        summary: The answer in short.
        line: The stop of the alert line.
    """

    notice: gr.HTML
    summary: gr.HTML
    line: gr.Slider


def of(path: str | None, html: str) -> str:
    """Say of which picture an answer is, so that it is never seen beside another one.

    ``case.js`` hides it, with the ``ds-follows`` around it, while another picture is on show.

    Args:
        path: The picture's, in the folder that Gradio made for it and named after its content; None
            for an answer that is of none.
        html: The answer.
    """
    if path is None:
        return html
    name = escape(Path(path).parent.name, quote=True)
    return f'<div data-picture="{name}">{html}</div>'


def picture_input() -> gr.Image:
    """Place the upload shared by all tabs."""
    return gr.Image(
        label="Your picture",
        show_label=False,
        type="filepath",
        sources=["upload", "webcam", "clipboard"],
        # a mole on the left is on the left; mirrored, it would not be the skin's own picture
        webcam_options=gr.WebcamOptions(mirror=False),
        height=290,
        elem_id="picture",
        buttons=["fullscreen"],
        placeholder="Drop a dermatoscopic photograph\nor click to choose one",
    )


def add_endpoint(name: str, fn: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
    """Expose a function to `gradio_client` and MCP, apart from what the page shows."""
    gr.on([], sentences(fn), inputs, outputs, api_name=name, **MODEL)


def _plain(value: Any) -> Any:
    """Reduce Gradio's raw descriptions of files, alone or in a list, to their paths."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if path := value.get("path"):
        return _uploaded(path)
    return _plain(value.get("image") or value.get("video"))  # what a gallery holds


def _uploaded(path: str) -> str:
    """Return the path of an upload; a program may name any file of the server as its own."""
    folder = Path(gr.utils.get_upload_folder()).resolve()
    if not Path(path).resolve().is_relative_to(folder):
        raise ValueError(f"{Path(path).name} was not uploaded: add it again.")
    return path


def _refusal(sentence: str) -> gr.Error:
    # Gradio shows the message as HTML, and it may hold the visitor's own file name
    return gr.Error(escape(sentence, quote=False), print_exception=False)
