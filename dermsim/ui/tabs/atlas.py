"""The tab *Atlas*: a map of all past cases to point at, circle and colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
        hover: Row, `language` -> HTML of its picture; None where there are no pictures.
        rows: Name of a list, the circled rows, and the choice of facts -> rows.
        table: Rows, `language` -> header and cells.
        save: Rows, folder -> CSV file.
        agreement: `language` -> HTML.
    """

    choices: Callable[..., tuple[Any, Any, Any]]
    draw: Callable[..., str]
    case: Callable[..., str]
    hover: Callable[..., str] | None
    rows: Callable[..., list[int]]
    table: Callable[..., tuple[list[str], list[list[Any]]]]
    save: Callable[[list[int], str], Path]
    agreement: Callable[..., str]


@dataclass(frozen=True)
class _Map:
    """The map, and what a visitor chooses of it.

    Attributes:
        color: By which fact the cases are coloured.
        layout: How they are laid out.
        facts: Which of them are drawn.
        plot: The drawing.
        whose: Of which picture the star on it is.
        seen: The picture of the case that the pointer is over.
        pointer: Reports what is pointed at and what is circled.
        opened: Whether the tab has been opened; before that, nothing is drawn.
    """

    color: gr.Dropdown
    layout: gr.Radio
    facts: FactMenus
    plot: gr.Plot
    whose: gr.HTML
    seen: gr.HTML
    pointer: Any
    opened: gr.State


@dataclass(frozen=True)
class _Lists:
    """The lists of cases under the map.

    Attributes:
        which: Name of the list on show.
        download: Saves it as CSV.
        count: How many cases it has.
        table: Its rows, for reading.
        circled: Rows that were circled on the map.
        listed: Rows on show.
    """

    which: gr.Radio
    download: gr.DownloadButton
    count: gr.HTML
    table: gr.Dataframe
    circled: gr.State
    listed: gr.State


def atlas_tab(picture: Picture, tab: gr.Tab, page: AtlasPage) -> FactMenus:
    """Build *Atlas*.

    Args:
        picture: The shared picture, which gets a star on the map.
        tab: Where this stands; the map is drawn when it is first opened.
        page: What to ask.

    Returns:
        The menus of facts, to be filled.
    """
    mapped, search, shown = _place_map(hovers=page.hover is not None)
    lists = _place_lists()
    with gr.Accordion(say("atlas.scores"), open=False) as scores:
        agreement = gr.HTML(elem_id="atlas-agreement")

    def agree(*, language: str = "en") -> str:
        return page.agreement(language=language)

    drawing = _drawing(page, picture, mapped)
    listing: list[Any] = [
        sentences(page.rows),
        [lists.which, lists.circled, *mapped.facts.inputs],
        lists.listed,
    ]
    opened = _offer_choices(page, tab, mapped, lists)
    opened.success(*drawing, **ON_PAGE).success(*listing, **ON_PAGE)
    choices = (mapped.layout.input, mapped.color.input, mapped.facts.on_choice)
    for chosen in (picture.accepted.success, *choices):
        chosen(*drawing, **ON_PAGE)
    circled = _take_circles(mapped, lists)
    for chosen in (mapped.facts.on_choice, lists.which.input, circled.success):
        chosen(*listing, **ON_PAGE)
    _show_list(page, lists)
    _show_case(page, mapped, lists, search, shown)
    scores.expand(sentences(agree), None, agreement, **ON_PAGE)
    return mapped.facts


def _place_map(*, hovers: bool) -> tuple[_Map, gr.Textbox, gr.HTML]:
    """Place the map with what is chosen of it, the search, and beside it the case that is shown."""
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
        search = gr.Textbox(
            label=say("atlas.search"),
            placeholder="ISIC_0024306",
            max_lines=1,
            elem_id="atlas-search",
            min_width=200,
            scale=1,
        )
    script = Path(atlas_callbacks.__file__).with_name("atlas.js").read_text(encoding="utf-8")
    with gr.Row(equal_height=False, elem_id="atlas-both"):
        with gr.Column(elem_classes="ds-follows", scale=5, min_width=300):
            plot = gr.Plot(show_label=False, container=False, elem_id="atlas-plot")
            whose = gr.HTML("", elem_id="atlas-whose")
            seen = gr.HTML("", elem_id="atlas-hover")
            kind = "<i data-hovers></i>" if hovers else ""
            pointer = gr.HTML(kind, js_on_load=script, elem_id="atlas-pointer")
        with gr.Column(scale=3, min_width=280, elem_id="atlas-side"):
            shown = gr.HTML(drawn(no_case), elem_id="atlas-case")
    gr.HTML(drawn(how_to))
    with gr.Accordion(say("facts.only_with"), open=False, elem_id="atlas-facts"):
        facts = fact_menus("atlas")
    mapped = _Map(color, layout, facts, plot, whose, seen, pointer, opened=gr.State(False))
    return mapped, search, shown


