"""The tab *Atlas*: a map of all past cases to point at, circle and colour."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from dermsim.ui import atlas_callbacks, gradio_seams, inline, render
from dermsim.ui.i18n import say
from dermsim.ui.tabs.case_filters import FactMenus, fact_menus
from dermsim.ui.tabs.holding import INLINE
from dermsim.ui.tabs.page import drawn
from dermsim.ui.tabs.wiring import ON_PAGE, QUIET, Picture, of, sentences


def no_case(language: str = "en") -> str:
    """Return what the tab says while no case is pointed at."""
    return render.empty(say("atlas.no_case", language), say("atlas.no_case_how", language))


def how_to(language: str = "en") -> str:
    """Return how the map is read and used."""
    return f'<p class="ds ds-muted">{say("atlas.how_to", language)}</p>'


@dataclass(frozen=True)
class AtlasPage:
    """What the tab asks for.

    Attributes:
        choices: `language` -> what layouts, colours and lists there are, each as text and value.
        draw: Layout, colour, path or None, the choice of facts, `language` -> Plotly's JSON.
        case: Row or image_id, `language` -> HTML.
        rows: Name of a list, the circled rows, and the choice of facts -> rows.
        table: Rows, `language` -> header and cells.
        save: Rows, folder -> CSV file.
        agreement: `language` -> HTML.
    """

    choices: Callable[..., tuple[Any, Any, Any]]
    draw: Callable[..., str]
    case: Callable[..., str]
    rows: Callable[..., list[int]]
    table: Callable[..., tuple[list[str], list[list[Any]]]]
    save: Callable[[list[int], str], Path]
    agreement: Callable[..., str]


def atlas_tab(picture: Picture, tab: gr.Tab, page: AtlasPage) -> FactMenus:
    """Build *Atlas*.

    Args:
        picture: The shared picture, which gets a star on the map.
        tab: Where this stands; the map is drawn when it is first opened.
        page: What to ask.

    Returns:
        The menus of facts, to be filled.
    """
    with gr.Row():
        color = gr.Dropdown(
            atlas_callbacks.color_choices(),
            value="dx",
            label=say("atlas.color"),
            elem_id="atlas-color",
            min_width=200,
            scale=2,
        )
        layout = gr.Radio(
            [(text, name) for name, text in atlas_callbacks.LAYOUT_NAMES.items()],
            value="umap",
            label=say("atlas.layout"),
            elem_id="atlas-layout",
            min_width=200,
            scale=1,
        )
    with gr.Accordion(say("facts.only_with"), open=False, elem_id="atlas-facts"):
        facts = fact_menus("atlas")
    gr.HTML(drawn(how_to))
    with gr.Column(elem_classes="ds-follows"):
        plot = gr.Plot(show_label=False, container=False, elem_id="atlas-plot")
        whose = gr.HTML("", elem_id="atlas-whose")
        script = Path(atlas_callbacks.__file__).with_name("atlas.js").read_text(encoding="utf-8")
        pointer = gr.HTML("", js_on_load=script, elem_id="atlas-pointer")
    shown = gr.HTML(drawn(no_case), elem_id="atlas-case")
    with gr.Row(elem_id="atlas-lists"):
        which = gr.Radio(
            atlas_callbacks.list_choices(),
            value="isolation",
            label=say("atlas.list"),
            elem_id="atlas-list",
            min_width=240,
            scale=4,
        )
        download = gr.DownloadButton(
            say("atlas.save"),
            size="sm",
            interactive=False,
            min_width=120,
            elem_id="atlas-csv",
            scale=1,
        )
    count = gr.HTML(elem_id="atlas-count")
    table = gr.Dataframe(
        interactive=False, max_height=420, elem_id="atlas-table", show_label=False, wrap=False
    )
    with gr.Accordion(say("atlas.scores"), open=False) as scores:
        agreement = gr.HTML(elem_id="atlas-agreement")
    circled, listed, opened = gr.State([]), gr.State([]), gr.State(False)

    def offer_at_first(*, language: str = "en") -> tuple[Any, Any]:
        return gr.Dropdown(atlas_callbacks.color_choices(language)), gr.Radio(
            atlas_callbacks.list_choices(language)
        )

    def offer(*, language: str = "en") -> list[Any]:
        layouts, colors, lists = page.choices(language=language)
        return [gr.Radio(layouts), gr.Dropdown(colors), gr.Radio(lists), True]

    def draw(seen: bool, path: Any, *asked: Any, language: str = "en") -> Any:
        if not seen:
            return gr.skip(), gr.skip()
        layout, color, *chosen = asked
        drawn = page.draw(layout, color, path, *chosen, language=language)
        return gradio_seams.plot(drawn), of(path, "")

    def show(rows: list[int], *, language: str = "en") -> tuple[Any, str]:
        header, cells = page.table(rows, language=language)
        count = atlas_callbacks.count_html(rows, language=language)
        return gr.Dataframe(value={"headers": header, "data": cells}), count

    def save(rows: list[int]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            saved = inline.file(page.save(rows, folder)) if rows else None
        return gr.update(value=saved, interactive=saved is not None)

    def pointed(event: gr.EventData, *, language: str = "en") -> str:
        return page.case(event.row, language=language)

    def chosen_in_table(event: gr.SelectData, *, language: str = "en") -> str:
        return page.case(str(event.row_value[0]), language=language)

    def agree(*, language: str = "en") -> str:
        return page.agreement(language=language)

    def circle(event: gr.EventData) -> tuple[list[int], str]:
        rows = list(event.rows)
        return rows, "circled" if rows else "isolation"

    drawing: list[Any] = [
        sentences(draw),
        [opened, picture.path, layout, color, *facts.inputs],
        [plot, whose],
    ]
    lists: list[Any] = [sentences(page.rows), [which, circled, *facts.inputs], listed]
    gr.on(None, sentences(offer_at_first), None, [color, which], **QUIET)
    first = tab.select(sentences(offer), None, [layout, color, which, opened], **ON_PAGE)
    first.success(*drawing, **ON_PAGE).success(*lists, **ON_PAGE)
    listed.change(sentences(show), listed, [table, count], **ON_PAGE)
    listed.change(sentences(save), listed, download, **ON_PAGE, **INLINE)
    picture.accepted.success(*drawing, **ON_PAGE)
    layout.input(*drawing, **ON_PAGE)
    color.input(*drawing, **ON_PAGE)
    facts.on_choice(*drawing, **ON_PAGE)
    facts.on_choice(*lists, **ON_PAGE)
    which.input(*lists, **ON_PAGE)
    pointer.pointed(sentences(pointed), None, shown, **ON_PAGE)
    circles = pointer.circled(sentences(circle), None, [circled, which], **ON_PAGE)
    circles.success(*lists, **ON_PAGE)
    table.select(sentences(chosen_in_table), None, shown, **ON_PAGE)
    scores.expand(sentences(agree), None, agreement, **ON_PAGE)
    return facts
