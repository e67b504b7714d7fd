"""Charts as SVG, drawn with plain numbers: sharp on paper, a few kilobytes, nothing to install.

A chart never stands alone: what it shows is also in the table beside it, and its label says in one
sentence what can be seen. Widths are in units that are pixels where a chart has room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10

WIDTH = 400
"""Of every chart."""

TEXT = "#242b2c"
SOFT = "#57554f"
RULE = "#dcd6cb"

_ROW, _BAR = 24, 16  # heights of a row and of the bar in it
_LETTER = 6.6  # width of a letter of a label, generously


@dataclass(frozen=True)
class Series:
    """One colour of a stacked chart.

    Attributes:
        key: By which its counts go.
        color: ``#rrggbb``.
    """

    key: str
    color: str


Counts = Mapping[str, int]
Say = Callable[[float], str]
"""Writes a number in the reader's language."""


def stacked_bars(
    rows: Sequence[tuple[str, Counts]],
    series: Sequence[Series],
    *,
    label: str,
    say: Say,
    notes: Sequence[str] = (),
) -> str:
    """Draw horizontal bars, each parted by series, with its sum behind it.

    Args:
        rows: Name and counts of each bar, from the top.
        series: The parts in their order.
        label: What can be seen, for who cannot see it.
        say: Writes the sums.
        notes: A few words behind each sum; none for none.
    """
    left = _label_width(name for name, _ in rows)
    sums = [sum(counts.get(s.key, 0) for s in series) for _, counts in rows]
    ends = [f"{say(n)}{f' · {note}' if note else ''}" for n, note in zip_notes(sums, notes)]
    right = _label_width(ends)
    scale = max(WIDTH - left - right, 60) / max(max(sums, default=0), 1)
    parts = []
    for row, ((name, counts), end) in enumerate(zip(rows, ends, strict=True)):
        y = row * _ROW
        middle = y + _BAR / 2 + 4.5
        parts.append(f'<text x="{left - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>')
        x = float(left)
        for part in series:
            width = counts.get(part.key, 0) * scale
            if width:
                parts.append(_rect(x, y, width, _BAR, part.color))
            x += width
        parts.append(f'<text class="soft" x="{x + 6:.1f}" y="{middle}">{escape(end)}</text>')
    parts.append(_line(left, -3, left, len(rows) * _ROW - _ROW + _BAR + 3))
    return _svg(parts, height=len(rows) * _ROW, label=label)


