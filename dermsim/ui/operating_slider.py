"""Where malignant begins, as the visitor chooses it: the stops of a slider, and what each costs.

The whole curve is sent to the browser once. There ``case.js`` moves the line in everything that
`line_of` and `figure` marked, so that nobody is asked while the slider moves.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import MALIGNANT
from dermsim.ui.i18n import number, say
from dermsim.ui.render import percent

if TYPE_CHECKING:
    from dermsim.engine.results import Prediction
    from dermsim.tasks.classify import Calibration, OperatingPoint

USUAL = -1
"""The stop of who has not chosen, or could not yet: the balanced point."""


def stops(calibration: Calibration) -> tuple[OperatingPoint, ...]:
    """Return the points to choose from, from the highest threshold to the lowest.

    They are those of the malignancy curve; in an older checkpoint those that have a name.
    """
    curve = calibration.malignancy_curve
    if curve is not None:
        return curve.points
    named = {point.threshold: point for point in calibration.operating_points.values()}
    return tuple(named[threshold] for threshold in sorted(named, reverse=True))


def point_at(calibration: Calibration, stop: int) -> OperatingPoint:
    """Return the point of a stop.

    Raises:
        ValueError: If there is no such stop.
    """
    if stop == USUAL:
        return calibration.operating_point()
    points = stops(calibration)
    if isinstance(stop, bool) or stop not in range(len(points)):
        raise ValueError(f"There is no operating point {stop!r}: choose 0 to {len(points) - 1}.")
    return points[int(stop)]


def presets(calibration: Calibration) -> dict[str, int]:
    """Return the stop of each point that has a name."""
    thresholds = [point.threshold for point in stops(calibration)]
    return {
        name: thresholds.index(point.threshold)
        for name, point in calibration.operating_points.items()
    }


def panel(calibration: Calibration, stop: int = USUAL, *, language: str = "en") -> str:
    """Return what the chosen point costs, with all that the browser needs to show any other.

    Args:
        calibration: Of the checkpoint.
        stop: The chosen one.
        language: The visitor's.
    """
    point, curve = point_at(calibration, stop), calibration.malignancy_curve
    counts = dict.fromkeys(("caught", "malignant", "passed", "benign"), "")
    if curve is not None:
        row = curve.thresholds.index(point.threshold)
        counts = {
            "caught": figure("caught", number(curve.caught[row], language=language)),
            "malignant": number(curve.malignant, language=language),
            "passed": figure("passed", number(curve.passed[row], language=language)),
            "benign": number(curve.benign, language=language),
        }
    cells = "".join(
        f"<div><dt>{say(f'case.{name}', language)}</dt>"
        f"<dd>{figure(name, percent(getattr(point, name)))}</dd>"
        f"<dd>{say(f'case.{under}', language, **counts) if curve or name == 'threshold' else ''}"
        "</dd></div>"
        for name, under in (
            ("sensitivity", "of_malignant"),
            ("specificity", "of_benign"),
            ("threshold", "of_malignancy"),
        )
    )
    note = say("case.validation", language)
    if curve is None:
        note += " " + say("case.two_points", language)
    facts = escape(json.dumps(_for_browser(calibration, language)), quote=True)
    return (
        f'<div class="ds ds-point" data-points="{facts}"><dl>{cells}</dl>'
        f'<p class="ds-muted">{note}</p></div>'
    )


def risk(
    prediction: Prediction, calibration: Calibration, stop: int = USUAL, *, language: str = "en"
) -> str:
    """Return the card that says benign or malignant, and how near the alert line that is.

    Args:
        prediction: The classifier's answer.
        calibration: What it was read with.
        stop: Where malignant begins.
        language: The visitor's.
    """
    point, share = point_at(calibration, stop), percent(prediction.malignancy)
    values = {
        "share": f"<strong>{share}</strong>",
        "count": len(MALIGNANT),
        "line": figure("threshold", percent(point.threshold)),
        "sensitivity": figure("sensitivity", percent(point.sensitivity)),
        "specificity": figure("specificity", percent(point.specificity)),
    }
    return (
        f'<section class="ds-card ds-risk {line_of(prediction.malignancy, point)}>'
        f'<p class="ds-eyebrow">{say("classify.risk", language)}</p>'
        f"<h2>{reading(language)}</h2>"
        f"{gauge(prediction.malignancy, point, language=language)}"
        f"<p>{say('classify.risk_text', language, **values)}</p></section>"
    )


def reading(language: str = "en") -> str:
    """Return both readings; the class that `line_of` gives shows one of them."""
    return "".join(
        f'<span class="ds-if-{word}"><span aria-hidden="true">{mark}</span> '
        f"{say(f'classify.reads_{word}', language)}</span>"
        for word, mark in (("benign", "●"), ("malignant", "▲"))
    )


def gauge(malignancy: float, point: OperatingPoint, *, language: str = "en") -> str:
    """Return a malignancy in [0, 1] as a meter with the alert line across it."""
    return (
        f'<div class="ds-gauge" role="meter" aria-label="{say("classify.malignancy", language)}" '
        f'aria-valuemin="0" aria-valuemax="1" aria-valuenow="{malignancy:.3f}" '
        f'aria-valuetext="{percent(malignancy)}"><i style="width:{malignancy:.1%}"></i>'
        f'<b data-line style="left:{point.threshold:.1%}" '
        f'title="{say("classify.alert_line", language)}"></b></div>'
    )


def line_of(malignancy: float, point: OperatingPoint) -> str:
    """Return the end of an element's start tag that reads as benign or malignant.

    It closes the quotation mark of ``class`` and lets the browser draw the line elsewhere.
    """
    word = "malignant" if malignancy >= point.threshold else "benign"
    return f'is-{word}" data-malignancy="{malignancy!r}"'


def figure(name: str, text: str) -> str:
    """Mark a figure of the chosen point, so that it moves with the slider."""
    return f'<span data-figure="{name}" aria-live="off">{text}</span>'


def _for_browser(calibration: Calibration, language: str) -> dict[str, object]:
    """Return each stop's threshold and its figures as they are written."""
    curve, points = calibration.malignancy_curve, stops(calibration)
    rows = []
    for row, point in enumerate(points):
        texts = {
            name: percent(getattr(point, name))
            for name in ("threshold", "sensitivity", "specificity")
        }
        if curve is not None:
            texts["caught"] = number(curve.caught[row], language=language)
            texts["passed"] = number(curve.passed[row], language=language)
        said = say("case.point_said", language, **texts)
        rows.append([point.threshold, texts, said])
    return {"stops": rows, "presets": presets(calibration)}
