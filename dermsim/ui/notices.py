"""What must be read before any label, as HTML: why there is none, and whose answer it would be."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from dermsim.engine.results import UNFAMILIAR
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:
    from dermsim.engine.results import Prediction, Recognised


def notices(prediction: Prediction, *, language: str = "en") -> str:
    """Return all that must be read before a prediction; nothing when there is nothing."""
    parts = [withheld(prediction, language=language)]
    if prediction.recognised is not None:
        parts.append(recognised(prediction.recognised, language=language))
    if prediction.drawn:
        parts.append(drawn(language))
    return "".join(parts)


def withheld(prediction: Prediction, *, language: str = "en") -> str:
    """Say that no label is given, and each reason why; nothing when one is given."""
    if not prediction.withheld:
        return ""
    reasons = "".join(
        f"<li>{reason_text(prediction, reason, language)}</li>" for reason in prediction.withheld
    )
    return (
        f'<div class="ds ds-warning" role="alert"><h2>{say("quality.withheld", language)}</h2>'
        f"<ul>{reasons}</ul></div>"
    )


def reason_text(prediction: Prediction, reason: str, language: str = "en") -> str:
    """Return a reason and what to do about it, a sentence or two."""
    values = {}
    if reason == UNFAMILIAR:
        limit = prediction.ood_limit
        values = {
            "score": number(prediction.ood_score, ".1f", language),
            "limit": "–" if limit is None else number(limit, ".1f", language),
        }
    name = say(f"quality.{reason}", language)
    said = say(f"quality.{reason}_text", language, **values)
    return f"<strong>{name[0].upper()}{name[1:]}.</strong> {said}"


def reasons(prediction: Prediction, *, language: str = "en") -> str:
    """Return the reasons in a few words."""
    return ", ".join(say(f"quality.{reason}", language) for reason in prediction.withheld)


def recognised(known: Recognised, *, language: str = "en") -> str:
    """Say that a picture is itself one of the past cases."""
    kind = "learned" if known.learned else "past_case"
    text = say(f"quality.{kind}_text", language, name=escape(known.image_id))
    return _line(say(f"quality.{kind}", language), text)


def drawn(language: str = "en") -> str:
    """Say that the model knows nothing of skin."""
    return _line(say("quality.drawn", language), say("quality.drawn_text", language))


def _line(title: str, text: str) -> str:
    return (
        f'<div class="ds ds-warning ds-one-line" role="status"><p><strong>{title}.</strong> '
        f"{text}</p></div>"
    )
