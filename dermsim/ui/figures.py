"""Draws the map of cases as Plotly's JSON; what is said of its points is in `atlas_words`.

The JSON is written out here, since the page brings Plotly's JavaScript along: no other package is
needed. Every string that is not ours passes through `html.escape`; Plotly reads texts as HTML, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES, LABELS
from dermsim.core.language import words
from dermsim.ui import cards, render
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:
    from dermsim.engine.atlas import Atlas

COLORS = ("dx", "disagree", "error", "ood_score", "uncertainty", "cluster", "kmeans")
"""What points can be coloured by; ``atlas.color_<name>`` is what it is called."""

MIXED = ("disagree", "error")
"""Those of which neither group may lie on top: it would look like all there is."""

LAYERS = 12
"""Parts into which each of such groups is dealt, to be drawn in turn."""

SCALES = ("ood_score", "uncertainty")
"""Those of them that are numbers; ``atlas.scale_<name>`` is the title of their scale."""

SVG_POINTS = 15_000
"""Points that are drawn as vectors at most; beyond, as pixels by the graphics card."""

HEIGHT = 600
"""Of the map, in pixels."""

RAMP = [[0.0, "#44286e"], [0.33, "#21788c"], [0.67, "#3cbe82"], [1.0, "#fae63c"]]
"""Violet, teal, yellow: light rises along it, so it reads in grey and to colour-blind eyes."""

PALETTE = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"),
    *("#997700", "#004488", "#bb5566", "#44bb99"),
)
"""Colours of clusters, after Paul Tol; from the eleventh on they come again."""

GREY, ALARM, CALM, INK = "#b9b4ab", "#c8501e", "#7fa8a2", "#736f69"

NAMED = 12
"""Clusters that the legend names; the others are named when pointed at."""

Rows = npt.NDArray[np.int64]


def map_figure(
    atlas: Atlas,
    *,
    layout: str,
    color: str,
    shown: Rows,
    star: npt.NDArray[np.float32] | None = None,
    language: str = "en",
) -> str:
    """Draw a map.

    Args:
        atlas: The map and its cases. A point carries its row as ``customdata``.
        layout: Which drawing of the map.
        color: A name in `COLORS`, for which the map has the measure.
        shown: Rows ``(n,)`` in colour; the others are small and grey, and cannot be chosen.
        star: ``(2,)`` where to put the visitor's picture, or None.
        language: The visitor's.

    Returns:
        A figure as Plotly's JSON.
    """
    points = atlas.map.layouts[layout].astype(np.float64).round(3)
    kind = "scatter" if len(points) <= SVG_POINTS else "scattergl"
    texts = _texts(atlas, language)
    rest = np.setdiff1d(np.arange(len(points)), shown)
    traces = [_hidden(points[rest], rest, kind)] if len(rest) else []
    if color in SCALES:
        traces.append(_scale(atlas, points, shown, texts, color, kind, language))
    else:
        groups = _groups(atlas, color, shown, language)
        titles = [(name, number(len(rows), language=language)) for name, _, rows in groups]
        parts = _shuffled(groups) if color in MIXED else list(enumerate(groups))
        named: set[int] = set()
        for place, (_, tone, rows) in parts:
            legend = place < NAMED and place not in named
            named.add(place)
            title = titles[place]
            traces.append(_group(points[rows], rows, texts, title, tone, kind, legend=legend))
    if star is not None:
        traces.append(_star(star, language))
    figure = {"data": traces, "layout": _layout(layout, len(shown), language), "config": CONFIG}
    return json.dumps(figure, allow_nan=False)


CONFIG = {
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtons": [
        ["lasso2d", "select2d", "zoom2d", "pan2d"],
        ["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"],
    ],
    "toImageButtonOptions": {"filename": "dermsim-atlas", "scale": 2},
}


def _layout(layout: str, shown: int, language: str) -> dict[str, Any]:
    axis = {"visible": False, "zeroline": False}
    marks = words(language, "language")
    return {
        "separators": marks["decimal"] + marks["thousands"],
        "dragmode": "lasso",
        "hovermode": "closest",
        "height": HEIGHT,
        "margin": {"l": 4, "r": 4, "t": 34, "b": 4},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "IBM Plex Sans, system-ui, sans-serif", "size": 13, "color": INK},
        "xaxis": axis,
        "yaxis": {**axis, "scaleanchor": "x"},
        "legend": {"orientation": "h", "y": -0.01, "yanchor": "top", "itemsizing": "constant"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": INK, "activecolor": "#23877b"},
        "newselection": {"line": {"color": "#23877b", "width": 2, "dash": "solid"}},
        "hoverlabel": {"align": "left"},
        # a change of colours keeps the view and what was circled; one of the cases shown, the view
        "uirevision": layout,
        "selectionrevision": f"{layout} {shown}",
    }


def _marker(**changes: Any) -> dict[str, Any]:
    return {
        "size": 5,
        "opacity": 0.7,
        "line": {"width": 0.5, "color": "rgba(0,0,0,.28)"},
    } | changes


def _trace(points: npt.NDArray[np.float64], kind: str, **changes: Any) -> dict[str, Any]:
    x, y = points.T.tolist()
    return {"type": kind, "mode": "markers", "x": x, "y": y, **changes}


def _hidden(points: npt.NDArray[np.float64], rows: Rows, kind: str) -> dict[str, Any]:
    marker = {"size": 4, "opacity": 0.28, "color": GREY}
    # they cannot be chosen, but a case that was searched for is marked all the same
    ids = [str(row) for row in rows.tolist()]
    return _trace(points, kind, ids=ids, hoverinfo="skip", showlegend=False, marker=marker)


def _shuffled(groups: Sequence[tuple[str, str, Rows]]) -> list[tuple[int, tuple[str, str, Rows]]]:
    """Deal groups into layers in turn, so that none hides the others; each has its place."""
    rng = np.random.default_rng(0)
    dealt = [np.array_split(rng.permutation(rows), LAYERS) for _, _, rows in groups]
    return [
        (place, (name, tone, dealt[place][layer]))
        for layer in range(LAYERS)
        for place, (name, tone, _) in enumerate(groups)
        if len(dealt[place][layer])
    ]


def _group(
    points: npt.NDArray[np.float64],
    rows: Rows,
    texts: Sequence[str],
    title: tuple[str, str],
    tone: str,
    kind: str,
    *,
    legend: bool,
) -> dict[str, Any]:
    return _trace(
        points,
        kind,
        name=" · ".join(title).replace(" / ", " /<br>"),  # the longest name, on a narrow screen
        marker=_marker(color=tone),
        customdata=rows.tolist(),
        text=[texts[row] for row in rows],
        hovertemplate=f"%{{text}}<extra>{title[0]}</extra>",
        showlegend=legend,
        legendgroup=title[0],
    )


def _scale(
    atlas: Atlas,
    points: npt.NDArray[np.float64],
    shown: Rows,
    texts: Sequence[str],
    color: str,
    kind: str,
    language: str,
) -> dict[str, Any]:
    """Colour points by a number; the largest are drawn last, so that none hides them."""
    values = np.asarray(atlas.map.measures[color], dtype=np.float64)
    rows = shown[np.argsort(values[shown], kind="stable")]
    # a few extremes would leave one colour for all the others
    low, high = np.quantile(values, [0.01, 0.99]).round(4).tolist()
    unit = say(f"atlas.scale_{color}", language)
    bar = {"title": {"text": unit, "side": "right"}, "thickness": 12, "outlinewidth": 0}
    marker = _marker(
        color=values[rows].round(4).tolist(),
        cmin=low,
        cmax=max(high, low + 1e-6),
        colorscale=RAMP,
        showscale=True,
        colorbar=bar,
    )
    return _trace(
        points[rows],
        kind,
        name=say(f"atlas.color_{color}", language),
        marker=marker,
        customdata=rows.tolist(),
        text=[texts[row] for row in rows],
        hovertemplate=f"%{{text}}<extra>%{{marker.color:.2f}} {unit}</extra>",
        showlegend=False,
    )


def _star(place: npt.NDArray[np.float32], language: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(float(place[0]), 3)],
        "y": [round(float(place[1]), 3)],
        "name": say("atlas.star", language),
        "marker": {
            "symbol": "star",
            "size": 22,
            "color": "#ffffff",
            "line": {"width": 2.5, "color": "#a8431a"},
        },
        "hovertemplate": f"{say('atlas.star_hint', language)}<extra></extra>",
        "showlegend": True,
    }


def _groups(atlas: Atlas, color: str, shown: Rows, language: str) -> list[tuple[str, str, Rows]]:
    """Part the rows into groups with name and colour; what is drawn later lies on top."""
    dx = np.array(atlas.dx)
    if color == "dx":
        kinds = [(render.name_of(x.code, language), x.color, x.code) for x in LABELS]
        own = [(escape(code), GREY, code) for code in sorted(set(dx.tolist()) - set(CODES))]
        found = [(n, tone, shown[dx[shown] == code]) for n, tone, code in [*kinds, *own]]
        # rare diagnoses would be lost under the common ones
        return sorted((g for g in found if len(g[2])), key=lambda group: -len(group[2]))
    if color in ("disagree", "error"):
        answer = atlas.map.measures["neighbor_dx" if color == "disagree" else "predicted"]
        wrong = answer[shown] != dx[shown]
        words = ("agree", "disagree") if color == "disagree" else ("right", "wrong")
        names = [say(f"atlas.group_{word}", language) for word in words]
        groups = [(names[0], CALM, shown[~wrong]), (names[1], ALARM, shown[wrong])]
        return [group for group in groups if len(group[2])]
    numbers = np.asarray(atlas.map.measures[color])
    groups = []
    for cluster in np.unique(numbers[shown]).tolist():
        name = _cluster_name(cluster, dx[numbers == cluster], language)
        tone = GREY if cluster < 0 else PALETTE[cluster % len(PALETTE)]
        groups.append((name, tone, shown[numbers[shown] == cluster]))
    return groups


def _cluster_name(cluster: int, dx: npt.NDArray[np.str_], language: str) -> str:
    if cluster < 0:
        return say("atlas.group_outside", language)
    codes, counts = np.unique(dx, return_counts=True)
    best = int(counts.argmax())
    return f"{cluster + 1}: {counts[best] / counts.sum():.0%} {escape(str(codes[best]))}"


def _texts(atlas: Atlas, language: str) -> list[str]:
    """Put each case into a few words for when it is pointed at."""
    texts = []
    for case in atlas.records:
        facts = cards.known_facts(case, language=language)
        if "age" in facts:
            facts["age"] = say("atlas.years", language, age=facts["age"])
        words = [facts[fact] for fact in ("age", "sex", "localization") if fact in facts]
        name = render.name_of(str(case["dx"]), language)
        lines = [f"<b>{escape(name)}</b>", escape(", ".join(words)), escape(str(case["image_id"]))]
        texts.append("<br>".join(lines))
    return texts
