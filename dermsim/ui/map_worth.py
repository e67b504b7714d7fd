"""What a heatmap is worth, in words: measured beside a blob in the middle of the picture."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from dermsim.core.explain_worth import Worth
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:
    from dermsim.core.bootstrap import Interval


def worth_verdict(worth: Worth, *, language: str = "en") -> str:
    """Say in a sentence whether such maps are better than a blob, or why nobody knows."""
    return say(f"worth.{worth.verdict or worth.why}", language)


def worth_figures(worth: Worth, *, language: str = "en") -> str:
    """Say the figures behind the verdict, and what they rest on; nothing where there are none."""
    found = worth.figures
    if found is None:
        return ""
    values: dict[str, object] = {"data": escape(worth.dataset)}
    for name, figure, gain in (
        ("energy", found.energy, found.energy_gain),
        ("road", found.road, found.road_gain),
    ):
        values[name] = _share(figure.value, language)
        values[f"{name}_blob"] = _share(figure.value - gain.value, language)
        values[f"{name}_gain"] = _share(gain.value, language, sign="+")
        values[f"{name}_low"] = _share(gain.low, language, sign="+")
        values[f"{name}_high"] = _share(gain.high, language, sign="+")
        values[f"{name}_n"] = _count(gain, language)
    return say("worth.figures", language, **values)


def worth_html(worth: Worth, *, language: str = "en") -> str:
    """Return verdict and figures as they stand under a heatmap."""
    figures = worth_figures(worth, language=language)
    more = f'<p class="ds-muted">{figures}</p>' if figures else ""
    return f"<p><strong>{worth_verdict(worth, language=language)}</strong></p>{more}"


def _share(value: float, language: str, *, sign: str = "") -> str:
    return f"{number(100 * value, f'{sign}.1f', language)}\u00a0%"


def _count(figure: Interval, language: str) -> str:
    return number(figure.n, ",", language)
