"""A second opinion beside the classifier's: how the most similar past cases vote on a picture."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from dermsim.labels import CODES, diagnosis
from dermsim.tasks.retrieve import VOTERS
from dermsim.ui.render import ENROLLED_COLOR, name_of, percent

if TYPE_CHECKING:
    from dermsim.results import Prediction

WORTH = 0.02
"""Probability from which a diagnosis is worth a row."""


def undecided(prediction: Prediction, vote: Mapping[str, float]) -> str:
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
        reasons.append(
            f"the classifier says {escape(name_of(answer))}, the past cases most like it say "
            f"{escape(name_of(other))}"
        )
    if unsure:
        names = [escape(name_of(code)) for code in codes]
        reasons.append(f"{', '.join(names[:-1])} and {names[-1]} cannot be excluded")
    text = "; ".join(reasons)
    return (
        '<div class="ds ds-undecided" role="status"><h3>Ambiguous</h3>'
        f"<p>{text[0].upper()}{text[1:]}. The probabilities are spread over "
        f"{prediction.entropy:.1f} bits of the 2.8 that seven diagnoses can have.</p></div>"
    )


def second_opinion(prediction: Prediction, vote: Mapping[str, float]) -> str:
    """Return the classifier's probabilities and the past cases' vote, side by side.

    Args:
        prediction: The classifier's answer.
        vote: Of `Gallery.vote`, summing to 1.
    """
    answer, other = prediction.label_name, _first(vote)
    said = "agree" if answer == other else "disagree"
    both = {
        name: (prediction.probabilities.get(name, 0.0), vote.get(name, 0.0))
        for name in {**prediction.probabilities, **vote}
    }
    worth = [name for name in both if max(both[name]) >= WORTH]
    order = sorted(worth, key=lambda name: -sum(both[name]))
    rows = "".join(_pair(name, *both[name]) for name in order)
    return (
        f'<section><h4>Second opinion</h4><p class="ds-muted">The {VOTERS} most similar past cases '
        f"vote, the nearest with most weight: they <strong>{said}</strong> with the classifier.</p>"
        '<table class="ds-table ds-pairs"><thead><tr><th></th><th>Classifier</th>'
        f"<th>Past cases</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )


def vote_line(vote: Mapping[str, float]) -> str:
    """Return a vote as a row of chips, the likeliest first."""
    order = sorted(vote.items(), key=lambda item: -item[1])
    chips = "".join(
        f'<li style="--tone:{_tone(name)}">{escape(name_of(name))} {percent(share)}</li>'
        for name, share in order
        if share >= WORTH
    )
    return f'<ul class="ds-chips">{chips}</ul>'


def _first(vote: Mapping[str, float]) -> str:
    return max(vote, key=lambda name: vote[name])


def _pair(name: str, classifier: float, cases: float) -> str:
    cells = "".join(
        f'<td><span class="ds-track"><i style="width:{share:.1%}"></i></span>'
        f"<b>{percent(share)}</b></td>"
        for share in (classifier, cases)
    )
    return f'<tr style="--tone:{_tone(name)}"><th>{escape(name_of(name))}</th>{cells}</tr>'


def _tone(name: str) -> str:
    return diagnosis(name).color if name in CODES else ENROLLED_COLOR
