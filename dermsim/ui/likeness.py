"""A likeness in words and as a place between pairs of past cases; plain HTML."""

from __future__ import annotations

from html import escape

import numpy as np
import numpy.typing as npt

from dermsim.tasks.retrieve import PairScale, Standing
from dermsim.ui.heatmaps import ALIKE
from dermsim.ui.i18n import number, say
from dermsim.ui.render import percent

MOST = 0.5
"""Share of pairs that are most of them."""

RARE = 0.95
"""Share of pairs with different diagnoses above which such a likeness is rare among them."""

_BINS = 48
_WIDTH, _HEIGHT = 480, 72  # of the chart's own units; it stretches to its place


def words(similarity: float, standing: Standing, *, language: str = "en") -> str:
    """Put a likeness into words, by where it stands among pairs of past cases.

    Args:
        similarity: Cosine in [-1, 1].
        standing: Where it stands.
        language: The visitor's.
    """
    if similarity > ALIKE:
        key = "one"
    elif standing.different >= RARE:
        key = "very" if standing.same >= MOST else "rather"
    else:
        key = "somewhat" if standing.different >= MOST else "hardly"
    return say(f"compare.{key}", language)


def panel(similarity: float, scale: PairScale, cases: int, *, language: str = "en") -> str:
    """Return a likeness as a figure, a sentence and a mark among the pairs of past cases.

    Args:
        similarity: Cosine in [-1, 1].
        scale: The pairs.
        cases: How many past cases they were drawn from.
        language: The visitor's.
    """
    standing = scale.standing(similarity)
    shares = {"same": percent(standing.same), "different": percent(standing.different)}
    count = number(cases, language=language)
    return (
        '<section class="ds ds-alike"><div class="ds-alike-said">'
        f'<p class="ds-eyebrow">{say("compare.likeness", language)}</p>'
        f'<p class="ds-figure">{number(similarity, ".2f", language)}</p></div><div>'
        f'<p class="ds-lead">{words(similarity, standing, language=language)}</p>'
        f"<p>{say('compare.standing', language, **shares)}</p>"
        f"{_chart(similarity, scale, language)}"
        f'<p class="ds-muted">{say("compare.drawn_from", language, count=count)}</p>'
        "</div></section>"
    )


def _chart(similarity: float, scale: PairScale, language: str) -> str:
    low = min(float(scale.same[0]), float(scale.different[0]), similarity)
    high = max(float(scale.same[-1]), float(scale.different[-1]), similarity)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    shapes = "".join(
        f'<path class="ds-pairs-{name}" d="{_outline(np.histogram(cosines, edges)[0])}"/>'
        for name, cosines in (("different", scale.different), ("same", scale.same))
    )
    place = (similarity - edges[0]) / (edges[-1] - edges[0])
    label = say("compare.chart", language, likeness=number(similarity, ".3f", language))
    legend = "".join(
        f'<li class="ds-pairs-{name}"><i></i>{say(f"compare.{name}", language)}</li>'
        for name in ("different", "same")
    )
    first, last = (number(edge, ".2f", language) for edge in (edges[0], edges[-1]))
    return (
        f'<div class="ds-pair-chart" role="img" aria-label="{escape(label, quote=True)}">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'{shapes}</svg><b style="left:{place:.2%}"></b></div>'
        f'<p class="ds-pair-axis" aria-hidden="true"><span>{first}</span>'
        f'<span>{last}</span></p><ul class="ds-pair-legend">{legend}</ul>'
    )


def _outline(counts: npt.NDArray[np.integer]) -> str:
    """Return a histogram as a closed path of steps, its tallest as high as the chart."""
    steps = [f"M0 {_HEIGHT}"]
    for place, height in enumerate(counts / counts.max()):
        steps.append(f"V{_HEIGHT * (1 - height):.1f}H{_WIDTH * (place + 1) / len(counts):.1f}")
    return "".join(steps) + f"V{_HEIGHT}Z"
