"""The tab *Explain*: where the evidence for a diagnosis lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dermsim.labels import LABELS
from dermsim.ui import callbacks
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Picture, add_endpoint, sentences


def explain_tab(
    picture: Picture,
    *,
    explain: Callable[..., tuple[Any, Any, str]],
    blend: Callable[[Any, float], Any],
    data: Callable[..., tuple[Any, dict[str, object]]],
) -> None:
    """Build *Explain*: a heatmap for any of the seven, its opacity at the visitor's hand.

    Args:
        picture: The shared picture.
        explain: Path or None, code or None, opacity -> (explanation, picture, HTML).
        blend: Explanation, opacity -> picture.
        data: As `explain`, for the endpoint -> (picture, JSON-able values).
    """
    kept = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280):
            drawn = gr.Image(
                label="Evidence",
                show_label=False,
                format="png",
                interactive=False,
                elem_id="evidence",
                buttons=["download", "fullscreen"],
                visible=False,
            )
            words = gr.HTML(callbacks.NOTHING_EXPLAINED, elem_id="evidence-words")
        with gr.Column(scale=2, min_width=240):
            choices = [("The model's own answer", ""), *((item.name, item.code) for item in LABELS)]
            target = gr.Radio(choices, value="", label="Evidence for", elem_id="target")
            opacity = gr.Slider(
                0, 1, value=0.6, step=0.05, label="Heatmap opacity", elem_id="opacity"
            )

    def show(path: str | None, code: str, share: float) -> tuple[Any, Any, str]:
        explanation, overlay, html = explain(path, code or None, share)
        return explanation, gr.Image(overlay, visible=overlay is not None), html

    inputs, outputs = [picture.path, target, opacity], [kept, drawn, words]
    picture.accepted.success(sentences(show), inputs, outputs, **ON_PAGE)
    target.input(sentences(show), inputs, outputs, **ON_PAGE)
    opacity.change(sentences(blend), [kept, opacity], drawn, **QUIET)

    def endpoint(image: str | None, target: str, opacity: float) -> tuple[Any, dict[str, object]]:
        return data(image, target or None, opacity)

    answer = [gr.Image(format="png", visible=False), gr.JSON(visible=False)]
    add_endpoint("explain", endpoint, [picture.upload, target, opacity], answer)
