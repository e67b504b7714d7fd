"""The tab *Explain*: where the evidence lies, for a diagnosis or for the likeness of two cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dermsim.core.explain_methods import DEFAULT
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


@dataclass(frozen=True)
class ExplainPage:
    """What the tab asks for.

    Attributes:
        explain: Path or None, bank, the choices of target, method, layer and smoothing,
            `language` -> (explanation, HTML).
        compare: Path or None, a case, the choices of method, layer and smoothing, `language` ->
            (explanation, HTML).
        menus: Path or None, `language` -> what the menus of methods, layers and cases offer.
        data: Path, target, opacity, method, layer, smoothing, outline -> (picture, JSON-able
            values), for the endpoint.
    """

    explain: Callable[..., tuple[Any, str]]
    compare: Callable[..., tuple[Any, str]]
    menus: Callable[..., tuple[Any, Any, Any]]
    data: Callable[..., tuple[Any, dict[str, object]]]


@dataclass(frozen=True)
class _Choices:
    """What is explained, by which method, and how it is drawn."""

    target: gr.Dropdown
    method: gr.Dropdown
    layer: gr.Dropdown
    smooth: gr.Checkbox
    opacity: gr.Slider
    outlined: gr.Checkbox

    @property
    def how(self) -> list[Any]:
        """What a map of a diagnosis and one of a likeness both depend on."""
        return [self.method, self.layer, self.smooth]

    @property
    def style(self) -> list[Any]:
        """What only the drawing depends on."""
        return [self.opacity, self.outlined]


@dataclass(frozen=True)
class _Evidence:
    """The picture with the evidence on it, what is said of it, and the explanation behind it."""

    kept: gr.State
    slider: gr.ImageSlider
    words: gr.HTML


@dataclass(frozen=True)
class _Likeness:
    """The past case to compare with, the two pictures and the explanation behind them."""

    pair: gr.State
    case: gr.Dropdown
    image: gr.Image
    words: gr.HTML


def explain_tab(picture: Picture, bank: gr.State, page: ExplainPage) -> None:
    """Build *Explain*: a heatmap for any target by any method, and maps of a likeness.

    Args:
        picture: The shared picture.
        bank: What this visitor's session knows; its classes can be explained, too.
        page: What to ask.
    """
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280, elem_classes="ds-follows"):
            evidence = _place_evidence()
        with gr.Column(scale=2, min_width=240):
            choices = _place_choices()
    with gr.Column(elem_classes="ds-follows"):
        likeness = _place_likeness()
    _wire_maps(page, picture, bank, choices, evidence, likeness)
    _wire_menus(page, picture, bank, choices, likeness)
    answer = [gr.Image(format="png", visible=False), gr.JSON(visible=False)]
    asked = [
        picture.upload,
        choices.target,
        choices.opacity,
        choices.method,
        gr.Textbox("", label="layer", visible=False),  # the menu's layers are not known yet
        choices.smooth,
        choices.outlined,
    ]
    named = ("image", "target", "opacity", "method", "layer", "smooth", "outlined")
    add_endpoint("explain", page.data, asked, answer, named=named, **EXPLAIN)


def _place_evidence() -> _Evidence:
    slider = gr.ImageSlider(
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
    return _Evidence(gr.State(None), slider, words)


def _place_choices() -> _Choices:
    return _Choices(
        target=gr.Dropdown(
            explain_callbacks.target_choices(None),
            value="",
            label=say("explain.target"),
            elem_id="target",
        ),
        method=gr.Dropdown(
            explain_callbacks.method_choices(),
            value=DEFAULT,
            label=say("explain.method"),
            elem_id="method",
        ),
        layer=gr.Dropdown(
            explain_callbacks.layer_choices(), value="", label=say("explain.layer"), elem_id="layer"
        ),
        smooth=gr.Checkbox(label=say("explain.smooth"), elem_id="smooth"),
        opacity=gr.Slider(
            0, 1, value=0.6, step=0.05, label=say("explain.opacity"), elem_id="opacity"
        ),
        outlined=gr.Checkbox(True, label=say("explain.outline"), elem_id="outline"),
    )


def _place_likeness() -> _Likeness:
    case = gr.Dropdown([], label=say("explain.case"), visible=False, elem_id="case")
    image = gr.Image(
        label=say("explain.alike"),
        show_label=False,
        format="png",
        interactive=False,
        elem_id="alike",
        buttons=["download", "fullscreen"],
        visible=False,
    )
    return _Likeness(gr.State(None), case, image, gr.HTML("", elem_id="alike-words"))


def _wire_maps(
    page: ExplainPage,
    picture: Picture,
    bank: gr.State,
    choices: _Choices,
    evidence: _Evidence,
    likeness: _Likeness,
) -> None:
    """Explain whenever the picture or a choice is new; draw again when only the style is."""

    def show(
        share: float, line: bool, path: Any, *asked: Any, language: str = "en"
    ) -> tuple[Any, Any, str]:
        explanation, html = page.explain(path, *asked, language=language)
        images = drawn_slider(explanation, share, line)
        kept = hold_explanation(explanation)
        return kept, gr.update(value=images, visible=images is not None), of(path, html)

    def show_pair(
        share: float, line: bool, path: Any, *asked: Any, language: str = "en"
    ) -> tuple[Any, Any, str]:
        explanation, html = page.compare(path, *asked, language=language)
        image = drawn_pair(explanation, share, line)
        kept = hold_explanation(explanation)
        return kept, gr.update(value=image, visible=image is not None), of(path, html)

    def redraw(explanation: Any, two: Any, share: float, line: bool) -> tuple[Any, Any]:
        return drawn_slider(explanation, share, line), drawn_pair(two, share, line)

    single: list[Any] = [
        sentences(show),
        [*choices.style, picture.path, bank, choices.target, *choices.how],
        [evidence.kept, evidence.slider, evidence.words],
    ]
    double: list[Any] = [
        sentences(show_pair),
        [*choices.style, picture.path, likeness.case, *choices.how],
        [likeness.pair, likeness.image, likeness.words],
    ]
    picture.accepted.success(*single, **EVIDENCE)
    # a menu's `input` comes twice: when an option is chosen and when the menu is left
    choices.target.select(*single, **EVIDENCE)
    for chosen in (choices.method.select, choices.layer.select, choices.smooth.input):
        chosen(*single, **EVIDENCE).success(*double, **EVIDENCE)
    likeness.case.select(*double, **EVIDENCE)
    drawings: list[Any] = [evidence.slider, likeness.image]
    known: list[Any] = [evidence.kept, likeness.pair, *choices.style]
    for knob in choices.style:
        knob.change(sentences(redraw), known, drawings, **DRAWING, **INLINE)


def _wire_menus(
    page: ExplainPage,
    picture: Picture,
    bank: gr.State,
    choices: _Choices,
    likeness: _Likeness,
) -> None:
    """Fill the menus: in the visitor's language, and with what the picture and the bank allow."""

    def offer(path: Any, *, language: str = "en") -> tuple[Any, ...]:
        methods, layers, cases = page.menus(path, language=language)
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

    menus: list[Any] = [choices.method, choices.layer]
    offers = [*menus, likeness.case, likeness.pair, likeness.image, likeness.words]
    picture.accepted.success(sentences(offer), picture.path, offers, **ON_PAGE)
    offering: Any = (sentences(offer_targets), [bank, choices.target], choices.target)
    bank.change(*offering, **QUIET)
    gr.on(None, sentences(offer_at_first), None, menus, **QUIET).then(*offering, **QUIET)


def drawn_slider(explanation: Any, share: float, line: bool) -> list[inline.Inline] | None:
    """Draw an explanation as the value of an image slider: the picture without it, and with it."""
    images = explain_callbacks.blend(explanation, share, line)
    return None if images is None else [inline.picture(image, name=NAME) for image in images]


def drawn_pair(explanation: Any, share: float, line: bool) -> inline.Inline | None:
    """Draw the maps of a likeness as the value of an image."""
    image = explain_callbacks.blend_pair(explanation, share, line)
    return None if image is None else inline.picture(image, name=NAME)
