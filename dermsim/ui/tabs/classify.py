"""The tab *Classify*: what a picture may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dermsim.tasks.classify import POINTS
from dermsim.ui import render
from dermsim.ui.callbacks import Case
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Above, Picture, add_endpoint, of, sentences


def classify_tab(
    upload: gr.Image,
    above: Above,
    *,
    classify: Callable[..., Case],
    data: Callable[..., dict[str, object]],
) -> Picture:
    """Build *Classify* and take in new pictures.

    A picture that is refused is answered with a sentence, and the last good one put back: Gradio
    empties an upload before it takes the next file.

    Args:
        upload: The shared upload.
        above: What stands above all tabs and is filled by the same look at the picture.
        classify: Path or None, stop of the alert line, `language` -> what is said of it.
        data: Path, operating point -> JSON-able values, for the endpoint.

    Returns:
        The picture for the other tabs to follow.
    """
    panel = gr.HTML(render.legend(), elem_id="verdict")
    path, last_good, nearest = gr.State(None), gr.State(None), gr.State(())

    def accept(candidate: str | None, stop: int) -> tuple[Any, ...]:
        case = classify(candidate, stop)
        answers = (of(candidate, html) for html in (case.notice, case.summary, case.verdict))
        return *answers, case.neighbors, candidate, candidate or gr.skip()

    shown = [above.notice, above.summary, panel, nearest, path, last_good]
    accepted = upload.change(sentences(accept), [upload, above.line], shown, **ON_PAGE)
    accepted.failure(_same, last_good, upload, **QUIET)
    point = gr.Textbox(POINTS[0], label="operating_point", visible=False)
    add_endpoint("classify", data, [upload, point], [gr.JSON(visible=False)])
    return Picture(upload, path, accepted, nearest)


def _same(value: Any) -> Any:
    return value
