"""Where malignant begins, as the visitor chooses it: the stops of a slider, and what each costs.

The whole curve is sent to the browser once. There ``case.js`` moves the line in everything that
`line_of` and `figure` marked, so that nobody is asked while the slider moves.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from dermsim.core.labels import MALIGNANT, diagnosis
from dermsim.core.refused import Refused
from dermsim.ui.i18n import number, say
from dermsim.ui.render import description_of, name_of, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dermsim.core.bootstrap import Interval
    from dermsim.engine import DermSim
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
        raise Refused("operating_slider.no_stop", stop=stop, last=len(points) - 1)
    return points[int(stop)]


def presets(calibration: Calibration) -> dict[str, int]:
    """Return the stop of each point that has a name."""
    thresholds = [point.threshold for point in stops(calibration)]
    return {
        name: thresholds.index(point.threshold)
        for name, point in calibration.operating_points.items()
    }


def panel(engine: DermSim, stop: int = USUAL, *, language: str = "en") -> str:
    """Return what the chosen point reached, with all that the browser needs to show any other.

    What it reached on held-out lesions and in other clinics; where neither was measured, what it
    did to the photographs that it was chosen on, which is said to flatter.

    Args:
        engine: The checkpoint.
        stop: The chosen one.
        language: The visitor's.
    """
    calibration = engine.calibration
    point = point_at(calibration, stop)
    texts = figures(engine, point, language=language)
    cells = "".join(
        f"<div><dt>{say(f'case.{name}', language)}</dt>"
        f"<dd>{figure(name, texts[name])}</dd><dd>{under}</dd></div>"
        for name, under in (
            ("sensitivity", figure("sensitivity_under", texts["sensitivity_under"])),
            ("specificity", figure("specificity_under", texts["specificity_under"])),
            ("threshold", say("case.of_malignancy", language)),
        )
    )
    facts = escape(json.dumps(_for_browser(engine, language)), quote=True)
    return (
        f'<div class="ds ds-point" data-points="{facts}"><dl>{cells}</dl>'
        f'<p class="ds-muted">{_rests_on(engine, language)}</p>'
        f"{_elsewhere(engine, texts, language)}</div>"
    )


def figures(engine: DermSim, point: OperatingPoint, *, language: str = "en") -> dict[str, str]:
    """Return the figures of a point as they are written, by what `figure` calls them.

    Args:
        engine: The checkpoint.
        point: One of its operating points.
        language: The visitor's.
    """
    reached = {found.origin: found for found in engine.reached_at(point.threshold)}
    texts = {"threshold": percent(point.threshold)}
    main = reached.get("held_out")
    for name, counted in (("sensitivity", "of_malignant"), ("specificity", "of_benign")):
        if main is None:
            texts[name] = percent(getattr(point, name))
            texts[f"{name}_under"] = _counts(engine.calibration, point, counted, language)
        else:
            share: Interval = getattr(main, name)
            texts[name] = percent(share.value)
            texts[f"{name}_under"] = _interval(share, language)
        if other := reached.get("elsewhere"):
            share = getattr(other, name)
            texts[f"elsewhere_{name}"] = percent(share.value)
            texts[f"elsewhere_{name}_under"] = _interval(share, language)
    return texts


def preset_names(engine: DermSim, *, language: str = "en") -> dict[str, str]:
    """Return what the points are called that have a name, with what they reached where known."""
    names = {}
    for name, point in engine.calibration.operating_points.items():
        reached = {found.origin: found for found in engine.reached_at(point.threshold)}
        names[name] = say(f"case.{name}", language)
        if main := reached.get("held_out"):
            share = percent(main.sensitivity.value).replace("&gt;", ">").replace("&lt;", "<")
            names[name] = say("case.preset", language, name=names[name], share=share)
    return names


def _rests_on(engine: DermSim, language: str) -> str:
    """Say on which photographs the first figures rest."""
    for found in engine.reached:
        if found.origin == "held_out":
            return say("case.held_out", language, name=escape(found.dataset))
    note = say("case.validation", language)
    if engine.calibration.malignancy_curve is None:
        note += " " + say("case.two_points", language)
    return note


def _elsewhere(engine: DermSim, texts: Mapping[str, str], language: str) -> str:
    """Return what the point reached in other clinics; nothing where that was not measured."""
    names = [found.dataset for found in engine.reached if found.origin == "elsewhere"]
    if not names:
        return ""
    cells = "".join(
        f"<div><dt>{say(f'case.{name}', language)}</dt>"
        f"<dd>{figure(f'elsewhere_{name}', texts[f'elsewhere_{name}'])}</dd>"
        f"<dd>{figure(f'elsewhere_{name}_under', texts[f'elsewhere_{name}_under'])}</dd></div>"
        for name in ("sensitivity", "specificity")
    )
    title = say("case.elsewhere", language, name=escape(names[0]))
    return f'<dl class="ds-elsewhere">{cells}</dl><p class="ds-muted">{title}</p>'


def _counts(calibration: Calibration, point: OperatingPoint, counted: str, language: str) -> str:
    """Return how many validation photographs a share is of; nothing where that is not known."""
    curve = calibration.malignancy_curve
    if curve is None:
        return ""
    row = curve.thresholds.index(point.threshold)
    numbers = {"malignant": curve.malignant, "benign": curve.benign}
    numbers |= {"caught": curve.caught[row], "passed": curve.passed[row]}
    words = {name: number(count, language=language) for name, count in numbers.items()}
    return say(f"case.{counted}", language, **words)


def _interval(share: Interval, language: str) -> str:
    low, high = (f"{100 * end:.0f}" for end in (share.low, share.high))
    return say(
        "case.interval",
        language,
        low=low,
        high=f"{high}\u00a0%",
        n=number(share.n, language=language),
    )


def meaning(
    prediction: Prediction, calibration: Calibration, stop: int = USUAL, *, language: str = "en"
) -> str:
    """Return what the most probable diagnosis is in words, and what malignancy adds up.

    Words such as "harmless" are not seen while the picture reads as malignant.

    Args:
        prediction: The classifier's answer.
        calibration: What it was read with.
        stop: Where malignant begins.
        language: The visitor's.
    """
    code = prediction.label_name
    kind = "" if diagnosis(code).malignant else "ds-harmless"
    return (
        f'<section class="ds-meaning {line_of(prediction.malignancy, point_at(calibration, stop))}>'
        f'<p class="{kind}"><strong>{escape(name_of(code, language))}.</strong> '
        f"{escape(description_of(code, language))}</p>"
        f'<p class="ds-muted">{say("classify.adds_up", language, count=len(MALIGNANT))}</p>'
        "</section>"
    )


def conflict(prediction: Prediction, *, language: str = "en") -> str:
    """Return a sentence that is seen only while label and malignancy disagree.

    The threshold moves in the browser, and with it the class of the card around the sentence.
    """
    is_malignant = diagnosis(prediction.label_name).malignant
    shown, key = (
        ("benign", "malignant_but_below")
        if is_malignant
        else (
            "malignant",
            "benign_but_above",
        )
    )
    return f'<p class="ds-conflict ds-if-{shown}">{say(f"classify.{key}", language)}</p>'


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


def _for_browser(engine: DermSim, language: str) -> dict[str, object]:
    """Return each stop's threshold, its figures as they are written, and what it is kept by."""
    rows = []
    for point in stops(engine.calibration):
        texts = figures(engine, point, language=language)
        shown = {name: texts[name] for name in ("threshold", "sensitivity", "specificity")}
        said = say("case.point_said", language, **shown)
        rows.append([point.threshold, texts, said, str(point.threshold)])
    return {"stops": rows, "presets": presets(engine.calibration)}
