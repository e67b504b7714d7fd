"""What `data.census` counted, as one HTML document: charts with their figures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from dermsim.core.labels import CODES, LABELS, MALIGNANT, diagnosis
from dermsim.core.version import __version__
from dermsim.ui import charts
from dermsim.ui.document import check_language, document, dx_name, fact_name, html_table
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:
    from dermsim.data.census import Census, Exploration

DX = tuple(charts.Series(item.code, item.color) for item in LABELS)
"""The diagnoses with their colours, in label order."""

NAMED = 8
"""Contradictory lesions that are named at most."""


def explore_html(found: Exploration, *, language: str = "en", when: datetime | None = None) -> str:
    """Write an exploration as one HTML document.

    Args:
        found: What was counted.
        language: One of `dermsim.core.language.LANGUAGES`.
        when: The time to write on it; now when None.

    Raises:
        ValueError: If the language is another.
    """
    check_language(language)
    title = say("explore.title", language, name=found.name)
    moment = (when or datetime.now(UTC)).astimezone(UTC)
    made = say("explore.made", language, version=__version__, date=f"{moment:%Y-%m-%d %H:%M} UTC")
    whole = found.whole
    parts = [
        f"<header><h1>{escape(title)}</h1><p>{escape(made)}</p></header>",
        _tiles(whole, language),
        _notes(found, language),
        f'<section><p class="soft">{say("explore.counted", language)}</p>{_legend(language)}'
        "</section>",
        '<section class="charts">',
        _diagnoses(whole, language),
        _multiplicity(whole, language),
        _ages(whole, language),
        _age_of_dx(whole, language),
        _fact("sex", whole, language),
        _fact("dx_type", whole, language),
        _fact("localization", whole, language),
        _missing(whole, language),
        "</section>",
        _splits(found, language) if found.splits else "",
        f"<footer><p>{escape(say('page.disclaimer', language))}</p></footer>",
    ]
    return document(title, "\n".join(parts), language=language)


def _tiles(whole: Census, language: str) -> str:
    several = sum(n for times, n in whole.photographs_per_lesion.items() if times > 1)
    figures = {
        "images": whole.images,
        "lesions": whole.lesions,
        "malignant": whole.malignant,
        "several": several,
    }
    tiles = "".join(
        f"<div><dt>{say(f'explore.{name}', language)}</dt>"
        f"<dd>{number(count, ',', language)}</dd></div>"
        for name, count in figures.items()
    )
    return f'<dl class="tiles">{tiles}</dl>'


def _notes(found: Exploration, language: str) -> str:
    notes = [escape(note) for note in found.notes]
    if names := found.whole.contradictory:
        more = ", …" if len(names) > NAMED else ""
        notes.append(
            say(
                "explore.contradictory",
                language,
                count=number(len(names), ",", language),
                names=escape(", ".join(names[:NAMED])) + more,
            )
        )
    if not notes:
        return ""
    lines = "".join(f"<p>{note}</p>" for note in notes)
    return f'<section class="notice"><h2>{say("explore.notes", language)}</h2>{lines}</section>'


def _legend(language: str) -> str:
    items = "".join(
        f'<li><span class="dot" style="--tone:{item.color}"></span>'
        f"{escape(dx_name(item.code, language))} <code>{item.code}</code>"
        f"{' ▲' if item.malignant else ''}</li>"
        for item in LABELS
    )
    return f'<ul class="legend">{items}</ul>'


# -- charts, each with its figures -----------------------------------------------------------------


def _diagnoses(whole: Census, language: str) -> str:
    codes = sorted(CODES, key=lambda code: -whole.dx_images[code])
    say_number = _writer(language)
    svg = charts.stacked_bars(
        [(_marked(code), {code: whole.dx_images[code]}) for code in codes],
        DX,
        label=_seen("explore.dx", codes[0], whole.dx_images, language),
        say=say_number,
        notes=[
            say("explore.in_lesions", language, count=say_number(whole.dx_lesions[code]))
            for code in codes
        ],
    )
    rows = [
        [
            escape(dx_name(code, language)),
            say_number(whole.dx_images[code]),
            say_number(whole.dx_lesions[code]),
        ]
        for code in codes
    ]
    header = ("report.diagnosis", "explore.images", "explore.lesions")
    return _chart("explore.dx", svg, header, rows, language, text=say("explore.dx_text", language))


def _multiplicity(whole: Census, language: str) -> str:
    times = list(whole.photographs_per_lesion)
    columns = [
        (str(n), {code: whole.multiplicity[code].get(n, 0) for code in CODES}) for n in times
    ]
    label = _seen(
        "explore.multiplicity",
        str(max(times, key=lambda n: whole.photographs_per_lesion[n])),
        {str(n): count for n, count in whole.photographs_per_lesion.items()},
        language,
    )
    svg = charts.stacked_columns(columns, DX, label=label, say=_writer(language), sums=True)
    text = say("explore.multiplicity_text", language)
    return _crossed_chart(
        "explore.multiplicity", svg, "explore.per_lesion", columns, language, text=text
    )


def _ages(whole: Census, language: str) -> str:
    from dermsim.data.census import AGE_STEP

    bands = [(band, counts) for band, counts in whole.ages.items() if band is not None]
    columns = [(str(band) if band % 20 == 0 else "", counts) for band, counts in bands]
    named = [(f"{band}–{band + AGE_STEP - 1}", counts) for band, counts in bands]
    if None in whole.ages:
        named.append((say("explore.not_known", language), whole.ages[None]))
    sums = {name: sum(counts.values()) for name, counts in named}
    label = _seen("explore.ages", max(sums, key=lambda name: sums[name]), sums, language)
    svg = charts.stacked_columns(columns, DX, label=label, say=_writer(language))
    text = say(
        "explore.ages_text",
        language,
        step=AGE_STEP,
        missing=number(whole.missing["age"], ",", language),
    )
    return _crossed_chart("explore.ages", svg, "explore.years", named, language, text=text)


def _age_of_dx(whole: Census, language: str) -> str:
    found = whole.age_summary
    title = say("explore.age_of_dx", language)
    if not found:
        text = say("explore.ages_text", language, step="–", missing=whole.missing["age"])
        return f'<div class="chart"><h2>{title}</h2><p class="soft">{text}</p></div>'
    medians = [summary.median for summary in found.values()]
    svg = charts.boxes(
        [
            (
                _marked(code),
                diagnosis(code).color,
                (ages.low, ages.lower, ages.median, ages.upper, ages.high),
            )
            for code, ages in found.items()
        ],
        label=say(
            "explore.seen_ages",
            language,
            title=title,
            low=f"{min(medians):.0f}",
            high=f"{max(medians):.0f}",
        ),
        say=_writer(language),
        most=max(summary.high for summary in found.values()),
    )
    rows = [
        [
            escape(dx_name(code, language)),
            f"{ages.median:.0f}",
            f"{ages.lower:.0f}–{ages.upper:.0f}",
            f"{ages.low:.0f}–{ages.high:.0f}",
            number(ages.n, ",", language),
        ]
        for code, ages in found.items()
    ]
    header = (
        *("report.diagnosis", "explore.median", "explore.quartiles"),
        *("explore.range", "explore.images"),
    )
    text = say("explore.age_of_dx_text", language)
    return _chart("explore.age_of_dx", svg, header, rows, language, text=text)


def _fact(fact: str, whole: Census, language: str) -> str:
    """Draw the values of ``sex``, ``dx_type`` or ``localization``."""
    rows = [
        (
            say("explore.not_known", language)
            if value is None
            else fact_name(fact, value, language),
            counts,
        )
        for value, counts in whole.facts[fact].items()
    ]
    sums = {name: sum(counts.values()) for name, counts in rows}
    label = _seen(f"explore.{fact}", max(sums, key=lambda name: sums[name]), sums, language)
    svg = charts.stacked_bars(rows, DX, label=label, say=_writer(language))
    text = say("explore.dx_type_text", language) if fact == "dx_type" else ""
    return _crossed_chart(f"explore.{fact}", svg, f"facts.{fact}", rows, language, text=text)


def _missing(whole: Census, language: str) -> str:
    rows = [
        [
            say(f"facts.{fact}", language),
            number(count, ",", language),
            f"{number(100 * count / whole.images, '.1f', language)}\u00a0%",
        ]
        for fact, count in whole.missing.items()
    ]
    header = [say(f"explore.{name}", language) for name in ("fact", "lacking", "share")]
    return (
        f'<div class="chart"><h2>{say("explore.missing", language)}</h2>'
        f'<p class="soft">{say("explore.missing_text", language)}</p>'
        f"{html_table(header, rows, numbers=(1, 2))}</div>"
    )


def _splits(found: Exploration, language: str) -> str:
    title = say("explore.splits", language)
    parts = {_split_name(name, language): part for name, part in found.splits.items()}
    svg = charts.shares(
        [(name, part.dx_images) for name, part in parts.items()],
        DX,
        label=say("explore.seen_shares", language, title=title),
    )
    write = _writer(language)
    rows = [
        [
            escape(name),
            write(part.images),
            write(part.lesions),
            *(write(part.dx_images[code]) for code in CODES),
        ]
        for name, part in parts.items()
    ]
    header = [
        *(say(f"explore.{name}", language) for name in ("split", "images", "lesions")),
        *CODES,
    ]
    table = html_table(header, rows, numbers=range(1, len(header)))
    text = say("explore.splits_text", language, shared=write(found.shared_lesions))
    return (
        f'<section class="chart"><h2>{title}</h2><p class="soft">{text}</p>{svg}'
        f"{_scrolled(table, title)}</section>"
    )


# -- what they share ------------------------------------------------------------------------------


def _chart(
    key: str,
    svg: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    language: str,
    *,
    text: str = "",
) -> str:
    """Return a chart under its title, with its figures to be unfolded."""
    title = say(key, language)
    words = f'<p class="soft">{text}</p>' if text else ""
    columns = [say(name, language) if "." in name else name for name in header]
    table = html_table(columns, rows, numbers=range(1, len(columns)))
    return (
        f'<div class="chart"><h2>{title}</h2>{words}{svg}<details><summary>'
        f"{say('explore.figures', language)}</summary>{_scrolled(table, title)}</details></div>"
    )


def _crossed_chart(
    key: str,
    svg: str,
    first: str,
    rows: Sequence[tuple[str, Mapping[str, int]]],
    language: str,
    *,
    text: str,
) -> str:
    """Return a chart whose figures are counts by value and diagnosis."""
    write = _writer(language)
    cells = [
        [
            escape(name),
            write(sum(counts.values())),
            *(write(counts.get(code, 0)) for code in CODES),
        ]
        for name, counts in rows
    ]
    header = (first, "explore.all", *CODES)
    return _chart(key, svg, header, cells, language, text=text)


def _scrolled(table: str, title: str) -> str:
    label = escape(title, quote=True)
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{table}</div>'


def _writer(language: str) -> Any:
    return partial(_write, language=language)


def _write(value: float, *, language: str) -> str:
    return number(value, ",.0f", language)


def _seen(key: str, first: str, counts: Mapping[str, int], language: str) -> str:
    """Say in a sentence what a chart shows."""
    return say(
        "explore.seen",
        language,
        title=say(key, language),
        first=dx_name(first, language),
        count=number(counts[first], ",", language),
        total=number(sum(counts.values()), ",", language),
    )


def _marked(code: str) -> str:
    return f"{code} ▲" if code in MALIGNANT else code


def _split_name(name: str, language: str) -> str:
    return say(f"explore.split_{name}", language)
