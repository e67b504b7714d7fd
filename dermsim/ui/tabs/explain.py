"""The tab *Explain*: where the evidence lies, for a diagnosis or for the likeness of two cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dermsim.ui import explaining
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Picture, add_endpoint, of, sentences


def explain_tab(
    picture: Picture,
    bank: gr.State,
    *,
    explain: Callable[..., tuple[Any, str]],
    compare: Callable[..., tuple[Any, str]],
    menus: Callable[[str | None], tuple[Any, Any, Any]],
    data: Callable[..., tuple[Any, dict[str, object]]],
) -> None:
    """Build *Explain*: a heatmap for any target by any method, and maps of a likeness.

    Args:
        picture: The shared picture.
        bank: What this visitor's session knows; its classes can be explained, too.
        explain: Path or None, bank, and the choices of target, method, layer and smoothing ->
            (explanation, HTML).
        compare: Path or None, a case, and the choices of method, layer and smoothing ->
            (explanation, HTML).
        menus: Path or None -> what the menus of methods, layers and cases offer.
        data: Path, target, opacity, method, layer, smoothing, outline -> (picture, JSON-able
            values), for the endpoint.
    """
    kept, pair = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280, elem_classes="ds-follows"):
            drawn = gr.ImageSlider(
                label="The picture, and the evidence in it",
                show_label=False,
                format="png",
                interactive=False,
                elem_id="evidence",
                buttons=["download", "fullscreen"],
                slider_position=0,
                visible=False,
            )
            words = gr.HTML(explaining.NOTHING_EXPLAINED, elem_id="evidence-words")
        with gr.Column(scale=2, min_width=240):
            target, method, layer, smooth = _explain_menus()
            opacity = gr.Slider(
                0, 1, value=0.6, step=0.05, label="Heatmap opacity", elem_id="opacity"
            )
            outlined = gr.Checkbox(True, label="Outline the map's top half", elem_id="outline")
    with gr.Column(elem_classes="ds-follows"):
        case = gr.Dropdown(
            [], label="Why is it like a past case? Choose one", visible=False, elem_id="case"
        )
        alike = gr.Image(
            label="What makes them alike",
            show_label=False,
            format="png",
            interactive=False,
            elem_id="alike",
            buttons=["download", "fullscreen"],
            visible=False,
        )
        alike_words = gr.HTML("", elem_id="alike-words")

    def show(share: float, line: bool, path: str | None, *asked: Any) -> tuple[Any, Any, str]:
        explanation, html = explain(path, *asked)
        images = explaining.blend(explanation, share, line)
        return explanation, gr.ImageSlider(images, visible=images is not None), of(path, html)

    def show_pair(share: float, line: bool, path: str | None, *asked: Any) -> tuple[Any, Any, str]:
        explanation, html = compare(path, *asked)
        image = explaining.blend_pair(explanation, share, line)
        return explanation, gr.Image(image, visible=image is not None), of(path, html)

    def offer(path: str | None) -> tuple[Any, ...]:
        methods, layers, cases = menus(path)
        offered = gr.Dropdown(cases, value=None, visible=bool(cases))
        hidden = gr.Image(visible=False)
        return gr.Dropdown(methods), gr.Dropdown(layers), offered, None, hidden, of(path, "")

    def redraw(explanation: Any, two: Any, share: float, line: bool) -> tuple[Any, Any]:
        return explaining.blend(explanation, share, line), explaining.blend_pair(two, share, line)

    style: list[Any] = [opacity, outlined]
    how: list[Any] = [method, layer, smooth]
    single = ([*style, picture.path, bank, target, *how], [kept, drawn, words])
    double = ([*style, picture.path, case, *how], [pair, alike, alike_words])
    offers = [method, layer, case, pair, alike, alike_words]
    picture.accepted.success(sentences(show), *single, **ON_PAGE)
    picture.accepted.success(sentences(offer), picture.path, offers, **ON_PAGE)
    # a menu's `input` comes twice: when an option is chosen and when the menu is left
    target.select(sentences(show), *single, **ON_PAGE)
    for chosen in (method.select, layer.select, smooth.input):
        chosen(sentences(show), *single, **ON_PAGE).success(
            sentences(show_pair), *double, **ON_PAGE
        )
    case.select(sentences(show_pair), *double, **ON_PAGE)
    for knob in style:
        knob.change(sentences(redraw), [kept, pair, *style], [drawn, alike], **QUIET)
    bank.change(lambda own: gr.Dropdown(explaining.target_choices(own)), bank, target, **QUIET)
    answer = [gr.Image(format="png", visible=False), gr.JSON(visible=False)]
    add_endpoint("explain", data, [picture.upload, target, opacity, *how, outlined], answer)


def _explain_menus() -> tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown, gr.Checkbox]:
    """Place the choices of what is explained and how."""
    return (
        gr.Dropdown(
            explaining.target_choices(None), value="", label="Evidence for", elem_id="target"
        ),
        gr.Dropdown(explaining.method_choices(), value="gradcam", label="Method", elem_id="method"),
        gr.Dropdown(explaining.layer_choices(), value="", label="Layer", elem_id="layer"),
        gr.Checkbox(label="Smooth: average over turns and mirror images", elem_id="smooth"),
    )
