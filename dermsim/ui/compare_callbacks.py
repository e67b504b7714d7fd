"""What happens in the tab *Compare*: two pictures, how alike they are, and what makes them so.

Plain functions of an engine and plain values; bad input is refused with a `ValueError` of one
sentence. None knows Gradio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from dermsim.core.labels import DISCLAIMER
from dermsim.core.refused import Refused
from dermsim.tasks.retrieve import PairScale
from dermsim.ui import cards, explain_callbacks, heatmaps, likeness, render, summary
from dermsim.ui.i18n import say
from dermsim.ui.map_worth import worth_verdict
from dermsim.ui.operating_slider import USUAL

if TYPE_CHECKING:
    from dermsim.engine import DermSim
    from dermsim.tasks.retrieve import Gallery

OPACITY = 0.6
"""Of the strongest place of a map."""

_SCALES: WeakKeyDictionary[Gallery, PairScale] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class ComparisonView:
    """Two pictures beside each other.

    Attributes:
        explanation: The likeness maps, to draw with or without; None while nothing is compared.
        words: How alike they are, as HTML.
        first: What is said of the visitor's picture, as HTML.
        second: What is said and known of the other.
    """

    explanation: explain_callbacks.Explanation | None
    words: str
    first: str
    second: str


@dataclass(frozen=True, eq=False)
class _Other:
    """The second picture: uploaded, or a past case with or without a picture."""

    picture: str | Image.Image | None
    row: int | None


def nothing_compared(language: str = "en") -> str:
    """Return what the tab says while there are no two pictures."""
    return render.empty(say("compare.nothing", language), say("compare.nothing_how", language))


def scale_of(gallery: Gallery) -> PairScale:
    """Return how alike a gallery's cases are to one another; drawn once for each gallery."""
    if gallery not in _SCALES:
        _SCALES[gallery] = PairScale.of(gallery, generator=np.random.default_rng(0))
    return _SCALES[gallery]


def compare(
    engine: DermSim,
    image: str | None,
    other: str | None = None,
    case: str | None = None,
    stop: int = USUAL,
    *,
    pictures: render.Pictures | None = None,
    language: str = "en",
) -> ComparisonView:
    """Compare a picture with a second one, or with a past case.

    Args:
        engine: The loaded checkpoint.
        image: Path of the visitor's picture, or None while there is none.
        other: Path of the second picture, or None for a past case.
        case: image_id of the past case, or None.
        stop: Where malignant begins, of `dermsim.ui.operating_slider.stops`.
        pictures: Where the cases' pictures come from, or None when no data set is at hand.
        language: The visitor's.

    Raises:
        ValueError: If a picture cannot be read, or there is no such case.
    """
    second = _other(engine, other, case, pictures)
    if image is None or second is None:
        return ComparisonView(None, nothing_compared(language), "", "")
    found = _likeness(engine, image, second)
    maps, predictions = found.heatmaps, engine.predict(found.pictures)
    cosine = float(maps[0].score or 0.0)
    words = likeness.panel(cosine, scale_of(engine.gallery), len(engine.gallery), language=language)
    titles = [say("compare.first_title", language), say("compare.second_title", language)]
    briefs = [
        summary.brief(engine, prediction, stop, title=title, language=language)
        for prediction, title in zip(predictions, titles, strict=False)
    ]
    known = "" if second.row is None else _known(engine, second, language)
    return ComparisonView(
        explanation=found,
        words=words + _map_words(found, language),
        first=briefs[0],
        second="".join(briefs[1:]) + known,
    )


def paint(
    explanation: explain_callbacks.Explanation | None, painted: bool
) -> tuple[Image.Image | None, Image.Image | None]:
    """Draw the two pictures, with what makes them alike or as they are.

    Returns:
        The visitor's picture and the other; None where there is none.
    """
    if explanation is None:
        return None, None
    opacity = OPACITY if painted else 0.0
    drawn = heatmaps.paint(explanation, opacity=opacity, outlined=painted)
    return drawn[0], drawn[1] if len(drawn) > 1 else None


def compare_data(
    engine: DermSim,
    image: str | None,
    other: str | None,
    case: str = "",
    *,
    pictures: render.Pictures | None = None,
) -> tuple[Image.Image | None, Image.Image | None, dict[str, object]]:
    """Return two painted pictures and how alike they are: the ``/likeness`` endpoint.

    Raises:
        ValueError: If a picture is missing or cannot be read, or there is no such case.
    """
    if image is None:
        raise Refused("callbacks.no_picture")
    second = _other(engine, other, case, pictures)
    if second is None:
        raise Refused("compare_callbacks.no_second")
    found = _likeness(engine, image, second)
    cosine = float(found.heatmaps[0].score or 0.0)
    standing = scale_of(engine.gallery).standing(cosine)
    facts: dict[str, object] = {
        "likeness": cosine,
        "more_alike_than": {"same": standing.same, "different": standing.different},
        "predictions": [prediction.to_dict() for prediction in engine.predict(found.pictures)],
        "case": None if second.row is None else engine.gallery.records[second.row],
        "disclaimer": DISCLAIMER,
    }
    return *paint(found, True), facts


def _other(
    engine: DermSim, other: str | None, case: str | None, pictures: render.Pictures | None
) -> _Other | None:
    if other is not None:
        return _Other(other, None)
    if not case:
        return None
    row = explain_callbacks.row_of(engine, case)
    return _Other(pictures(case) if pictures else None, row)


def _likeness(engine: DermSim, image: str, second: _Other) -> explain_callbacks.Explanation:
    return explain_callbacks.likeness(engine, image, second.picture, second.row)


def _known(engine: DermSim, second: _Other, language: str) -> str:
    """Return what is known of a past case, and how far the model may be believed about it."""
    assert second.row is not None
    record = engine.gallery.records[second.row]
    facts = {key: value for key, value in record.items() if key not in ("image_id", "dx")}
    card = cards.case_card(
        str(record["image_id"]), str(record["dx"]), facts, None, language=language
    )
    key = "no_picture" if second.picture is None else "trained_on"
    return (
        f'<div class="ds ds-known"><h2>{say("compare.case_title", language)}</h2>'
        f'<p class="ds-muted">{say(f"compare.{key}", language)}</p>{card}</div>'
    )


def _map_words(found: explain_callbacks.Explanation, language: str) -> str:
    if max(found.strengths) <= 0:
        text = say("compare.nothing_raises", language)
    else:
        method = heatmaps.method_name(found.heatmaps[0].method, language)
        text = say("compare.map_how", language, method=method)
    worth = worth_verdict(found.worth, language=language)
    return f'<div class="ds"><p class="ds-muted">{text} {worth}</p></div>'
