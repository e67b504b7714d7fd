"""The tab *Similar cases*: past cases most like a picture."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from dermsim.ui import callbacks
from dermsim.ui.tabs.wiring import ON_PAGE, Picture, add_endpoint, sentences


def similar_tab(
    picture: Picture,
    *,
    similar: Callable[[str | None, int], str],
    data: Callable[[str | None, int], list[dict[str, object]]],
) -> None:
    """Build *Similar cases*: cards of the nearest past cases.

    Args:
        picture: The shared picture.
        similar: Path or None, how many -> HTML.
        data: Path, how many -> JSON-able values, for the endpoint.
    """
    k = gr.Slider(
        1, callbacks.MAX_NEIGHBORS, value=6, step=1, label="How many cases", elem_id="how-many"
    )
    cards = gr.HTML(callbacks.NOTHING_SIMILAR, elem_id="cases")
    picture.accepted.success(sentences(similar), [picture.path, k], cards, **ON_PAGE)
    k.change(sentences(similar), [picture.path, k], cards, **ON_PAGE)
    add_endpoint("similar", data, [picture.upload, k], [gr.JSON(visible=False)])
