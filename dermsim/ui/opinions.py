"""A second opinion beside the classifier's: how the most similar past cases vote on a picture."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, diagnosis
from dermsim.tasks.retrieve import VOTERS
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


def second_opinion(
    prediction: Prediction, vote: Mapping[str, float], *, language: str = "en"
) -> str:
    """Return the classifier's probabilities and the past cases' vote, side by side.

    Args:
        prediction: The classifier's answer.
        vote: Of `Gallery.vote`, summing to 1.
        language: The visitor's.
    """
    answer, other = prediction.label_name, _first(vote)
    said = "agree" if answer == other else "disagree"
    both = {
        name: (prediction.probabilities.get(name, 0.0), vote.get(name, 0.0))
        for name in {**prediction.probabilities, **vote}
    }
    worth = [name for name in both if max(both[name]) >= WORTH]
    order = sorted(worth, key=lambda name: -sum(both[name]))
    rows = "".join(_pair(name_of(name, language), _tone(name), *both[name]) for name in order)
    return (
        f'<section><h3 class="ds-sub">{say("opinions.second", language)}</h3>'
        f'<p class="ds-muted">{say(f"opinions.{said}", language, count=VOTERS)}</p>'
        '<table class="ds-table ds-pairs"><thead><tr><td></td>'
        f'<th scope="col">{say("opinions.classifier", language)}</th>'
        f'<th scope="col">{say("opinions.past_cases", language)}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
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


def _pair(name: str, tone: str, classifier: float, cases: float) -> str:
    cells = "".join(
        f'<td><span class="ds-track"><i style="width:{share:.1%}"></i></span>'
        f"<b>{percent(share)}</b></td>"
        for share in (classifier, cases)
    )
    return f'<tr style="--tone:{tone}"><th scope="row">{escape(name)}</th>{cells}</tr>'


def _tone(name: str) -> str:
    return diagnosis(name).color if name in CODES else ENROLLED_COLOR