def _place_lists() -> _Lists:
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
    return _Lists(which, download, count, table, circled=gr.State([]), listed=gr.State([]))


def _drawing(page: AtlasPage, picture: Picture, mapped: _Map) -> list[Any]:
    """Return what draws the map: its listener, inputs and outputs."""

    def draw(seen: bool, path: Any, *asked: Any, language: str = "en") -> Any:
        if not seen:
            return gr.skip(), gr.skip()
        layout, color, *chosen = asked
        drawn = page.draw(layout, color, path, *chosen, language=language)
        return gradio_seams.plot(drawn), of(path, "")

    return [
        sentences(draw),
        [mapped.opened, picture.path, mapped.layout, mapped.color, *mapped.facts.inputs],
        [mapped.plot, mapped.whose],
    ]


def _offer_choices(page: AtlasPage, tab: gr.Tab, mapped: _Map, lists: _Lists) -> Any:
    """Fill the menus, in the visitor's language at first and from the checkpoint once it is needed.

    Returns:
        The event of the tab's opening, after which the map can be drawn.
    """

    def offer_at_first(*, language: str = "en") -> tuple[Any, Any]:
        return gr.Dropdown(atlas_callbacks.color_choices(language)), gr.Radio(
            atlas_callbacks.list_choices(language)
        )

    def offer(*, language: str = "en") -> list[Any]:
        layouts, colors, names = page.choices(language=language)
        return [gr.Radio(layouts), gr.Dropdown(colors), gr.Radio(names), True]

    gr.on(None, sentences(offer_at_first), None, [mapped.color, lists.which], **QUIET)
    offered = [mapped.layout, mapped.color, lists.which, mapped.opened]
    return tab.select(sentences(offer), None, offered, **ON_PAGE)


def _take_circles(mapped: _Map, lists: _Lists) -> Any:
    """Keep the cases that are circled on the map; return the event after which they are new."""

    def circle(event: gr.EventData) -> tuple[list[int], str]:
        rows = list(event.rows)
        return rows, "circled" if rows else "isolation"

    taken = [lists.circled, lists.which]
    return mapped.pointer.circled(sentences(circle), None, taken, **ON_PAGE)


def _show_list(page: AtlasPage, lists: _Lists) -> None:
    """Show the rows on the list whenever they change, and have them ready as a file."""

    def show(rows: list[int], *, language: str = "en") -> tuple[Any, str]:
        header, cells = page.table(rows, language=language)
        count = atlas_callbacks.count_html(rows, language=language)
        return gr.Dataframe(value={"headers": header, "data": cells}), count

    def save(rows: list[int]) -> Any:
        saved = inline.written(partial(page.save, rows)) if rows else None
        return gr.update(value=saved, interactive=saved is not None)

    listed = lists.listed
    listed.change(sentences(show), listed, [lists.table, lists.count], **ON_PAGE)
    listed.change(sentences(save), listed, lists.download, **ON_PAGE, **INLINE)


def _show_case(
    page: AtlasPage, mapped: _Map, lists: _Lists, search: gr.Textbox, shown: gr.HTML
) -> None:
    """Show the case that is clicked, on the map or on the list, or searched for."""

    def pointed(event: gr.EventData, *, language: str = "en") -> str:
        return page.case(event.row, language=language)

    def chosen_in_table(event: gr.SelectData, *, language: str = "en") -> str:
        return page.case(str(event.row_value[0]), language=language)

    def searched(name: str, *, language: str = "en") -> Any:
        wanted = name.strip()
        return page.case(wanted, language=language) if wanted else gr.skip()

    mapped.pointer.pointed(sentences(pointed), None, shown, **ON_PAGE)
    search.submit(sentences(searched), search, shown, **ON_PAGE)
    if page.hover is not None:
        hover = page.hover

        def hovered(event: gr.EventData, *, language: str = "en") -> str:
            return hover(event.row, language=language)

        quiet = {**ON_PAGE, "show_progress": "hidden", "concurrency_id": "draw"}
        mapped.pointer.hovered(sentences(hovered), None, mapped.seen, **quiet)
    lists.table.select(sentences(chosen_in_table), None, shown, **ON_PAGE)
