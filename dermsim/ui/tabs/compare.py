"""The tab *Compare*: the visitor's picture beside a second one, or beside a past case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from dermsim.ui import comparing
from dermsim.ui.i18n import say
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Picture, add_endpoint, of, sentences


def compare_tab(
    picture: Picture,
    line: gr.Slider,
    *,
    compare: Callable[..., comparing.Comparison],
    data: Callable[..., tuple[Any, Any, dict[str, object]]],
) -> None:
    """Build *Compare*: how alike two pictures are, and what makes them so, painted on both.

    Args:
        picture: The shared picture.
        line: The stop of the alert line.
        compare: Path or None, second path or None, a case, a stop -> the two beside each other.
        data: Path, second path, case -> two pictures and JSON-able values, for the endpoint.
    """
    kept = gr.State(None)
    with gr.Row(equal_height=False):
        other = gr.Image(
            label=say("compare.second"),
            show_label=False,
            type="filepath",
            sources=["upload", "webcam", "clipboard"],
            webcam_options=gr.WebcamOptions(mirror=False),
            height=190,
            min_width=240,
            elem_id="second",
            buttons=[],
            placeholder=say("compare.upload"),
        )
        with gr.Column(min_width=240):
            case = gr.Dropdown([], label=say("compare.cases"), elem_id="second-case")
            painted = gr.Checkbox(True, label=say("compare.maps"), elem_id="painted")
    with gr.Column(elem_classes="ds-follows"):
        words = gr.HTML(comparing.nothing_compared(), elem_id="likeness")
        with gr.Row(equal_height=False):
            sides = [_side("first"), _side("other")]
    drawn, facts = [side[0] for side in sides], [side[1] for side in sides]

    def show(with_maps: bool, path: str | None, *asked: Any) -> tuple[Any, ...]:
        found = compare(path, *asked)
        html = (found.words, found.first, found.second)
        pictures = _images(comparing.paint(found.explanation, with_maps))
        return found.explanation, *pictures, *(of(path, text) for text in html)

    def choose(with_maps: bool, path: str | None, second: str | None, *asked: Any) -> Any:
        if second is not None:  # when it has gone, its own event shows the case
            return None, *[gr.skip()] * len(shown)
        return gr.skip(), *show(with_maps, path, second, *asked)

    def offer(neighbors: Sequence[Any]) -> Any:
        return gr.Dropdown(comparing.choices(neighbors), value=None)

    shown: list[Any] = [kept, *drawn, words, *facts]
    asked: list[Any] = [painted, picture.path, other, case, line]
    followed = picture.accepted.success(sentences(offer), picture.nearest, case, **QUIET)
    followed.success(sentences(show), asked, shown, **ON_PAGE)
    case.select(sentences(choose), asked, [other, *shown], **ON_PAGE)
    other.input(lambda: None, None, case, **QUIET)
    added = other.change(sentences(show), asked, shown, **ON_PAGE)
    added.failure(lambda: None, None, other, **QUIET)
    painted.input(
        lambda two, on: _images(comparing.paint(two, on)), [kept, painted], drawn, **QUIET
    )
    named = gr.Textbox("", label="case", visible=False)
    answer = [gr.Image(format="png", visible=False) for _ in range(2)]
    add_endpoint(
        "likeness", data, [picture.upload, other, named], [*answer, gr.JSON(visible=False)]
    )


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


def _images(pictures: Sequence[Any]) -> list[gr.Image]:
    return [gr.Image(image, visible=image is not None) for image in pictures]
