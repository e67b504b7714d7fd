"""What the tab *Atlas* shows: the map of past cases, one of them, lists of them. Knows no Gradio.

A point of the map goes by its row, its place in `Atlas.records`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.csv_table import save_csv as write_csv
from dermsim.core.refused import Refused
from dermsim.ui import atlas_words, cards, figures, filters, render
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:  # it brings heavy libraries, and the page is served while they load
    from dermsim.engine import DermSim
    from dermsim.engine.atlas import Atlas
    from dermsim.tasks.atlas import ClusterScores, EmbeddingMap
    from dermsim.tasks.retrieve import Gallery

LAYOUT_NAMES = {"umap": "UMAP", "tsne": "t-SNE"}
"""What the two drawings of the map are called."""

LISTS = ("circled", "isolation", "margin", "disagree", "error")
"""The lists of cases that can be asked for; ``atlas.<list>`` is what one is called."""

DOUBTS = {"disagree": "neighbor_dx", "error": "predicted"}
"""Colours and lists that compare a measure with the diagnosis."""

CLUSTERS = ("cluster", "kmeans")
"""Colours that show groups which were found without any diagnosis."""

FEWEST, LARGEST = 3, 0.9
"""How many such groups there must be, and which share the largest may have, to say anything."""

LISTED = 200
"""Cases on the page at most; the CSV file has all that were circled."""

NEAREST = 6
"""Neighbours shown of a case."""

SHOWN = (
    "image_id",
    "dx",
    "neighbor_dx",
    "predicted",
    "age",
    "sex",
    "localization",
    "margin",
    "isolation",
    "uncertainty",
    "ood_score",
    "cluster",
)
"""Columns on the page, as far as the map has them; the CSV file has more."""

COLUMN_NAMES = {
    "dx": "facts.dx",
    "age": "facts.age",
    "sex": "facts.sex",
    "localization": "facts.localization",
    "neighbor_dx": "atlas.fact_neighbors",
}
"""What columns are called whose text is not ``atlas.fact_<name>``."""

CSV_NAME = "dermsim-cases.csv"

Rows = list[int]


@functools.lru_cache(maxsize=4)
def _join(drawn: EmbeddingMap, gallery: Gallery) -> Atlas:
    from dermsim.engine.atlas import Atlas

    return Atlas.of(drawn, gallery)


def atlas_of(engine: DermSim) -> Atlas:
    """Join a checkpoint's map to its gallery; the same pair is joined once."""
    return _join(engine.atlas, engine.gallery)


def choices(
    engine: DermSim, *, language: str = "en"
) -> tuple[filters.Offer, filters.Offer, filters.Offer]:
    """Return what layouts, colours and lists the map has, each as text and value."""
    atlas = atlas_of(engine).map
    return (
        [(LAYOUT_NAMES[name], name) for name in atlas.layouts],
        [offer for offer in color_choices(language) if _tells(atlas, offer[1])],
        [offer for offer in list_choices(language) if _measured(atlas, offer[1])],
    )


def color_choices(language: str = "en") -> filters.Offer:
    """Return all that points can be coloured by, as text and value."""
    return [(say(f"atlas.color_{name}", language), name) for name in figures.COLORS]


def list_choices(language: str = "en") -> filters.Offer:
    """Return all lists of cases, as text and value."""
    return [(say(f"atlas.{name}", language), name) for name in LISTS]


def draw(
    engine: DermSim,
    layout: str,
    color: str,
    image: str | None,
    *facts: Any,
    language: str = "en",
) -> str:
    """Draw the map.

    Args:
        engine: The loaded checkpoint.
        layout: One of the layouts in `choices`.
        color: One of its colours.
        image: Path of the visitor's picture, which gets a star, or None while there is none.
        facts: Of the cases in colour, as for `callbacks.similar`; the others are grey.
        language: The visitor's.

    Returns:
        A figure as Plotly's JSON.

    Raises:
        ValueError: If there is no such layout or colour, the filter is bad, or the picture cannot
            be read.
    """
    atlas = atlas_of(engine)
    if layout not in atlas.map.layouts:
        raise Refused("atlas_callbacks.no_layout", layout=layout, layouts=list(atlas.map.layouts))
    if color not in figures.COLORS or not _measured(atlas.map, color):
        raise Refused("atlas_callbacks.no_color", color=color)
    shown = _matching(atlas, facts)
    star = None
    if image is not None:
        star = atlas.map.transform(engine.embed([image]), layout=layout)[0]
    return figures.map_figure(
        atlas, layout=layout, color=color, shown=shown, star=star, language=language
    )


