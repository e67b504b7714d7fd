"""The tab *Classify*: what a picture may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dermsim.tasks.classify import POINTS
from dermsim.ui import render
from dermsim.ui.callbacks import CaseView
from dermsim.ui.tabs.holding import AT_ONCE, INLINE, in_sight, show_again, take_shared
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Above, Picture, add_endpoint, of, sentences


def classify_tab(
    upload: gr.Image,
    above: Above,
    bank: gr.State,
    *,
    classify: Callable[..., CaseView],
    data: Callable[..., dict[str, object]],
) -> Picture:
    """Build *Classify* and take in new pictures.

    A picture that is refused is answered with a sentence, and the last good one put back: Gradio
    empties an upload before it takes the next file.

    Args:
        upload: The shared upload.
        above: What stands above all tabs and is filled by the same look at the picture.
        bank: What the classes are held by that this visitor taught; they are compared, too.
        classify: Picture or None, stop of the threshold, bank, `language` -> what is said of it.
        data: Path, operating point -> JSON-able values, for the endpoint.

    Returns:
        The picture for the other tabs to follow.
    """
    panel = gr.HTML(drawn(render.legend), elem_id="verdict")
    path, last_good, nearest = gr.State(None), gr.State(None), gr.State(())

    def accept(candidate: Any, stop: int, own: Any, *, language: str = "en") -> tuple[Any, ...]:
        case = classify(candidate, stop, own, language=language)
        answers = (of(candidate, html) for html in (case.notice, case.summary, case.verdict))
        return *answers, case.neighbors

    held = [path, last_good]
    taken = upload.change(sentences(take_shared), upload, held, **AT_ONCE)
    taken.failure(show_again, last_good, [upload, path], **QUIET, **INLINE)
    raw = {"preprocess": False, **QUIET, **INLINE}
    taken.success(in_sight, [upload, path], upload, **raw)
    shown = [above.notice, above.summary, panel, nearest]
    asked = [path, above.line, bank]
    accepted = taken.success(sentences(accept), asked, shown, **ON_PAGE)
    bank.change(sentences(accept), asked, shown, **ON_PAGE)
    point = gr.Textbox(POINTS[0], label="operating_point", visible=False)
    named = ("image", "operating_point")
    add_endpoint("classify", data, [upload, point], [gr.JSON(visible=False)], named=named)
    return Picture(upload, path, accepted, nearest, last_good)
