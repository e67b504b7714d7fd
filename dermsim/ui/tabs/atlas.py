"""The tab *Atlas*: a map of all past cases to point at, circle and colour."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from dermsim.ui import atlas, figures, render
from dermsim.ui.tabs.facts import FactMenus, fact_menus
from dermsim.ui.tabs.wiring import ON_PAGE, Picture, of, sentences

NO_CASE = render.empty(
    "Point at a case",
    "Click a point of the map to see what is known of it and which cases are most like it.",
)

HOW_TO = (
    '<p class="ds ds-muted">Every point is a past case; cases that look alike to the model lie '
    "close together. <strong>Click</strong> a point for its facts and neighbours, "
    "<strong>draw around</strong> several to list them, double-click to begin again. Distances "
    "between far groups mean little. What is said of these cases is flattered: the model was "
    "trained on them.</p>"
)


@dataclass(frozen=True)
class AtlasPage:
    """What the tab asks for.

    Attributes:
        choices: () -> what layouts, colours and lists there are, each as text and value.
        draw: Layout, colour, path or None, and the choice of facts -> Plotly's JSON.
        case: Row or image_id -> HTML.
        rows: Name of a list, the circled rows, and the choice of facts -> rows.
        table: Rows -> header and cells.
        save: Rows, folder -> CSV file.
        agreement: () -> HTML.
    """

    choices: Callable[[], tuple[Any, Any, Any]]
    draw: Callable[..., str]
    case: Callable[[int | str], str]
    rows: Callable[..., list[int]]
    table: Callable[[list[int]], tuple[list[str], list[list[Any]]]]
    save: Callable[[list[int], str], Path]
    agreement: Callable[[], str]


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
            [(text, name) for name, text in figures.COLORS.items()],
            value="dx",
            label="Colour by",
            elem_id="atlas-color",
            scale=2,
        )
        layout = gr.Radio(
            [(text, name) for name, text in atlas.LAYOUT_NAMES.items()],
            value="umap",
            label="Drawn by",
            elem_id="atlas-layout",
            scale=1,
        )
    with gr.Accordion("Only cases with certain facts", open=False, elem_id="atlas-facts"):
        facts = fact_menus("atlas")
    gr.HTML(HOW_TO)
    with gr.Column(elem_classes="ds-follows"):
        plot = gr.Plot(show_label=False, container=False, elem_id="atlas-plot")
        whose = gr.HTML("", elem_id="atlas-whose")
        script = Path(atlas.__file__).with_name("atlas.js").read_text(encoding="utf-8")
        pointer = gr.HTML("", js_on_load=script, elem_id="atlas-pointer")
    shown = gr.HTML(NO_CASE, elem_id="atlas-case")
    with gr.Row(elem_id="atlas-lists"):
        which = gr.Radio(
            [(text, name) for name, text in atlas.LISTS.items()],
            value="isolation",
            label="List",
            elem_id="atlas-list",
            scale=4,
        )
        download = gr.DownloadButton(
            "Save as CSV", size="sm", interactive=False, min_width=120, elem_id="atlas-csv", scale=1
        )
    count = gr.HTML(elem_id="atlas-count")
    table = gr.Dataframe(
        interactive=False, max_height=420, elem_id="atlas-table", show_label=False, wrap=False
    )
    with gr.Accordion("Do groups on the map agree with diagnoses?", open=False) as scores:
        agreement = gr.HTML(elem_id="atlas-agreement")
    circled, listed, opened = gr.State([]), gr.State([]), gr.State(False)

    def offer() -> list[Any]:
        layouts, colors, lists = page.choices()
        return [gr.Radio(layouts), gr.Dropdown(colors), gr.Radio(lists), True]

    def draw(seen: bool, path: str | None, *asked: Any) -> Any:
        if not seen:
            return gr.skip(), gr.skip()
        layout, color, *chosen = asked
        drawn = page.draw(layout, color, path, *chosen)
        return PlotData(type="plotly", plot=drawn), of(path, "")

    def show(rows: list[int]) -> Iterator[tuple[Any, Any, str]]:
        header, cells = page.table(rows)
        with tempfile.TemporaryDirectory() as folder:
            saved = str(page.save(rows, folder)) if rows else None
            # Gradio has copied the file into its own cache when it asks for the next value
            yield (
                gr.Dataframe(value={"headers": header, "data": cells}),
                gr.DownloadButton(value=saved, interactive=saved is not None),
                atlas.count_html(rows),
            )

    def pointed(event: gr.EventData) -> str:
        return page.case(event.row)

    def chosen_in_table(event: gr.SelectData) -> str:
        return page.case(str(event.row_value[0]))

    def circle(event: gr.EventData) -> tuple[list[int], str]:
        rows = list(event.rows)
        return rows, "circled" if rows else "isolation"

    drawing: list[Any] = [
        sentences(draw),
        [opened, picture.path, layout, color, *facts.inputs],
        [plot, whose],
    ]
    lists: list[Any] = [sentences(page.rows), [which, circled, *facts.inputs], listed]
    first = tab.select(sentences(offer), None, [layout, color, which, opened], **ON_PAGE)
    first.success(*drawing, **ON_PAGE).success(*lists, **ON_PAGE)
    listed.change(show, listed, [table, download, count], **ON_PAGE)
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
    scores.expand(sentences(page.agreement), None, agreement, **ON_PAGE)
    return facts
