"""What the visitor sees, drawn as HTML and pictures from results; knows neither Gradio nor a model.

Every string that is not ours (file names, class names, case facts) passes through `html.escape`.
The classes are styled by ``style.css`` beside this file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from dermsim.labels import CODES, DISCLAIMER, LABELS, MALIGNANT, diagnosis

if TYPE_CHECKING:  # torch comes with them, and the page is served before it is needed
    from dermsim.results import Prediction
    from dermsim.tasks.classify import Calibration

Pictures = Callable[[str], Image.Image | None]
"""The picture of a past case by its image_id, or None where there is none."""

ENROLLED_COLOR = "#5b8c85"
"""Colour of classes that the visitor taught; none of the seven has it."""


def percent(probability: float) -> str:
    """Return a probability in [0, 1] as HTML, never a false 0 % or 100 %; it does not break."""
    if 0 < probability < 0.01:
        return "&lt;1\u00a0%"
    if 0.99 < probability < 1:
        return "&gt;99\u00a0%"
    return f"{100 * probability:.0f}\u00a0%"


def masthead(facts: Iterable[str]) -> str:
    """Return the page's head: mark, name, promise, and a few facts about the loaded model."""
    chips = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return (
        '<header class="ds ds-masthead"><div class="ds-mark" aria-hidden="true"></div><div>'
        "<h1>dermsim</h1><p>One dermatoscopic photograph in. What it may be, where the model "
        "looked, which past cases resemble it, and new classes from a few pictures.</p></div>"
        f'<ul class="ds-facts">{chips}</ul></header>'
    )


def note(text: str) -> str:
    """Return a sentence about the page itself, such as what it does without; nothing for none."""
    return f'<div class="ds ds-note" role="status"><p>{escape(text)}</p></div>' if text else ""


def disclaimer() -> str:
    """Return the line that stays on screen whatever the visitor does."""
    return f'<div class="ds ds-disclaimer" role="note"><p>{escape(DISCLAIMER)}</p></div>'


def empty(title: str, text: str) -> str:
    """Return a quiet panel that says what will appear here and how to make it appear."""
    return (
        '<div class="ds ds-empty"><div class="ds-mark" aria-hidden="true"></div>'
        f"<h3>{escape(title)}</h3><p>{escape(text)}</p></div>"
    )


def legend() -> str:
    """Return the seven diagnoses in plain words: what Classify shows before any picture."""
    rows = "".join(
        f'<li style="--tone:{item.color}"><h4>{escape(item.name)}{code_tag(item.code)}</h4>'
        f"<p>{escape(item.description)}</p></li>"
        for item in LABELS
    )
    return (
        '<div class="ds"><h3>Seven things this model can tell apart</h3>'
        '<p class="ds-muted">Add a picture, or click one of the drawings, to see how probable '
        "each of them is. ▲ marks those counted as malignant.</p>"
        f'<ul class="ds-legend">{rows}</ul></div>'
    )


def warning(prediction: Prediction) -> str:
    """Return what must be read before any label: that the picture is strange. Else nothing."""
    if not prediction.is_outlier:
        return ""
    return (
        '<div class="ds ds-warning" role="alert"><h3>Unlike anything in training</h3><p>This '
        "picture lies further from the training photographs (score "
        f"{prediction.ood_score:.1f}) than 95 % of real dermatoscopic pictures do. The model must "
        "still answer with one of seven names; do not rely on what it says below.</p></div>"
    )


def verdict(
    prediction: Prediction, calibration: Calibration, *, risk: str = "", besides: str = ""
) -> str:
    """Return the whole answer to one picture; `warning` belongs above it.

    Args:
        prediction: The classifier's answer.
        calibration: What it was read with.
        risk: The card beside the answer that says benign or malignant, as HTML.
        besides: Sections to end with, as HTML.
    """
    order = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    return (
        f'<div class="ds"><div class="ds-verdict">{_answer(prediction)}'
        f"{risk}</div>"
        f"{_prediction_set(prediction.prediction_set, calibration.alpha)}"
        '<section><h4>Calibrated probabilities</h4><p class="ds-muted">Of pictures given 70 %, '
        "about 70 % turned out that way on validation. Open a row to read what it means.</p>"
        f"{bars(dict(order))}</section>{besides}</div>"
    )


