"""How the most similar past cases vote on a picture, and when it is ambiguous for that."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, diagnosis
from dermsim.ui.i18n import number, say
from dermsim.ui.render import ENROLLED_COLOR, name_of, percent

if TYPE_CHECKING:
    from dermsim.engine.results import Prediction

WORTH = 0.02
"""Probability from which a diagnosis is worth a row."""


def undecided(prediction: Prediction, vote: Mapping[str, float], *, language: str = "en") -> str:
    """Return what must be read before the label when the picture is ambiguous. Else nothing.

    It is when the past cases most like it speak for another diagnosis than the classifier, or when
    neither a benign nor a malignant one can be excluded and the likeliest has less than half.
    """
    answer, other = prediction.label_name, _first(vote)
    codes = prediction.prediction_set
    mixed = len({diagnosis(code).malignant for code in codes}) > 1
    unsure = mixed and prediction.probabilities[answer] < 0.5
    if other == answer and not unsure:
        return ""
    reasons = []
    if other != answer:
        names = {"answer": name_of(answer, language), "other": name_of(other, language)}
        reasons.append(say("opinions.differ", language, **names))
    if unsure:
        *first, last = [name_of(code, language) for code in codes]
        reasons.append(say("opinions.unsure", language, names=", ".join(first), last=last))
    text = escape("; ".join(reasons))
    bits = number(prediction.entropy, ".1f", language), number(2.8, ".1f", language)
    spread = say("opinions.spread", language, bits=bits[0], all=bits[1])
    return (
        '<div class="ds ds-undecided" role="status">'
        f"<h2>{say('opinions.ambiguous', language)}</h2>"
        f"<p>{text[0].upper()}{text[1:]}. {spread}</p></div>"
    )


def vote_line(vote: Mapping[str, float], *, language: str = "en") -> str:
    """Return a vote as a row of chips, the likeliest first."""
    order = sorted(vote.items(), key=lambda item: -item[1])
    chips = "".join(
        f'<li style="--tone:{_tone(name)}">{escape(name_of(name, language))} {percent(share)}</li>'
        for name, share in order
        if share >= WORTH
    )
    return f'<ul class="ds-chips">{chips}</ul>'


def _first(vote: Mapping[str, float]) -> str:
    return max(vote, key=lambda name: vote[name])


def _tone(name: str) -> str:
    return diagnosis(name).color if name in CODES else ENROLLED_COLOR
