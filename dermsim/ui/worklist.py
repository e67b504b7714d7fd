"""A batch as a worklist: a row for each picture, the urgent ones first, and one row in full.

``batch.js`` sorts the rows and tells which one is clicked; ``case.js`` moves the malignancy
threshold through them, so that nobody is asked while the slider moves.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from dermsim.core import refused
from dermsim.core.labels import CODES, MALIGNANT, diagnosis
from dermsim.core.refused import Refused
from dermsim.engine.batch import FileAnswer
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui import notices, operating_slider, opinions, render
from dermsim.ui.i18n import say
from dermsim.ui.render import name_of, percent

if TYPE_CHECKING:
    from dermsim.engine import DermSim
    from dermsim.engine.results import Prediction
    from dermsim.tasks.classify import OperatingPoint

COLUMNS = ("file", "verdict", "malignancy", "label", "set", "neighbors")
"""Columns after the picture, by their texts; a last one follows where classes were taught."""

TAUGHT = "taught"


def order(rows: Sequence[FileAnswer]) -> list[int]:
    """Return the places of the rows: unread and withheld ones, then by falling malignancy."""

    def urgency(place: int) -> tuple[int, float]:
        found = rows[place].prediction
        if found is None:
            return 0, 0.0
        return (1 if found.withheld else 2), -found.malignancy

    return sorted(range(len(rows)), key=urgency)


def table_html(
    engine: DermSim, rows: Sequence[FileAnswer], stop: int, *, language: str = "en"
) -> str:
    """Return the rows as a table; nothing for none.

    Args:
        engine: The loaded checkpoint.
        rows: What was found.
        stop: Where malignant begins, of `dermsim.ui.operating_slider.stops`.
        language: The visitor's.

    Raises:
        ValueError: If there is no such stop.
    """
    point = operating_slider.point_at(engine.calibration, stop)
    if not rows:
        return ""
    taught = any(row.enrolled for row in rows)
    names = (*COLUMNS, TAUGHT) if taught else COLUMNS
    share = percent(1 - engine.calibration.alpha)
    heads = "".join(_head(name, share, language) for name in names)
    body = "".join(_row(rows[place], place, point, names, language) for place in order(rows))
    return (
        '<div class="ds ds-work"><table class="ds-table ds-worklist"><thead><tr>'
        f"<td></td>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def detail(
    engine: DermSim, rows: Sequence[FileAnswer], place: int, stop: int, *, language: str = "en"
) -> str:
    """Show one row: its picture and all probabilities, or why there are none.

    Args:
        engine: The loaded checkpoint.
        rows: What was found.
        place: Of the row among them.
        stop: Where malignant begins.
        language: The visitor's.

    Raises:
        ValueError: If there is no such row or stop.
    """
    if isinstance(place, bool) or place not in range(len(rows)):
        raise Refused("worklist.no_row", place=place)
    row = rows[int(place)]
    name = f'<h2 class="ds-sub">{escape(row.file)}</h2>'
    if row.prediction is None:
        reason = escape(refused.say(row.reason, language))
        return f'<div class="ds ds-row">{name}<p>{reason}</p></div>'
    found = row.prediction
    said = notices.notices(found, language=language)
    picture = _picture(row, language)
    answer = _answer(engine, row, stop, language)
    return f'<div class="ds ds-row">{name}{picture}{said}{answer}</div>'


def _answer(engine: DermSim, row: FileAnswer, stop: int, language: str) -> str:
    found = row.prediction
    if found is None or found.withheld:
        return "" if found is None else render.anyway(found, language=language)
    line = operating_slider.line_of(
        found.malignancy, operating_slider.point_at(engine.calibration, stop)
    )
    listed = render.bars(
        {each.code: each.probability for each in found.listing},
        prediction=found,
        share=percent(1 - engine.calibration.alpha),
        vote=row.vote or None,
        language=language,
    )
    taught = ""
    if row.enrolled:
        own = [name for name in row.enrolled if name not in CODES]
        taught = render.classes(row.enrolled, own, language)
    conflict = operating_slider.conflict(found, language=language)
    undecided = opinions.undecided(found, row.vote, language=language) if row.vote else ""
    return f'<div class="ds-disagreement {line}>{conflict}</div>{undecided}{listed}{taught}'


def _head(name: str, share: str, language: str) -> str:
    text = say(f"batch.{name}", language, voters=VOTERS, share=share)
    sort = ' aria-sort="descending"' if name == "malignancy" else ""
    return f'<th scope="col"{sort}><button type="button" data-sort>{text}</button></th>'


def _row(
    row: FileAnswer, place: int, point: OperatingPoint, names: Sequence[str], language: str
) -> str:
    found = row.prediction
    cells = _cells(row, language)
    line = ""
    if found is not None and not found.withheld:
        line = f' class="{operating_slider.line_of(found.malignancy, point)}'
    elif found is not None:
        line = ' class="is-withheld"'
    else:
        line = ' class="is-unread"'
    if found is None or found.withheld:  # what is said in place of figures needs their room
        said, value = cells["verdict"]
        columns = f"{_cell(*cells['file'])}{_cell(said, value, span=len(names) - 1)}"
    else:
        columns = "".join(_cell(*cells.get(name, ("", ""))) for name in names)
    return f'<tr data-row="{place}"{line}><td>{_picture(row, language)}</td>{columns}</tr>'


def _cell(html: str, value: str | float, *, span: int = 1) -> str:
    wide = f' colspan="{span}"' if span > 1 else ""
    return f'<td{wide} data-value="{escape(str(value), quote=True)}">{html}</td>'


def _cells(row: FileAnswer, language: str) -> dict[str, tuple[str, str | float]]:
    """Return what stands in each column, and what it is sorted by."""
    name = f'<button type="button" class="ds-pick">{escape(row.file)}</button>'
    cells: dict[str, tuple[str, str | float]] = {"file": (name, row.file)}
    found = row.prediction
    if found is None:
        cells["verdict"] = (escape(refused.say(row.reason, language)), -2)
        return cells
    if found.withheld:
        why = escape(notices.reasons(found, language=language))
        said = f"<strong>{say('quality.withheld_short', language)}</strong>: {why}"
        return cells | {"verdict": (said, -1)}
    cells["verdict"] = (operating_slider.reading(language), found.malignancy)
    cells["malignancy"] = (f"<b>{percent(found.malignancy)}</b>", found.malignancy)
    return cells | _diagnoses(row, found, language)


def _diagnoses(
    row: FileAnswer, found: Prediction, language: str
) -> dict[str, tuple[str, str | float]]:
    label = found.label_name
    share = percent(found.probabilities[label])
    members = "".join(f"<li>{_named(code, language)}</li>" for code in found.prediction_set)
    cells: dict[str, tuple[str, str | float]] = {
        "label": (f"{_named(label, language)} {share}", name_of(label, language)),
        "set": (f"<ul>{members}</ul>", len(found.prediction_set)),
    }
    if (first := row.neighbor_dx) is not None:
        mark = "" if row.agrees else '<b class="ds-alert" aria-hidden="true">≠</b> '
        said = f"{mark}{_named(first, language)} {percent(row.vote[first])}"
        cells["neighbors"] = (said, name_of(first, language))
    if row.enrolled:
        best = max(row.enrolled, key=lambda known: (row.enrolled or {})[known])
        said = f"{_named(best, language)} {percent(row.enrolled[best])}"
        cells[TAUGHT] = (said, name_of(best, language))
    return cells


def _named(code: str, language: str) -> str:
    tone = diagnosis(code).color if code in CODES else render.ENROLLED_COLOR
    mark = " ▲" if code in MALIGNANT else ""
    name = escape(name_of(code, language))
    return f'<i class="ds-dot" style="--tone:{tone}"></i>{name}{mark}'


def _picture(row: FileAnswer, language: str) -> str:
    if not row.thumbnail:
        return ""
    alt = escape(say("batch.alt", language, name=row.file), quote=True)
    image = base64.b64encode(row.thumbnail).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{image}" alt="{alt}" loading="lazy">'
