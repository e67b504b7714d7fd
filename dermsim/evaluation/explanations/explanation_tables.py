"""What was measured of explanations, in words and tables for the card and the README."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from dermsim.core.bootstrap import Interval
from dermsim.core.labels import CODES
from dermsim.core.markdown import markdown_table
from dermsim.evaluation.explanations.explanation_report import (
    BASELINES,
    GAUSSIAN,
    ExplanationReport,
    MapReport,
    map_title,
)

WHERE = {
    "pointing": "pointing game ↑",
    "energy": "energy inside ↑",
    "iou": "IoU ↑",
    "energy_gain": "energy over the Gaussian's",
}
"""Measures of where maps lie, as columns."""

WHETHER = {
    "road": "ROAD ↑",
    "road_most": "most relevant first ↓",
    "road_least": "least relevant first ↑",
    "road_gain": "ROAD over the Gaussian's",
    "insertion": "insertion ↑",
    "deletion": "deletion ↓",
}
"""Measures of whether the model cares about what maps show, as columns."""

IN_SHORT = {
    name: {**WHERE, **WHETHER}[name] for name in ("energy", "energy_gain", "road", "road_gain")
}
"""What decides whether heatmaps are worth looking at, as columns."""

HOW_ALIKE = {
    "agreement": "agreement with other methods",
    "stability": "stability when turned ↑",
    "sanity": "likeness to maps of random weights ↓",
}
"""Measures of how alike maps are, as columns."""

BY_CLASS = {"energy": "Energy inside the outline", "road": "ROAD"}
"""Measures that are printed for each diagnosis; the file has more."""

SHORTCUTS = {
    "background_flip": "Another diagnosis once the background is swapped",
    "lesion_flip": "Another diagnosis once the lesion is swapped",
    "paste_flip": "Another diagnosis after cutting and pasting alone",
    "rests_on_lesion": "Probability that rests on the lesion",
    "rests_on_background": "Probability that rests on the background",
}
"""What swapping backgrounds shows, as rows."""

REGIONS = {
    "region_precision_at_5": "Precision at 5, asked with the lesion alone",
    "region_gain": "Gained over asking with the whole photograph",
}
"""What searching with a region shows, as rows."""


def explanation_lines(report: ExplanationReport, *, split: str) -> list[str]:
    """Return the lines of a section on explanations.

    Args:
        report: What was measured.
        split: Of the photographs, for example ``"test"``.
    """
    size = report.per_class
    same = split == "validation"
    flattered = " These photographs are of validation too, which flatters." if same else ""
    return [
        f"**Explanations.** {verdict(report)}",
        "",
        "Explained is the most probable diagnosis, whether it is right or not. Figures are means "
        "over images and then over diagnoses, with 95 % intervals from whole lesions; n counts "
        "images. The layer of each method (that with the most energy inside the outline) and the "
        "share of its peak at which a map is cut for the IoU were chosen on validation. A smooth "
        "map is averaged over the eight turns and mirror images of the photograph. The centred "
        f"Gaussian is as wide as the lesions of validation are ({report.spread:.2f} of the side)."
        + flattered,
        "",
        "Where the maps lie, against dermatologists' outlines:",
        "",
        *_map_table(report.maps, WHERE, named=True),
        "",
        "Whether the model cares. ROAD takes away 10, 30, 50, 70 and 90 % of the pixels, fills "
        "them in from those around them and asks for the probability of the diagnosis: least "
        "relevant first, less most relevant first. Insertion and deletion are areas under the "
        f"curve of that probability. Of up to {size['removal']} images of each diagnosis "
        f"({size['slow']} for methods that ask the encoder hundreds of times):",
        "",
        *_map_table(report.maps, WHETHER),
        "",
        "How alike maps are, as rank correlations on the same images: of several methods; of the "
        "same photograph mirrored, upside down, turned by 90 and by 30 degrees; and of an encoder "
        "whose weights are random, which a map that depends on what was learned should not "
        "resemble:",
        "",
        *_map_table(report.maps, HOW_ALIKE),
        "",
        "By diagnosis, of the best by each measure and of the Gaussian; the file has all:",
        "",
        *_class_table(report.maps),
        "",
        "**Shortcuts.** The lesion is pasted into the skin of photographs of other diagnoses, "
        "whose own lesion is filled in, and the other way round. The probability of the diagnosis "
        f"is divided between the two after Shapley. Of up to {size['shortcuts']} images of each "
        "diagnosis:",
        "",
        *_figure_table(SHORTCUTS, report.shortcuts, report.shortcuts_by_class),
        "",
        "**Searching with a region.** The gallery is asked with the embedding of the outlined "
        "lesion alone, its cases being whole photographs:",
        "",
        *_figure_table(REGIONS, report.regions, report.regions_by_class),
    ]


def explanation_digest(report: ExplanationReport) -> list[str]:
    """Return the lines of the verdict and of one table, for those who will not read the rest.

    Args:
        report: What was measured.
    """
    road = report.maps[GAUSSIAN].figures["road"]
    return [
        f"**Explanations.** {verdict(report)} Energy is measured against dermatologists' outlines, "
        "on n images; ROAD, what is lost with the pixels that a map marks, on up to "
        f"{report.per_class['removal']} of each diagnosis, {road.n} in all.",
        "",
        *_map_table(report.maps, IN_SHORT, named=True),
    ]


def verdict(report: ExplanationReport) -> str:
    """Say plainly whether any method beats a blob in the middle."""
    if not report.winners:
        return (
            "No method beats a Gaussian in the middle of the picture both in how much of its map "
            "lies inside the outline and in ROAD, with 95 % intervals of the difference above "
            "zero: read the heatmaps accordingly."
        )
    gains = []
    for name in report.winners:
        energy, road = (report.maps[name].figures[gain] for gain in ("energy_gain", "road_gain"))
        gains.append(f"{map_title(name)} (energy {_signed(energy)}, ROAD {_signed(road)})")
    return (
        "Better than a Gaussian in the middle of the picture, both in how much of the map lies "
        f"inside the outline and in ROAD, with 95 % intervals above zero: {'; '.join(gains)}."
    )


def _map_table(
    maps: Mapping[str, MapReport], columns: Mapping[str, str], *, named: bool = False
) -> list[str]:
    """Return a row for each kind of maps that has any of the figures; n is that of the first."""
    header = ["map", *(["layer"] if named else []), *columns.values(), "n"]
    rows = []
    for name, found in maps.items():
        figures = [found.figures.get(measure) for measure in columns]
        known = [figure for figure in figures if figure is not None]
        if not known:
            continue
        cells = [map_title(name), *([found.place] if named else [])]
        for measure, figure in zip(columns, figures, strict=True):
            cut = f", cut at {found.threshold:.2f}" if measure == "iou" else ""
            cells.append(f"{figure}{cut}" if figure else "")
        rows.append([*cells, f"{known[0].n:,}"])
    return markdown_table(header, rows)


def _class_table(maps: Mapping[str, MapReport]) -> list[str]:
    """Return rows for the best method by each of `BY_CLASS` and for the Gaussian."""
    codes = [c for c in CODES if any(c in maps[GAUSSIAN].by_class[m] for m in BY_CLASS)]
    methods = [name for name in maps if name not in BASELINES]
    rows = []
    for measure, title in BY_CLASS.items():
        best = max(methods, key=partial(_value, maps, measure))
        for name in (best, GAUSSIAN):
            found = maps[name].by_class[measure]
            cells = [f"{found[code]}" if code in found else "" for code in codes]
            rows.append([f"{title}, {map_title(name)}", *cells])
    return markdown_table(["", *codes], rows)


def _value(maps: Mapping[str, MapReport], measure: str, name: str) -> float:
    return maps[name].figures[measure].to_dict()["value"]  # as kept, so that a rerun agrees


def _figure_table(
    titles: Mapping[str, str],
    figures: Mapping[str, Interval],
    by_class: Mapping[str, Mapping[str, Interval]],
) -> list[str]:
    """Return a row for each figure, a column for each diagnosis that there is."""
    codes = [code for code in CODES if code in by_class[next(iter(titles))]]
    rows = [
        [
            title,
            f"{figures[name]}",
            *(f"{by_class[name][code]}" for code in codes),
            f"{figures[name].n:,}",
        ]
        for name, title in titles.items()
    ]
    return markdown_table(["", "all", *codes, "n"], rows)


def _signed(figure: Interval) -> str:
    value, low, high, _ = figure.to_dict().values()
    return f"{value:+.3f}, {low:+.3f} to {high:+.3f}"
