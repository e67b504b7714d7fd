"""The tab *Compare*: the visitor's picture beside a second one, or beside a past case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from dermsim.ui import compare_callbacks, explain_callbacks, inline
from dermsim.ui.i18n import say
from dermsim.ui.tabs.holding import AT_ONCE, INLINE, hold_explanation, take
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import (
    DRAWING,
    EXPLAIN,
    ON_PAGE,
    QUIET,
    Picture,
    add_endpoint,
    of,
    picture_input,
    sentences,
)

NAMES = ("compared-1.png", "compared-2.png")
"""What the two painted pictures are called when they are downloaded."""

MAPS: dict[str, Any] = {**ON_PAGE, **EXPLAIN, **INLINE}


def compare_tab(
    picture: Picture,
    line: gr.Slider,
    *,
    compare: Callable[..., compare_callbacks.ComparisonView],
    data: Callable[..., tuple[Any, Any, dict[str, object]]],
) -> None:
    """Build *Compare*: how alike two pictures are, and what makes them so, painted on both.

    Args:
        picture: The shared picture.
        line: The stop of the alert line.
        compare: Picture or None, second picture or None, a case, a stop, `language` -> the two
            beside each other.
        data: Path, second path, case -> two pictures and JSON-able values, for the endpoint.
    """
    kept, second = gr.State(None), gr.State(None)
    other, case, painted = _place_second()
    words, images, facts = _place_answer()

    def show(with_maps: bool, first: Any, *asked: Any, language: str = "en") -> tuple[Any, ...]:
        found = compare(first, *asked, language=language)
        html = (found.words, found.first, found.second)
        pictures = _images(compare_callbacks.paint(found.explanation, with_maps))
        return hold_explanation(found.explanation), *pictures, *(of(first, text) for text in html)

    def choose(
        with_maps: bool, first: Any, uploaded: Any, *asked: Any, language: str = "en"
    ) -> tuple[Any, ...]:
        if uploaded is not None:  # when it has gone, its own event shows the case
            return None, *[gr.skip()] * len(shown)
        return gr.skip(), *show(with_maps, first, uploaded, *asked, language=language)

    def offer(neighbors: Sequence[Any], *, language: str = "en") -> Any:
        return gr.Dropdown(explain_callbacks.named_cases(neighbors, language=language), value=None)

    def repaint(explanation: Any, with_maps: bool) -> list[Any]:
        return _images(compare_callbacks.paint(explanation, with_maps))

    shown: list[Any] = [kept, *images, words, *facts]
    asked: list[Any] = [painted, picture.path, second, case, line]
    followed = picture.accepted.success(sentences(offer), picture.nearest, case, **QUIET)
    followed.success(sentences(show), asked, shown, **MAPS)
    case.select(sentences(choose), asked, [other, *shown], **MAPS)
    other.input(lambda: None, None, case, **QUIET)
    taken = other.change(sentences(_take), other, second, **AT_ONCE)
    taken.failure(lambda: None, None, other, **QUIET)
    taken.success(sentences(show), asked, shown, **MAPS)
    painted.input(sentences(repaint), [kept, painted], images, **DRAWING, **INLINE)
    named = gr.Textbox("", label="case", visible=False)
    answer = [gr.Image(format="png", visible=False) for _ in range(2)]
    inputs = [picture.upload, other, named]
    answers = [*answer, gr.JSON(visible=False)]
    add_endpoint("likeness", data, inputs, answers, named=("image", "other", "case"), **EXPLAIN)


def _place_second() -> tuple[gr.Image, gr.Dropdown, gr.Checkbox]:
    """Place what the second picture is chosen by, and whether both are painted."""
    with gr.Row(equal_height=False):
        other = picture_input(
            say("compare.second"),
            height=190,
            min_width=240,
            elem_id="second",
            buttons=[],
            placeholder=say("compare.upload"),
        )
        with gr.Column(min_width=240):
            case = gr.Dropdown([], label=say("compare.cases"), elem_id="second-case")
            painted = gr.Checkbox(True, label=say("compare.maps"), elem_id="painted")
    return other, case, painted


def _place_answer() -> tuple[gr.HTML, list[gr.Image], list[gr.HTML]]:
    """Place what is said of the likeness, and under it the two pictures with their facts."""
    with gr.Column(elem_classes="ds-follows"):
        words = gr.HTML(drawn(compare_callbacks.nothing_compared), elem_id="likeness")
        with gr.Row(equal_height=False):
            sides = [_side("first"), _side("other")]
    return words, [image for image, _ in sides], [facts for _, facts in sides]


def _side(name: str) -> tuple[gr.Image, gr.HTML]:
    """Place one of the two pictures, and under it what is said of it."""
    with gr.Column(min_width=280):
        image = gr.Image(
            label=say(f"compare.{'first' if name == 'first' else 'second'}_title"),
            format="png",
            interactive=False,
            elem_id=f"compared-{name}",
            buttons=["download", "fullscreen"],
            visible=False,
        )
        facts = gr.HTML("", elem_id=f"facts-{name}")
    return image, facts


def _take(source: Any) -> Any:
    """Read the second picture into memory; a refused one is simply taken away."""
    return take(source)[0]


def _images(pictures: Sequence[Any]) -> list[Any]:
    """Return the painted pictures as their components' values; those that are none are hidden."""
    return [
        gr.update(
            value=None if image is None else inline.picture(image, name=name),
            visible=image is not None,
        )
        for image, name in zip(pictures, NAMES, strict=True)
    ]