def stacked_columns(
    columns: Sequence[tuple[str, Counts]],
    series: Sequence[Series],
    *,
    label: str,
    say: Say,
    height: int = 200,
    sums: bool = False,
) -> str:
    """Draw vertical columns, each parted by series, over a scale of round numbers.

    Args:
        columns: Name and counts of each, from the left; an empty name leaves its place unnamed.
        series: The parts from the bottom.
        label: What can be seen, for who cannot see it.
        say: Writes the numbers of the scale.
        height: Of the scale.
        sums: Whether each column bears its sum.
    """
    totals = [sum(counts.get(s.key, 0) for s in series) for _, counts in columns]
    ticks = round_ticks(max(totals, default=0))
    top = ticks[-1]
    left = _label_width([say(tick) for tick in ticks])
    pitch = (WIDTH - left) / max(len(columns), 1)
    width = min(pitch * 0.82, 46)
    parts = []
    for tick in ticks:
        y = height * (1 - tick / top)
        parts.append(_line(left, y, WIDTH, y))
        parts.append(
            f'<text class="soft" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(say(tick))}</text>"
        )
    for place, (name, counts) in enumerate(columns):
        x = left + place * pitch + (pitch - width) / 2
        y = float(height)
        for part in series:
            tall = height * counts.get(part.key, 0) / top
            if tall:
                parts.append(_rect(x, y - tall, width, tall, part.color))
            y -= tall
        if sums:
            parts.append(
                f'<text class="soft" x="{x + width / 2:.1f}" y="{y - 5:.1f}" text-anchor="middle">'
                f"{escape(say(totals[place]))}</text>"
            )
        parts.append(
            f'<text class="soft" x="{x + width / 2:.1f}" y="{height + 17}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    return _svg(parts, height=height + 24, label=label, above=16)


def boxes(
    rows: Sequence[tuple[str, str, tuple[float, float, float, float, float]]],
    *,
    label: str,
    say: Say,
    most: float,
) -> str:
    """Draw the range, the quartiles and the median of some groups, a row each.

    Args:
        rows: Name, colour, and the lowest, lower quartile, median, upper quartile, highest value.
        label: What can be seen, for who cannot see it.
        say: Writes the numbers of the scale.
        most: Where the scale ends; it begins at 0.
    """
    left = _label_width(name for name, *_ in rows)
    bottom = len(rows) * _ROW
    ticks = round_ticks(most, wanted=5)
    scale = (WIDTH - left - 14) / ticks[-1]
    parts = []
    for tick in ticks:
        x = left + tick * scale
        parts.append(_line(x, 0, x, bottom))
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">'
            f"{escape(say(tick))}</text>"
        )
    for row, (name, color, figures) in enumerate(rows):
        y = row * _ROW + _ROW / 2
        low, lower, median, upper, high = (left + value * scale for value in figures)
        parts.append(f'<text x="{left - 8}" y="{y + 4.5}" text-anchor="end">{escape(name)}</text>')
        parts.append(_line(low, y, high, y, color=SOFT, width=1.5))
        parts.append(
            f'<rect x="{lower:.1f}" y="{y - 7:.1f}" width="{max(upper - lower, 2):.1f}" '
            f'height="14" fill="{color}" stroke="{TEXT}" stroke-width="0.8"/>'
        )
        parts.append(_line(median, y - 7, median, y + 7, color=TEXT, width=2.5))
    return _svg(parts, height=bottom + 20, label=label)


def shares(rows: Sequence[tuple[str, Counts]], series: Sequence[Series], *, label: str) -> str:
    """Draw bars of the same length, each parted in proportion.

    Args:
        rows: Name and counts of each bar, from the top.
        series: The parts in their order.
        label: What can be seen, for who cannot see it.
    """
    left = _label_width(name for name, _ in rows)
    parts = []
    for row, (name, counts) in enumerate(rows):
        y, x = row * _ROW, float(left)
        total = max(sum(counts.get(s.key, 0) for s in series), 1)
        parts.append(
            f'<text x="{left - 8}" y="{y + _BAR / 2 + 4.5}" text-anchor="end">{escape(name)}</text>'
        )
        for part in series:
            width = (WIDTH - left) * counts.get(part.key, 0) / total
            if width:
                parts.append(_rect(x, y, width, _BAR, part.color))
            x += width
    return _svg(parts, height=len(rows) * _ROW, label=label)


def round_ticks(most: float, *, wanted: int = 4) -> list[float]:
    """Return round numbers from 0 to at least `most`, about `wanted` steps of 1, 2 or 5 × 10ⁿ."""
    if most <= 0:
        return [0.0, 1.0]
    raw = most / wanted
    power = 10 ** ceil(log10(raw) - 1)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    step = max(step, 1)
    return [float(step * n) for n in range(ceil(most / step - 1e-9) + 1)]


def zip_notes(sums: Sequence[int], notes: Sequence[str]) -> list[tuple[int, str]]:
    """Put a note beside each sum; without notes, an empty one."""
    return list(zip(sums, notes or [""] * len(sums), strict=True))


def _label_width(names: object) -> int:
    longest = max((len(str(name)) for name in names), default=0)  # type: ignore[attr-defined]
    return ceil(longest * _LETTER) + 12


def _rect(x: float, y: float, width: float, height: float, color: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}" '
        f'stroke="{TEXT}" stroke-opacity="0.35" stroke-width="0.6"/>'
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, *, color: str = RULE, width: float = 1
) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}"/>'
    )


def _svg(parts: Sequence[str], *, height: float, label: str, above: int = 4) -> str:
    return (
        f'<svg viewBox="0 -{above} {WIDTH} {height + above}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
    )
