"""The past cases of a case report, as a table; and how a diagnosis is written in the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, MALIGNANT, diagnosis
from dermsim.ui.cards import ARCHIVE
from dermsim.ui.document import dx_name, fact_name, html_table
from dermsim.ui.i18n import number, say
from dermsim.ui.render import percent

MANY = 12
"""Past cases up to which each is named in words; of more, the code has to do for the report to stay
within two pages."""

if TYPE_CHECKING:  # torch comes with them
    from dermsim.tasks.retrieve import Neighbor
    from dermsim.ui.case_report import CaseReport


def neighbors_section(report: CaseReport, language: str) -> str:
    """List the most similar past cases, a line each, and say how to find their pictures."""
    count, total = len(report.neighbors), number(report.origin.cases, ",", language)
    keys = ("diagnosis", "likeness", "facts", "photograph")
    header = [say(f"report.{key}", language) for key in keys]
    short = count > MANY
    rows = [_neighbor(case, short, language) for case in report.neighbors]
    title = say("report.neighbors", language, count=count, total=total)
    text = f"{say('report.neighbors_text', language)} {say('report.likeness_how', language)}"
    if any(map(_is_public, report.neighbors)):
        address = ARCHIVE.format("ISIC_…").replace("/images/", "/<wbr>images/")
        text += f" {say('report.record_text', language, address=address)}"
    return (
        f'<section class="apart"><h2>{title}</h2><p class="soft">{text}</p>'
        f"{html_table(header, rows, kind='cases')}</section>"
    )


def _neighbor(case: Neighbor, short: bool, language: str) -> Sequence[str]:
    facts: Mapping[str, object] = case.facts
    words = {
        fact: escape(fact_name(fact, facts.get(fact), language))
        for fact in ("dx_type", "sex", "localization")
    }
    age = facts.get("age")
    years = f"{age:.0f}" if isinstance(age, int | float) and age == age else "–"
    return (
        dx_html(case.dx, language, short=short),
        number(case.similarity, ".2f", language)
        if case.percentile is None
        else say("report.likeness_place", language, share=percent(case.percentile)),
        ", ".join((words["dx_type"], years, words["sex"], words["localization"])),
        escape(case.image_id),
    )


def _is_public(case: Neighbor) -> bool:
    """Say whether a photograph has a public record."""
    return case.image_id.startswith("ISIC_") and case.image_id[5:].isdigit()


def dx_html(code: str, language: str, *, short: bool = False) -> str:
    """Return a diagnosis with its colour, name and code, marked where it counts as malignant.

    Args:
        code: Of the diagnosis.
        language: One of `dermsim.core.language.LANGUAGES`.
        short: Whether to leave out the name of one of the seven, where it stands elsewhere.
    """
    known = code in CODES
    mark = (
        f' <span class="mark" aria-hidden="true">▲</span><span class="unseen">'
        f" ({say('report.counted_malignant', language)})</span>"
        if code in MALIGNANT
        else ""
    )
    tone = diagnosis(code).color if known else "#888888"
    name = "" if short and known else f"{escape(dx_name(code, language))} "
    own = f"<code>{code}</code>" if known else ""
    # together, so that no mark begins a line
    signs = f'<span class="whole">{own}{mark}</span>'
    return f'<span class="dot" style="--tone:{tone}"></span>{name}{signs}'
