"""The tab *Concepts*: which dermoscopic structures a picture shows, where, and in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dermsim.core.language import LANGUAGES
from dermsim.ui import concept_callbacks
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import EXPLAIN, ON_PAGE, QUIET, Picture, add_endpoint, of, sentences


@dataclass(frozen=True)
class ConceptPage:
    """What the tab asks for.

    Attributes:
        known: () -> whether the checkpoint knows of concepts.
        describe: Picture or None, `language` -> HTML.
        data: Path, language -> JSON-able values, for the endpoint.
    """

    known: Callable[[], bool]
    describe: Callable[..., str]
    data: Callable[..., dict[str, object]]


def concepts_tab(picture: Picture, tab: gr.Tab, page: ConceptPage) -> None:
    """Build *Concepts*, which is there where the checkpoint knows of any.

    Args:
        picture: The shared picture.
        tab: The tab, not visible at first.
        page: What to ask.
    """
    panel = gr.HTML(drawn(concept_callbacks.nothing_described), elem_id="concepts-panel")

    def show(path: Any, *, language: str = "en") -> str:
        return of(path, page.describe(path, language=language))

    def offer() -> Any:
        return gr.Tab(visible=page.known())

    gr.on(None, sentences(offer), None, tab, **QUIET)
    picture.accepted.success(sentences(show), picture.path, panel, **{**ON_PAGE, **EXPLAIN})
    language = gr.Textbox(LANGUAGES[0], label="language", visible=False)
    asked, answer = [picture.upload, language], [gr.JSON(visible=False)]
    named = ("image", "language")
    add_endpoint("describe", page.data, asked, answer, named=named, **EXPLAIN)
