"""The tab *Classify*: what a picture may be."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from dermsim.ui import render
from dermsim.ui.tabs.holding import AT_ONCE, INLINE, show_again, take
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Picture, add_endpoint, sentences


def classify_tab(
    upload: gr.Image,
    notice: gr.HTML,
    *,
    classify: Callable[..., tuple[str, str]],
    data: Callable[[str | None], dict[str, object]],
) -> Picture:
    """Build *Classify* and take in new pictures.

    A picture that is refused is answered with a sentence, and the last good one put back: Gradio
    empties an upload before it takes the next file.

    Args:
        upload: The shared upload.
        notice: Above all tabs, for what must be read before any label.
        classify: Path or None, `language` -> HTML of the notice, HTML of the verdict.
        data: Path -> JSON-able values, for the endpoint.

    Returns:
        The picture for the other tabs to follow.
    """
    panel = gr.HTML(drawn(render.legend), elem_id="verdict")
    path, last_good = gr.State(None), gr.State(None)

    held = [path, last_good]
    taken = upload.change(sentences(take), upload, held, **AT_ONCE)
    taken.failure(show_again, last_good, [upload, path], **QUIET, **INLINE)
    accepted = taken.success(sentences(classify), path, [notice, panel], **ON_PAGE)
    add_endpoint("classify", data, [upload], [gr.JSON(visible=False)])
    return Picture(upload, path, accepted)
