"""The case report of the shared picture: a button, and the link that comes of it."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from dermsim.ui.i18n import say
from dermsim.ui.tabs.wiring import (
    EXPLAIN,
    ON_PAGE,
    ONCE,
    QUIET,
    Picture,
    add_endpoint,
    sentences,
)


def report_button(
    picture: Picture, line: gr.Slider, *, write: Callable[..., str], data: Callable[..., str]
) -> None:
    """Build the button that writes a report.

    Another picture, or another alert line, takes the last one's link away.

    Args:
        picture: The shared picture.
        line: The stop of the alert line.
        write: Picture or None, stop, `language` -> HTML of a link that holds the report.
        data: Path, language -> the report as an HTML document, for the endpoint.
    """
    button = gr.Button(say("report.write"), size="sm", elem_id="write-report")
    link = gr.HTML(elem_id="report-link")
    button.click(sentences(write), [picture.path, line], link, **{**ON_PAGE, **EXPLAIN, **ONCE})
    picture.accepted.success(_nothing, None, link, **QUIET)
    line.change(None, None, link, js="() => ''", queue=False)
    language = gr.Textbox("en", label=say("report.language"), visible=False)
    document = gr.Textbox(label=say("report.title"), visible=False)
    named = ("image", "language")
    add_endpoint("report", data, [picture.upload, language], [document], named=named, **EXPLAIN)


def _nothing() -> str:
    return ""
