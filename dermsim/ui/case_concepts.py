"""The part of a case report that speaks of dermoscopic structures: a few lines, no picture."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from dermsim.data.concepts import load_schema
from dermsim.tasks.caption import Grammar
from dermsim.ui.concept_view import DIRECT, SOFT, title_of
from dermsim.ui.i18n import number, say
from dermsim.ui.render import percent

if TYPE_CHECKING:
    from dermsim.engine.descriptions import Description


def concept_section(found: Description | None, *, language: str = "en") -> str:
    """Return the section; nothing where nothing may be said.

    Args:
        found: What the engine says of the picture, in whichever language: facts are written anew.
        language: Of the report.
    """
    if found is None or found.reading is None:
        return ""
    grammar = Grammar.of(load_schema(), language)
    said = escape(grammar.write_all(found.facts)) or say("concepts.no_words", language)
    small = " ".join(part for part in (_melanoma(found, language), _heads(found, language)) if part)
    return (
        f'<section class="structures"><h2>{say("concepts.report", language)}</h2><p>{said}</p>'
        f'<p class="soft">{small}</p></section>'
    )


def _melanoma(found: Description, language: str) -> str:
    """Set the score from concepts beside the classifier's, with how good each is."""
    assert found.reading is not None
    bottleneck, soft = found.reading.bottleneck, found.reading.melanoma
    if bottleneck is None or soft is None or found.melanoma_direct is None:
        return ""
    figures = bottleneck.figures
    if not {SOFT, DIRECT} <= figures.keys():
        return ""
    return say(
        "concepts.report_melanoma",
        language,
        soft=percent(soft),
        auc_soft=number(figures[SOFT].value, ".2f", language),
        direct=percent(found.melanoma_direct),
        auc_direct=number(figures[DIRECT].value, ".2f", language),
        n=number(figures[SOFT].n, ",", language),
    )


def _heads(found: Description, language: str) -> str:
    assert found.reading is not None
    heads = ", ".join(
        f"{escape(title_of(own, language))}{'*' if own.may_point else ''} "
        f"{number(own.auc, '.2f', language)} ({number(own.n, ',', language)})"
        for own in found.reading.findings.values()
    )
    return say("concepts.report_heads", language, heads=heads) if heads else ""