def listed(engine: DermSim, name: str, circled: Sequence[int], *facts: Any) -> Rows:
    """Return the rows of one of the `LISTS`, those that stand out most first.

    Args:
        engine: The loaded checkpoint.
        name: Which list.
        circled: Rows that the visitor circled; they are listed as they are.
        facts: Of the cases that the other lists are made of, as for `callbacks.similar`.

    Raises:
        ValueError: If there is no such list or row, or the filter is bad.
    """
    atlas = atlas_of(engine)
    if name not in LISTS or not _measured(atlas.map, name):
        raise Refused("atlas_callbacks.no_list", name=name)
    if name == "circled":
        return _checked(circled, atlas)
    rows, measures = _matching(atlas, facts), atlas.map.measures
    if name in DOUBTS:
        rows = rows[measures[DOUBTS[name]][rows] != np.array(atlas.dx)[rows]]
    # of those in doubt, the one whose neighbours are surest of something else comes first
    values = measures["isolation" if name == "isolation" else "margin"][rows].astype(np.float64)
    order = np.argsort(values if name == "margin" else -values, kind="stable")
    return rows[order][:LISTED].tolist()


def rows_table(
    engine: DermSim, rows: Sequence[int], *, language: str = "en"
) -> tuple[list[str], list[list[Any]]]:
    """Return the header and the cells of cases, at most `LISTED`, for the page.

    Only the CSV file calls its columns as programs do.
    """
    atlas = atlas_of(engine)
    kept = list(rows)[:LISTED]
    known = {*atlas.records.table.column_names, *atlas.map.measures}
    columns = [name for name in SHOWN if name in known]
    cases = _facts(atlas, kept)
    header = [say(COLUMN_NAMES.get(name, f"atlas.fact_{name}"), language) for name in columns]
    return header, [[_cell(name, case[name], language) for name in columns] for case in cases]


def count_html(rows: Sequence[int], *, language: str = "en") -> str:
    """Say how many cases a list has."""
    key = "atlas.one_case" if len(rows) == 1 else "atlas.cases"
    count = say(key, language, count=number(len(rows), language=language))
    if len(rows) > LISTED:
        count = say("atlas.shown", language, count=count, shown=LISTED)
    return f'<p class="ds ds-muted">{say("atlas.click_row", language, count=count)}</p>'


def save_csv(engine: DermSim, rows: Sequence[int], folder: str | Path) -> Path:
    """Write all that is known of cases into a CSV file, under the name the download gets."""
    atlas = atlas_of(engine)
    path = Path(folder) / CSV_NAME
    cases = _facts(atlas, list(rows))
    for row, case in zip(rows, cases, strict=True):
        for name, layout in atlas.map.layouts.items():
            case |= {f"{name}_x": float(layout[row, 0]), f"{name}_y": float(layout[row, 1])}
    write_csv(path, list(cases[0]) if cases else list(SHOWN), cases)
    return path


