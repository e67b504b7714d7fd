"""The tab *Explain*: where the evidence lies, for a diagnosis or for the likeness of two cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from dermsim.ui import explain_callbacks, inline
from dermsim.ui.i18n import say
from dermsim.ui.tabs.holding import INLINE, hold_explanation
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import (
    DRAWING,
    EXPLAIN,
    ON_PAGE,
    QUIET,
    Picture,
    add_endpoint,
    of,
    sentences,
)

NAME = "evidence.png"
"""What a downloaded picture is called."""

EVIDENCE: dict[str, Any] = {**ON_PAGE, **EXPLAIN, **INLINE}


def explain_tab(
    picture: Picture,
    bank: gr.State,
    *,
    explain: Callable[..., tuple[Any, str]],
    compare: Callable[..., tuple[Any, str]],
    menus: Callable[..., tuple[Any, Any, Any]],
    data: Callable[..., tuple[Any, dict[str, object]]],
) -> None:
    """Build *Explain*: a heatmap for any target by any method, and maps of a likeness.

    Args:
        picture: The shared picture.
        bank: What this visitor's session knows; its classes can be explained, too.
        explain: Path or None, bank, the choices of target, method, layer and smoothing,
            `language` -> (explanation, HTML).
        compare: Path or None, a case, the choices of method, layer and smoothing, `language` ->
            (explanation, HTML).
        menus: Path or None, `language` -> what the menus of methods, layers and cases offer.
        data: Path, target, opacity, method, layer, smoothing, outline -> (picture, JSON-able
            values), for the endpoint.
    """
    kept, pair = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280, elem_classes="ds-follows"):
            evidence = gr.ImageSlider(
                label=say("explain.evidence"),
                show_label=False,
                format="png",
                interactive=False,
                elem_id="evidence",
                buttons=["download", "fullscreen"],
                slider_position=0,
                visible=False,
            )
            words = gr.HTML(drawn(explain_callbacks.nothing_explained), elem_id="evidence-words")
        with gr.Column(scale=2, min_width=240):
            target, method, layer, smooth = _explain_menus()
            opacity = gr.Slider(
                0, 1, value=0.6, step=0.05, label=say("explain.opacity"), elem_id="opacity"
            )
            outlined = gr.Checkbox(True, label=say("explain.outline"), elem_id="outline")
    with gr.Column(elem_classes="ds-follows"):
        case = gr.Dropdown([], label=say("explain.case"), visible=False, elem_id="case")
        alike = gr.Image(
            label=say("explain.alike"),
            show_label=False,
            format="png",
            interactive=False,
            elem_id="alike",
            buttons=["download", "fullscreen"],
            visible=False,
        )
        alike_words = gr.HTML("", elem_id="alike-words")

    def show(
        share: float, line: bool, path: Any, *asked: Any, language: str = "en"
    ) -> tuple[Any, Any, str]:
        explanation, html = explain(path, *asked, language=language)
        images = drawn_slider(explanation, share, line)
        kept = hold_explanation(explanation)
        return kept, gr.update(value=images, visible=images is not None), of(path, html)

    def show_pair(
        share: float, line: bool, path: Any, *asked: Any, language: str = "en"
    ) -> tuple[Any, Any, str]:
        explanation, html = compare(path, *asked, language=language)
        image = drawn_pair(explanation, share, line)
        kept = hold_explanation(explanation)
        return kept, gr.update(value=image, visible=image is not None), of(path, html)

    def offer(path: Any, *, language: str = "en") -> tuple[Any, ...]:
        methods, layers, cases = menus(path, language=language)
        offered = gr.Dropdown(cases, value=None, visible=bool(cases))
        hidden = gr.Image(visible=False)
        return gr.Dropdown(methods), gr.Dropdown(layers), offered, None, hidden, of(path, "")

    def offer_targets(own: Any, now: str | None, *, language: str = "en") -> Any:
        offered = explain_callbacks.target_choices(own, language=language)
        known = now in [value for _, value in offered]  # it may have been a class that is gone
        return gr.Dropdown(offered, value=now if known else "")

    def offer_at_first(*, language: str = "en") -> tuple[Any, Any]:
        methods = explain_callbacks.method_choices(language=language)
        return gr.Dropdown(methods), gr.Dropdown(explain_callbacks.layer_choices(language=language))

    def redraw(explanation: Any, two: Any, share: float, line: bool) -> tuple[Any, Any]:
        return drawn_slider(explanation, share, line), drawn_pair(two, share, line)

    style: list[Any] = [opacity, outlined]
    how: list[Any] = [method, layer, smooth]
    single = ([*style, picture.path, bank, target, *how], [kept, evidence, words])
    double = ([*style, picture.path, case, *how], [pair, alike, alike_words])
    offers = [method, layer, case, pair, alike, alike_words]
    picture.accepted.success(sentences(show), *single, **EVIDENCE)
    picture.accepted.success(sentences(offer), picture.path, offers, **ON_PAGE)
    # a menu's `input` comes twice: when an option is chosen and when the menu is left
    target.select(sentences(show), *single, **EVIDENCE)
    for chosen in (method.select, layer.select, smooth.input):
        chosen(sentences(show), *single, **EVIDENCE).success(
            sentences(show_pair), *double, **EVIDENCE
        )
    case.select(sentences(show_pair), *double, **EVIDENCE)
    for knob in style:
        knob.change(sentences(redraw), [kept, pair, *style], [evidence, alike], **DRAWING, **INLINE)
    offering: Any = (sentences(offer_targets), [bank, target], target)
    bank.change(*offering, **QUIET)
    gr.on(None, sentences(offer_at_first), None, [method, layer], **QUIET).then(*offering, **QUIET)
    answer = [gr.Image(format="png", visible=False), gr.JSON(visible=False)]
    asked = [picture.upload, target, opacity, *how, outlined]
    add_endpoint("explain", data, asked, answer, **EXPLAIN)


def drawn_slider(explanation: Any, share: float, line: bool) -> list[inline.Inline] | None:
    """Draw an explanation as the value of an image slider: the picture without it, and with it."""
    images = explain_callbacks.blend(explanation, share, line)
    return None if images is None else [inline.picture(image, name=NAME) for image in images]


def drawn_pair(explanation: Any, share: float, line: bool) -> inline.Inline | None:
    """Draw the maps of a likeness as the value of an image."""
    image = explain_callbacks.blend_pair(explanation, share, line)
    return None if image is None else inline.picture(image, name=NAME)


def _explain_menus() -> tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown, gr.Checkbox]:
    """Place the choices of what is explained and how."""
    return (
        gr.Dropdown(
            explain_callbacks.target_choices(None),
            value="",
            label=say("explain.target"),
            elem_id="target",
        ),
        gr.Dropdown(
            explain_callbacks.method_choices(),
            value="gradcam",
            label=say("explain.method"),
            elem_id="method",
        ),
        gr.Dropdown(
            explain_callbacks.layer_choices(), value="", label=say("explain.layer"), elem_id="layer"
        ),
        gr.Checkbox(label=say("explain.smooth"), elem_id="smooth"),
    )
