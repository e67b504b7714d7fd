"""Draws the map of cases as Plotly's JSON, and what is said of its points as HTML.

The JSON is written out here, since the page brings Plotly's JavaScript along: no other package is
needed. Every string that is not ours passes through `html.escape`; Plotly reads texts as HTML, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.labels import CODES, LABELS, diagnosis
from dermsim.ui import cards, render

if TYPE_CHECKING:
    from dermsim.mapping import Atlas
    from dermsim.tasks.atlas import ClusterScores
    from dermsim.tasks.retrieve import Neighbor

COLORS = {
    "dx": "Diagnosis",
    "disagree": "Neighbours agree or not",
    "error": "Classifier right or wrong",
    "ood_score": "Strangeness",
    "uncertainty": "Uncertainty",
    "cluster": "Islands (HDBSCAN)",
    "kmeans": "Groups (k-means)",
}
"""What points can be coloured by."""

SCALES = {"ood_score": "ood score", "uncertainty": "bits"}
"""Those of them that are numbers, with the title of their scale."""

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
) -> str:
    """Draw a map.

    Args:
        atlas: The map and its cases. A point carries its row as ``customdata``.
        layout: Which drawing of the map.
        color: A name in `COLORS`, for which the map has the measure.
        shown: Rows ``(n,)`` in colour; the others are small and grey, and cannot be chosen.
        star: ``(2,)`` where to put the visitor's picture, or None.

    Returns:
        A figure as Plotly's JSON.
    """
    points = atlas.map.layouts[layout].astype(np.float64).round(3)
    kind = "scatter" if len(points) <= SVG_POINTS else "scattergl"
    texts = _texts(atlas)
    rest = np.setdiff1d(np.arange(len(points)), shown)
    traces = [_hidden(points[rest], kind)] if len(rest) else []
    if color in SCALES:
        traces.append(_scale(atlas, points, shown, texts, color, kind))
    else:
        traces += [
            _group(points[rows], rows, texts, name, tone, kind, legend=number < NAMED)
            for number, (name, tone, rows) in enumerate(_groups(atlas, color, shown))
        ]
    if star is not None:
        traces.append(_star(star))
    figure = {"data": traces, "layout": _layout(layout, len(shown)), "config": CONFIG}
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


def _layout(layout: str, shown: int) -> dict[str, Any]:
    axis = {"visible": False, "zeroline": False}
    return {
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
        "size": 6,
        "opacity": 0.85,
        "line": {"width": 0.5, "color": "rgba(0,0,0,.28)"},
    } | changes


def _trace(points: npt.NDArray[np.float64], kind: str, **changes: Any) -> dict[str, Any]:
    x, y = points.T.tolist()
    return {"type": kind, "mode": "markers", "x": x, "y": y, **changes}


def _hidden(points: npt.NDArray[np.float64], kind: str) -> dict[str, Any]:
    marker = {"size": 4, "opacity": 0.28, "color": GREY}
    return _trace(points, kind, hoverinfo="skip", showlegend=False, marker=marker)


def _group(
    points: npt.NDArray[np.float64],
    rows: Rows,
    texts: Sequence[str],
    name: str,
    tone: str,
    kind: str,
    *,
    legend: bool,
) -> dict[str, Any]:
    return _trace(
        points,
        kind,
        name=f"{name} · {len(rows):,}",
        marker=_marker(color=tone),
        customdata=rows.tolist(),
        text=[texts[row] for row in rows],
        hovertemplate=f"%{{text}}<extra>{name}</extra>",
        showlegend=legend,
    )


def _scale(
    atlas: Atlas,
    points: npt.NDArray[np.float64],
    shown: Rows,
    texts: Sequence[str],
    color: str,
    kind: str,
) -> dict[str, Any]:
    """Colour points by a number; the largest are drawn last, so that none hides them."""
    values = np.asarray(atlas.map.measures[color], dtype=np.float64)
    rows = shown[np.argsort(values[shown], kind="stable")]
    # a few extremes would leave one colour for all the others
    low, high = np.quantile(values, [0.01, 0.99]).round(4).tolist()
    bar = {"title": {"text": SCALES[color], "side": "right"}, "thickness": 12, "outlinewidth": 0}
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
        name=COLORS[color],
        marker=marker,
        customdata=rows.tolist(),
        text=[texts[row] for row in rows],
        hovertemplate=f"%{{text}}<extra>%{{marker.color:.2f}} {SCALES[color]}</extra>",
        showlegend=False,
    )


def _star(place: npt.NDArray[np.float32]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(float(place[0]), 3)],
        "y": [round(float(place[1]), 3)],
        "name": "Your picture",
        "marker": {
            "symbol": "star",
            "size": 22,
            "color": "#ffffff",
            "line": {"width": 2.5, "color": "#a8431a"},
        },
        "hovertemplate": "Your picture, among the cases most like it<extra></extra>",
        "showlegend": True,
    }


def _groups(atlas: Atlas, color: str, shown: Rows) -> list[tuple[str, str, Rows]]:
    """Part the rows into groups with name and colour; what is drawn later lies on top."""
    dx = np.array(atlas.dx)
    if color == "dx":
        kinds = [(item.name, item.color, item.code) for item in LABELS]
        own = [(code, GREY, code) for code in sorted(set(dx.tolist()) - set(CODES))]
        found = [(n, tone, shown[dx[shown] == code]) for n, tone, code in [*kinds, *own]]
        # rare diagnoses would be lost under the common ones
        return sorted((g for g in found if len(g[2])), key=lambda group: -len(group[2]))
    if color in ("disagree", "error"):
        answer = atlas.map.measures["neighbor_dx" if color == "disagree" else "predicted"]
        wrong = answer[shown] != dx[shown]
        words = ("agree", "disagree") if color == "disagree" else ("right", "wrong")
        groups = [(words[0], CALM, shown[~wrong]), (words[1], ALARM, shown[wrong])]
        return [group for group in groups if len(group[2])]
    numbers = np.asarray(atlas.map.measures[color])
    groups = []
    for number in np.unique(numbers[shown]).tolist():
        name = "outside" if number < 0 else str(number + 1)
        tone = GREY if number < 0 else PALETTE[number % len(PALETTE)]
        groups.append(
            (_cluster_name(name, dx[numbers == number]), tone, shown[numbers[shown] == number])
        )
    return groups


def _cluster_name(name: str, dx: npt.NDArray[np.str_]) -> str:
    if name == "outside":
        return "in none"
    codes, counts = np.unique(dx, return_counts=True)
    best = int(counts.argmax())
    return f"{name}: {counts[best] / counts.sum():.0%} {escape(str(codes[best]))}"


def _texts(atlas: Atlas) -> list[str]:
    """Put each case into a few words for when it is pointed at."""
    texts = []
    for case in atlas.records:
        facts = cards.case_facts(case)
        age = [f"{facts['Age']} years"] if "Age" in facts else []
        words = [*age, *(facts[name] for name in ("Sex", "Site") if name in facts)]
        name = render.name_of(str(case["dx"]))
        lines = [f"<b>{escape(name)}</b>", escape(", ".join(words)), escape(str(case["image_id"]))]
        texts.append("<br>".join(lines))
    return texts


# -- words ----------------------------------------------------------------------------------------


def case_html(
    case: Mapping[str, object],
    measured: Mapping[str, Any],
    neighbors: Sequence[Neighbor],
    pictures: render.Pictures | None,
    *,
    threshold: float,
) -> str:
    """Show one case with what is measured of it, and its neighbours beside it.

    Args:
        case: Its facts.
        measured: What the map says of it, by a name in `MEASURES`.
        neighbors: The cases of other lesions most like it.
        pictures: Where pictures come from, or None.
        threshold: Strangeness from which a picture counts as unfamiliar.
    """
    facts = {
        name: value for name, value in case.items() if name not in ("image_id", "lesion_id", "dx")
    }
    own = cards.case_card(
        str(case["image_id"]), str(case["dx"]), facts, pictures, more=_measured(measured, threshold)
    )
    others = "".join(cards.neighbor_card(neighbor, pictures) for neighbor in neighbors)
    return (
        f'<div class="ds"><div class="ds-atlas-case"><div>{own}</div><div>'
        f"<h4>Most like it, of other lesions</h4>{cards.census(neighbors)}"
        f'<div class="ds-cases">{others}</div></div></div></div>'
    )


def _measured(measured: Mapping[str, Any], threshold: float) -> dict[str, str]:
    """Put what the map says of a case into words."""
    words = {}
    if "predicted" in measured:
        words["Classifier"] = render.name_of(measured["predicted"])
    if "neighbor_dx" in measured:
        lead = measured.get("margin", 0.0)
        words["Neighbours"] = f"{render.name_of(measured['neighbor_dx'])}, by {lead:.0%}"
    if "uncertainty" in measured:
        words["Uncertainty"] = f"{measured['uncertainty']:.2f} bits"
    if "ood_score" in measured:
        score = measured["ood_score"]
        words["Strangeness"] = f"{score:.1f}" + (" (unfamiliar)" if score > threshold else "")
    if "cluster" in measured:
        number = measured["cluster"]
        words["Island"] = "none" if number < 0 else str(number + 1)
    return words


def agreement_html(found: Mapping[str, ClusterScores]) -> str:
    """Say how well each kind of cluster agrees with the diagnoses."""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{len(s.clusters)}</td><td>{s.outside:.0%}</td>"
        f"<td>{s.purity:.0%}</td><td>{s.adjusted_rand:.2f}</td><td>{s.mutual_information:.2f}</td>"
        f"<td>{s.silhouette:.2f}</td></tr>"
        for name, s in found.items()
    )
    chips = "".join(
        f"<section><h4>{escape(name)}, one by one</h4><ul class='ds-chips'>{_clusters(scores)}</ul>"
        "</section>"
        for name, scores in found.items()
    )
    return (
        '<div class="ds"><p class="ds-muted">The map knows no diagnosis: it was drawn from what '
        "pictures look like to the encoder. Where its groups are of one diagnosis, likeness and "
        "diagnosis agree. ARI and NMI are 0 by chance and 1 when they agree wholly.</p>"
        '<table class="ds-table"><thead><tr><th></th><th>groups</th><th>in none</th><th>purity</th>'
        f"<th>ARI</th><th>NMI</th><th>silhouette</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{chips}</div>"
    )


def _clusters(scores: ClusterScores) -> str:
    return "".join(
        f'<li style="--tone:{_tone(c.dx)}">{c.cluster + 1}: {c.purity:.0%} '
        f"{escape(render.name_of(c.dx))}, {c.size:,}</li>"
        for c in scores.clusters[:NAMED]
    )


def _tone(code: str) -> str:
    return diagnosis(code).color if code in CODES else GREY
