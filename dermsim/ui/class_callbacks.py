"""What is said of the classes that a visitor teaches, beside the pictures compared with them.

Plain functions of an engine and plain values; they know no Gradio.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.engine import answers
from dermsim.ui.i18n import number, say
from dermsim.ui.render import description_of, name_of, percent

if TYPE_CHECKING:
    from dermsim.core.bootstrap import Interval
    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank, EnrollmentReport
    from dermsim.tasks.enroll.enrollment_report import NewClass, OldClassChange

TELLING = 5
"""Letters from which a name is looked for in the descriptions of the diagnoses."""


def known_as(engine: DermSim, bank: ClassBank | None, name: str, *, language: str = "en") -> str:
    """Say, where a name is typed, that it is taken or that a diagnosis counts it in already.

    Args:
        engine: The loaded checkpoint.
        bank: What this visitor has taught so far; None for nothing.
        name: As far as it was typed.
        language: The visitor's.

    Returns:
        A sentence as HTML; nothing where there is nothing to say.
    """
    if not isinstance(name, str) or not (typed := " ".join(name.split())):
        return ""
    known = (engine.class_bank() if bank is None else bank).taken_as(typed)
    if known is not None:
        words = {"name": escape(typed), "known": escape(name_of(known, language))}
        return _hint(say("enroll.taken", language, **words))
    for code in CODES:
        described = description_of(code, language).casefold()
        if len(typed) >= TELLING and typed.casefold() in described:
            words = {"name": escape(typed), "known": escape(name_of(code, language))}
            return _hint(say("enroll.counted_in", language, **words))
    return ""


def harm(engine: DermSim, bank: ClassBank | None, *, language: str = "en") -> str:
    """Say what the old classes lose by the new ones, and which pictures look wrong among theirs.

    Args:
        engine: The loaded checkpoint; the bank was made with it.
        bank: What this visitor has taught; None for nothing.
        language: The visitor's.

    Returns:
        HTML; nothing where nothing was taught, or the checkpoint keeps nothing to measure it by.
    """
    if bank is None or not bank.enrolled or (report := answers.enrollment(bank)) is None:
        return ""
    heads = ("old_class", "images", "right_before", "right_after")
    columns = "".join(f'<th scope="col">{say(f"enroll.{head}", language)}</th>' for head in heads)
    rows = "".join(_old_row(change, language) for change in report.old)
    return (
        f'<div class="ds ds-harm"><h3 class="ds-sub">{say("enroll.harm", language)}</h3>'
        f"<p>{_in_all(report, language)}</p>"
        f"<ul>{''.join(_new_row(new, language) for new in report.new)}</ul>"
        f'<table class="ds-table"><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="ds-muted">{say("enroll.harm_how", language)}</p></div>'
    )


def _hint(sentence: str) -> str:
    return f'<p class="ds ds-hint" role="status">{sentence}</p>'


def _in_all(report: EnrollmentReport, language: str) -> str:
    shares = {"before": _share(report.before), "after": _share(report.after)}
    n = number(report.before.n, language=language)
    return say("enroll.harm_in_all", language, **shares, n=n)


def _share(interval: Interval) -> str:
    return percent(interval.value)


def _old_row(change: OldClassChange, language: str) -> str:
    lost = " class='is-lost'" if change.after < change.before else ""
    return (
        f'<tr{lost}><th scope="row">{escape(name_of(change.name, language))}</th>'
        f"<td>{number(change.images, language=language)}</td>"
        f"<td>{percent(change.before)}</td><td>{percent(change.after)}</td></tr>"
    )


def _new_row(new: NewClass, language: str) -> str:
    name = escape(new.name)
    if new.recognised is None:
        return f"<li>{say('enroll.one_shot', language, name=name)}</li>"
    said = say("enroll.held_back", language, name=name, share=percent(new.recognised))
    doubts = ""
    for place, other in new.mistaken.items():
        words = {"number": place, "other": escape(name_of(other, language))}
        doubts += f"<li>{say('enroll.looks_like', language, **words)}</li>"
    return f"<li>{said}{f'<ul>{doubts}</ul>' if doubts else ''}</li>"
