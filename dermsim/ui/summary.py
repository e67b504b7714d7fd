"""The answer in short, above all tabs: what it may be, how dangerous, and how far to trust that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, diagnosis
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui import notices
from dermsim.ui.i18n import number, say
from dermsim.ui.operating_slider import (
    USUAL,
    conflict,
    figure,
    gauge,
    line_of,
    point_at,
    reading,
)
from dermsim.ui.render import ENROLLED_COLOR, name_of, percent

if TYPE_CHECKING:
    from dermsim.engine import DermSim
    from dermsim.engine.results import Analysis, Prediction


def summary(engine: DermSim, found: Analysis, stop: int = USUAL, *, language: str = "en") -> str:
    """Return an analysis in short answers; nothing where `notices` say that none is given.

    Args:
        engine: The checkpoint that made it.
        found: What it said of a picture, with its vote; with the classes that the visitor taught,
            where there are some.
        stop: Where malignant begins, of `dermsim.ui.operating_slider.stops`.
        language: The visitor's.
    """
    if found.prediction.withheld:
        return ""
    besides = [_votes(found, min(VOTERS, len(engine.gallery)), language)]
    if found.enrolled:
        besides.append(_taught(found.enrolled, language))
    cells = _cells(engine, found.prediction, stop, language, besides=besides)
    return _section(cells, _conflict(engine, found.prediction, stop, language), language)


def brief(
    engine: DermSim,
    prediction: Prediction,
    stop: int = USUAL,
    *,
    title: str,
    language: str = "en",
) -> str:
    """Return a prediction in four short answers, without the vote of past cases.

    Args:
        engine: The checkpoint that made it.
        prediction: What it said.
        stop: Where malignant begins, of `dermsim.ui.operating_slider.stops`.
        title: What the picture is called.
        language: The visitor's.
    """
    cells = _cells(engine, prediction, stop, language)
    conflict = _conflict(engine, prediction, stop, language)
    return _section(cells, conflict, language, title=title)


def _section(cells: list[str], below: str, language: str, *, title: str = "") -> str:
    label = escape(title or say("case.summary", language), quote=True)
    return (
        f'<section class="ds ds-summary" aria-label="{label}">'
        f"<dl>{''.join(cells)}</dl>{below}</section>"
    )


def _conflict(engine: DermSim, prediction: Prediction, stop: int, language: str) -> str:
    """Return the sentence that is seen while label and malignancy disagree."""
    if prediction.withheld:
        return ""
    line = line_of(prediction.malignancy, point_at(engine.calibration, stop))
    return f'<div class="ds-disagreement {line}>{conflict(prediction, language=language)}</div>'


def _cells(
    engine: DermSim,
    prediction: Prediction,
    stop: int,
    language: str,
    *,
    besides: Sequence[str] = (),
) -> list[str]:
    if prediction.withheld:  # no label, no verdict, and nobody who agrees
        strange = [_familiarity(engine, prediction, language)] if prediction.is_outlier else []
        return [_withheld(prediction, language), *strange]
    cells = [
        _label(prediction, language),
        _set(prediction, engine.calibration.alpha, language),
        _risk(engine, prediction, stop, language),
        *besides,
    ]
    return [*cells, _familiarity(engine, prediction, language)]


def _withheld(prediction: Prediction, language: str) -> str:
    why = escape(notices.reasons(prediction, language=language))
    said = say("quality.withheld_short", language)
    return _cell("label", said, why, language, kind="is-withheld")


def _label(prediction: Prediction, language: str) -> str:
    code = prediction.label_name
    return _cell(
        "label",
        f"{_dot(code)}{escape(name_of(code, language))}",
        f'<b class="ds-figure">{percent(prediction.probabilities[code])}</b> '
        f"{say('case.label_why', language)}",
        language,
    )


def _taught(enrolled: Mapping[str, float], language: str) -> str:
    """Say which of all classes, old and taught, the picture is most like."""
    name = max(enrolled, key=lambda known: enrolled[known])
    said = f"{_dot(name)}{escape(name_of(name, language))}"
    why = say("case.taught_why", language, share=f"<b>{percent(enrolled[name])}</b>")
    return _cell("taught", said, why, language)


def _set(prediction: Prediction, alpha: float, language: str) -> str:
    title = say("classify.set", language, share=percent(1 - alpha))
    names = "".join(
        f"<li>{_dot(code)}{escape(name_of(code, language))}</li>"
        for code in prediction.prediction_set
    )
    return f'<div class="ds-cell ds-cell-set"><dt>{title}</dt><dd><ul>{names}</ul></dd></div>'


def _risk(engine: DermSim, prediction: Prediction, stop: int, language: str) -> str:
    malignancy = prediction.malignancy
    point = point_at(engine.calibration, stop)
    why = say(
        "case.risk_why",
        language,
        share=f"<b>{percent(malignancy)}</b>",
        threshold=figure("threshold", percent(point.threshold)),
    )
    return (
        f'<div class="ds-cell ds-cell-risk {line_of(malignancy, point)}>'
        f'<dt>{say("classify.risk", language)}</dt><dd class="ds-said">{reading(language)}</dd>'
        f"<dd>{gauge(malignancy, point, language=language)}</dd>"
        f'<dd class="ds-why">{why}</dd></div>'
    )


def _votes(found: Analysis, count: int, language: str) -> str:
    answer = found.prediction.label_name
    first = max(found.vote, key=lambda name: found.vote[name])
    word, mark = ("agree", "✓") if first == answer else ("disagree", "≠")
    why = say(
        f"case.{word}_why",
        language,
        count=count,
        name=escape(name_of(first, language)),
        share=f"<b>{percent(found.vote[first])}</b>",
    )
    said = f'<span aria-hidden="true">{mark}</span> {say(f"case.{word}", language)}'
    return _cell("votes", said, why, language, kind=f"is-{word}ing")


def _familiarity(engine: DermSim, prediction: Prediction, language: str) -> str:
    score, limit = prediction.ood_score, engine.detector.threshold
    word, mark = ("strange", "⚠") if prediction.is_outlier else ("familiar", "✓")
    figures = {
        "score": number(score, ".3g", language),
        "limit": number(limit, ".3g", language),
    }
    why = say(f"case.{word}_why", language, **figures)
    said = f'<span aria-hidden="true">{mark}</span> {say(f"case.{word}", language)}'
    return _cell("familiarity", said, why, language, kind=f"is-{word}")


def _cell(key: str, said: str, why: str, language: str, *, kind: str = "") -> str:
    return (
        f'<div class="ds-cell ds-cell-{key} {kind}"><dt>{say(f"case.{key}", language)}</dt>'
        f'<dd class="ds-said">{said}</dd><dd class="ds-why">{why}</dd></div>'
    )


def _dot(code: str) -> str:
    return f'<i class="ds-dot" style="--tone:{_tone(code)}"></i>'


def _tone(code: str) -> str:
    return diagnosis(code).color if code in CODES else ENROLLED_COLOR