def case_panel(
    engine: DermSim,
    row: int | str,
    *,
    pictures: render.Pictures | None = None,
    language: str = "en",
) -> str:
    """Show one case of the map: its facts, what is measured of it, its neighbours.

    Args:
        engine: The loaded checkpoint.
        row: Its row, or its image_id.
        pictures: Where the cases' pictures come from, or None when no data set is at hand.
        language: The visitor's.

    Raises:
        ValueError: If there is no such case.
    """
    atlas = atlas_of(engine)
    if isinstance(row, str):
        if row not in atlas.map.image_ids:
            raise Refused("atlas_callbacks.no_case", row=row)
        row = atlas.map.image_ids.index(row)
    (place,) = _checked([row], atlas)
    case = atlas.records[place]
    vector = atlas.map.embeddings[place][None].astype(np.float32)
    own = case["lesion_id"]
    found = engine.gallery.search(
        vector,
        NEAREST if own is not None else NEAREST + 1,
        exclude_lesion_ids=[str(own) if own is not None else None],
        one_per_lesion=True,
    )[0]
    others = [neighbor for neighbor in found if neighbor.image_id != case["image_id"]][:NEAREST]
    measured = {name: values[place].item() for name, values in atlas.map.measures.items()}
    threshold = engine.detector.threshold
    return atlas_words.case_html(
        case, measured, others, pictures, threshold=threshold, row=place, language=language
    )


def hover_picture(
    engine: DermSim, row: int, *, pictures: render.Pictures | None = None, language: str = "en"
) -> str:
    """Show the picture of the case that is pointed at, small; nothing where there is none.

    Raises:
        ValueError: If there is no such case.
    """
    atlas = atlas_of(engine)
    (place,) = _checked([row], atlas)
    name = str(atlas.records[place]["image_id"])
    picture = pictures(name) if pictures else None
    shown = "" if picture is None else cards.thumbnail(picture, name, language)
    return f'<div data-row="{place}">{shown}</div>'


def agreement(engine: DermSim, *, language: str = "en") -> str:
    """Say how well clusters agree with diagnoses, as HTML."""
    return atlas_words.agreement_html(_agreement(atlas_of(engine)), language=language)


@functools.lru_cache(maxsize=4)
def _agreement(atlas: Atlas) -> dict[str, ClusterScores]:
    from dermsim.tasks.atlas import score_clusters

    return {
        text: score_clusters(atlas.map.measures[name], atlas.dx, atlas.map.embeddings)
        for name, text in (("cluster", "atlas.islands"), ("kmeans", "atlas.kmeans_groups"))
        if (np.asarray(atlas.map.measures[name]) >= 0).any()
    }


def _measured(drawn: EmbeddingMap, name: str) -> bool:
    """Say whether the map knows what a colour or list shows."""
    return name in ("dx", "circled") or DOUBTS.get(name, name) in drawn.measures


def _tells(drawn: EmbeddingMap, name: str) -> bool:
    """Say whether a colour shows anything: clusters of which one holds nearly all do not."""
    if name not in CLUSTERS or not _measured(drawn, name):
        return _measured(drawn, name)
    sizes = np.unique(np.asarray(drawn.measures[name]), return_counts=True)[1]
    return len(sizes) >= FEWEST and sizes.max() <= LARGEST * sizes.sum()


def _matching(atlas: Atlas, facts: Sequence[Any]) -> npt.NDArray[np.int64]:
    where = filters.where(facts[:-2], *facts[-2:]) if facts else {}
    rows = atlas.records.matching(where)
    return np.arange(len(atlas.map)) if rows is None else rows


def _checked(rows: Sequence[object], atlas: Atlas) -> Rows:
    checked = []
    for row in rows:
        if type(row) is not int or not 0 <= row < len(atlas.map):
            raise Refused("atlas_callbacks.no_case", row=row)
        checked.append(row)
    return checked


def _facts(atlas: Atlas, rows: Rows) -> list[dict[str, Any]]:
    """Return all that is known of cases, a dictionary each."""
    cases = atlas.records.take(np.array(rows, dtype=np.int64))
    return [
        {**case, **{name: values[row].item() for name, values in atlas.map.measures.items()}}
        for row, case in zip(rows, cases, strict=True)
    ]


def _cell(name: str, value: object, language: str) -> object:
    if isinstance(value, str) and name in cards.WORDS:
        return cards.fact_word(name, value, language)
    return round(value, 3) if isinstance(value, float) else value