def bars(probabilities: Mapping[str, float], *, enrolled: Collection[str] = ()) -> str:
    """Return probabilities as a list of meters, in the order given.

    Args:
        probabilities: By diagnosis code or by the name of an enrolled class.
        enrolled: The names that the visitor taught.
    """
    rows = "".join(
        _bar(name, probability, name in enrolled) for name, probability in probabilities.items()
    )
    return f'<ul class="ds-bars">{rows}</ul>'


def comparison(probabilities: Mapping[str, float], enrolled: Collection[str]) -> str:
    """Return the current picture's probabilities against old and enrolled classes."""
    order = sorted(probabilities.items(), key=lambda item: -item[1])
    name, probability = order[0]
    return (
        '<div class="ds"><h4>The current picture, against old and new classes</h4>'
        f'<p class="ds-lead">Closest to <strong>{escape(name_of(name))}</strong>, '
        f"{percent(probability)}.</p>"
        '<p class="ds-muted">Measured by likeness to each class\'s average picture, so these '
        "figures differ from those of Classify.</p>"
        f"{bars(dict(order), enrolled=enrolled)}</div>"
    )


def bank_panel(counts: Mapping[str, int]) -> str:
    """Return the classes the visitor has taught, with how many pictures each had."""
    if not counts:
        return (
            '<div class="ds ds-bank"><h4>Your classes</h4><p class="ds-muted">None yet. What you '
            "enrol lives in this browser tab only, until you close it; save it to a file to keep "
            "it.</p></div>"
        )
    items = "".join(
        f"<li><strong>{escape(name)}</strong><span>{_plural(count, 'picture')}</span></li>"
        for name, count in counts.items()
    )
    return (
        '<div class="ds ds-bank"><h4>Your classes</h4>'
        f'<ul style="--tone:{ENROLLED_COLOR}">{items}</ul><p class="ds-muted">In this browser tab '
        "only. Save them to a file to use them again with the same model.</p></div>"
    )


def name_of(name: str) -> str:
    """Return the English name of a diagnosis code, and any other name as it is."""
    return diagnosis(name).name if name in CODES else name


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def code_tag(code: str) -> str:
    """Return a diagnosis code as HTML, marked when it counts as malignant."""
    mark = ' <span class="ds-alert" title="counted as malignant">▲</span>'
    return f" <code>{escape(code)}</code>{mark if code in MALIGNANT else ''}"


def _answer(prediction: Prediction) -> str:
    item = diagnosis(prediction.label_name)
    return (
        f'<section class="ds-card ds-answer" style="--tone:{item.color}">'
        f'<p class="ds-eyebrow">Most probable of seven</p><h3>{escape(item.name)}</h3>'
        f'<p class="ds-figure">{percent(prediction.probabilities[item.code])}</p>'
        f"<p>{escape(item.description)}</p></section>"
    )


def _prediction_set(codes: Sequence[str], alpha: float) -> str:
    chips = "".join(
        f'<li style="--tone:{diagnosis(code).color}">{escape(name_of(code))}</li>' for code in codes
    )
    return (
        f'<section><h4>Cannot be excluded</h4><ul class="ds-chips">{chips}</ul><p class="ds-muted">'
        f"Whatever the true diagnosis, about {percent(1 - alpha)} of its pictures have it in this "
        "list. A long list means the model is unsure.</p></section>"
    )


def _bar(name: str, probability: float, is_enrolled: bool) -> str:
    share = percent(probability)
    known = None if is_enrolled or name not in CODES else diagnosis(name)
    title = f"{escape(known.name)}{code_tag(name)}" if known else escape(name)
    tag = ' <span class="ds-tag">yours</span>' if is_enrolled else ""
    label = escape(known.name if known else name, quote=True)
    meter = (
        f'<span class="ds-name">{title}{tag}</span><span class="ds-share">{share}</span>'
        f'<span class="ds-track" role="meter" aria-label="{label}" aria-valuemin="0" '
        f'aria-valuemax="1" aria-valuenow="{probability:.4f}" aria-valuetext="{share}">'
        f'<i style="width:{probability:.1%}"></i></span>'
    )
    text = known.description if known else "A class you taught in this browser tab."
    return (
        f'<li style="--tone:{known.color if known else ENROLLED_COLOR}"><details>'
        f"<summary>{meter}</summary><p>{escape(text)}</p></details></li>"
    )
