"""What happens in the tab *Explain*: plain functions of an engine and plain values.

As those of `dermsim.ui.callbacks`, they refuse bad input with a `ValueError` of one sentence, and
none knows Gradio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dermsim.core.explain_methods import DEFAULT, METHODS, Method, methods_for, parse_layer
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.images import ImageSource, read_image
from dermsim.engine import answers
from dermsim.engine.answers import Explanation
from dermsim.ui import heatmaps, render
from dermsim.ui.i18n import say

if TYPE_CHECKING:
    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank
    from dermsim.tasks.retrieve import Neighbor

Choices = list[tuple[str, str]]
"""What a menu offers: words, and the value they stand for."""

CASES = 12
"""Most similar past cases that are offered to compare with."""

_KEPT = (300, 300)  # pixels of a heatmap kept per visitor; it comes from far fewer


def nothing_explained(language: str = "en") -> str:
    """Return what the tab says while there is no picture."""
    return render.empty(say("explain.nothing", language), say("explain.nothing_how", language))


def target_choices(bank: ClassBank | None, *, language: str = "en") -> Choices:
    """Return what can be explained; the classes that a visitor enrolled come last."""
    own = [name for name in bank.names if name not in CODES] if bank is not None else []
    return [
        (say("explain.own_answer", language), ""),
        (say("explain.malignancy_choice", language), "malignancy"),
        *((render.name_of(code, language), code) for code in CODES),
        *((say("explain.yours", language, name=name), name) for name in own),
    ]


def method_choices(engine: DermSim | None = None, *, language: str = "en") -> Choices:
    """Return the methods that an encoder can be asked with, or those that any can."""
    known = engine.explanation_methods() if engine else methods_for(has_attention=False)
    return [
        (_default_method(engine, language), DEFAULT),
        *((_method_choice(engine, method, language), method.name) for method in known),
    ]


def _default_method(engine: DermSim | None, language: str) -> str:
    if engine is None:
        return say("worth.usual", language)
    key = "default_unmeasured" if engine.worth is None else "default"
    name = heatmaps.method_name(engine.explanation_method(), language)
    return say(f"worth.{key}", language, name=name)


def _method_choice(engine: DermSim | None, method: Method, language: str) -> str:
    """Return a method's name, with what its maps are worth where that was measured."""
    name = heatmaps.method_name(method.name, language)
    if method.is_slow:
        name = say("explain.slow", language, name=name)
    found = engine.worth.of(method.name) if engine and engine.worth else None
    return name if found is None else say(f"worth.short_{found.verdict}", language, name=name)


def layer_choices(engine: DermSim | None = None, *, language: str = "en") -> Choices:
    """Return the stages of an encoder, the last first: earlier ones are finer and surer of less."""
    names = engine.explanation_stages() if engine else ()
    numbers = range(-1, -len(names) - 1, -1)
    stages = [(say("explain.after", language, name=names[n]), str(n)) for n in numbers]
    return [(say("explain.whole", language), ""), *stages]


def menus(
    engine: DermSim, image: str | None, *, language: str = "en"
) -> tuple[Choices, Choices, Choices]:
    """Return what the menus of methods, layers and past cases offer for a picture."""
    return (
        method_choices(engine, language=language),
        layer_choices(engine, language=language),
        case_choices(engine, image, language=language),
    )


def explain(
    engine: DermSim,
    image: str | None,
    bank: ClassBank | None = None,
    target: str = "",
    method: str = DEFAULT,
    layer: str = "",
    smooth: bool = False,
    *,
    language: str = "en",
) -> tuple[Explanation | None, str]:
    """Explain a picture.

    Args:
        engine: The loaded checkpoint.
        image: Path of the picture, or None while there is none.
        bank: What this visitor has taught.
        target: A value of `target_choices`; empty for the model's own answer.
        method: A value of `method_choices`.
        layer: A value of `layer_choices`.
        smooth: Whether to average over turns and mirror images.
        language: The visitor's.

    Returns:
        What to keep for `blend`, and the words under the picture.

    Raises:
        ValueError: If the picture cannot be read or a choice is unknown.
    """
    if image is None:
        return None, nothing_explained(language)
    options: Any = {"method": method, "layer": _layer(layer, method), "smooth": smooth}
    found = small(explained(engine, image, target=target or None, bank=bank, **options))
    return found, heatmaps.explanation(found, language=language)


def blend(
    explanation: Explanation | None, opacity: float, outlined: bool = False
) -> tuple[Image.Image, Image.Image] | None:
    """Draw an explanation at another opacity in [0, 1]; the model is not asked again.

    Returns:
        The picture without and with its heatmap, in the same size.

    Raises:
        ValueError: If the opacity is out of range or a picture cannot be read any more.
    """
    if explanation is None:
        return None
    (drawn,) = heatmaps.paint(explanation, opacity=opacity, outlined=outlined)
    return heatmaps.paint(explanation, opacity=0.0)[0], drawn


def blend_pair(
    explanation: Explanation | None, opacity: float, outlined: bool = False
) -> Image.Image | None:
    """Draw the maps of a likeness side by side.

    Raises:
        ValueError: As for `blend`.
    """
    if explanation is None:
        return None
    return heatmaps.side_by_side(heatmaps.paint(explanation, opacity=opacity, outlined=outlined))


def case_choices(engine: DermSim, image: str | None, *, language: str = "en") -> Choices:
    """Return the past cases most like a picture, most alike first; none while there is none.

    Raises:
        ValueError: If the picture cannot be read.
    """
    return [] if image is None else named_cases(engine.search([image], CASES)[0], language=language)


def named_cases(cases: Sequence[Neighbor], *, language: str = "en") -> Choices:
    """Return past cases to choose from, in words and by image_id."""
    return [
        (
            say(
                "explain.case_choice",
                language,
                place=place,
                name=render.name_of(case.dx, language),
                # a menu shows plain text
                alike=unescape(
                    heatmaps.how_alike(case.similarity, case.percentile, language=language)
                ),
            ),
            case.image_id,
        )
        for place, case in enumerate(cases, start=1)
    ]


def compare(
    engine: DermSim,
    image: str | None,
    case: str | None,
    method: str = DEFAULT,
    layer: str = "",
    smooth: bool = False,
    *,
    pictures: render.Pictures | None = None,
    language: str = "en",
) -> tuple[Explanation | None, str]:
    """Show what makes a picture and a past case alike, on both where there is a picture of it.

    Args:
        engine: The loaded checkpoint.
        image: Path of the picture, or None while there is none.
        case: image_id of the past case, or None when none is chosen.
        method: A value of `method_choices`.
        layer: A value of `layer_choices`.
        smooth: Whether to average over turns and mirror images.
        pictures: Where the cases' pictures come from, or None when no data set is at hand.
        language: The visitor's.

    Returns:
        What to keep for `blend_pair`, and the words under the pictures.

    Raises:
        ValueError: If the picture cannot be read or a choice is unknown.
    """
    if image is None or not case:
        return None, ""
    row = row_of(engine, case)
    name = f"{render.name_of(str(engine.gallery.records[row]['dx']), language)} ({case})"
    options: Any = {"method": method, "layer": _layer(layer, method), "smooth": smooth}
    found = likeness(engine, image, pictures(case) if pictures else None, row, **options)
    scale, score = engine.pair_scale, found.heatmaps[0].score
    share = None if scale is None or score is None else scale.standing(score).same
    return found, heatmaps.likeness(found, name, share=share, language=language)


def explain_data(
    engine: DermSim,
    image: str | None,
    target: str,
    opacity: float,
    method: str = DEFAULT,
    layer: str = "",
    smooth: bool = False,
    outlined: bool = False,
) -> tuple[Image.Image, dict[str, object]]:
    """Return the picture with its heatmap, and its facts: the ``/explain`` endpoint.

    Raises:
        ValueError: If there is no picture, it cannot be read, or a choice is unknown.
    """
    if image is None:
        raise Refused("callbacks.no_picture")
    options: Any = {"method": method, "layer": _layer(layer, method), "smooth": smooth}
    found = explained(engine, image, target=target or None, **options)
    (drawn,) = heatmaps.paint(found, opacity=opacity, outlined=outlined)
    return drawn, {**found.to_dict(), "answer": found.answer}


def likeness(
    engine: DermSim,
    image: str,
    other: str | Image.Image | None,
    row: int | None,
    **options: Any,
) -> Explanation:
    """Explain what makes a picture like another, on both where there is a picture of the other.

    Args:
        engine: The loaded checkpoint.
        image: Path of the picture.
        other: The other; None where there is no picture of it.
        row: Of the other in the gallery, where it is a past case.
        options: As for `dermsim.engine.answers.explain`.
    """
    like = engine.gallery.fetch(np.array([row]))[0] if other is None else other
    return small(explained(engine, image, like=like, **options))


def explained(
    engine: DermSim, image: ImageSource, *, like: Any = None, **options: Any
) -> Explanation:
    """Explain a picture, decoded no larger than the encoder and the page need it.

    Args:
        engine: The loaded checkpoint.
        image: Path or bytes of the picture.
        like: As for `dermsim.engine.answers.explain`, as are the options.
        options: Further ones.

    Returns:
        The explanation of the picture as it was given.
    """
    side = max(*engine.pixels_needed, 2 * heatmaps.SIDE)
    other = like if like is None or isinstance(like, np.ndarray) else _read(like, side)
    found = answers.explain(engine, _read(image, side), like=other, **options)
    return replace(found, pictures=(image, like)[: len(found.pictures)])


def _read(image: ImageSource, side: int) -> Image.Image:
    return read_image(image, at_least=(side, side))


def small(explanation: Explanation) -> Explanation:
    """Keep little of the maps: a session holds them for as long as the visitor stays."""
    kept = []
    for heatmap in explanation.heatmaps:
        values = Image.fromarray(heatmap.values)
        values.thumbnail(_KEPT, Image.Resampling.BICUBIC)
        kept.append(replace(heatmap, values=np.asarray(values).clip(0, 1)))
    return replace(explanation, heatmaps=tuple(kept))


def row_of(engine: DermSim, case: str) -> int:
    """Return the row of a past case in the gallery.

    Raises:
        ValueError: If there is no such case.
    """
    (rows,) = engine.gallery.records.rows_of("image_id", [{str(case)}])
    if len(rows) == 0:
        raise Refused("explain_callbacks.no_past_case", name=case)
    return int(rows[0])


def _layer(choice: str, method: str) -> int | str | None:
    if method == DEFAULT:
        return parse_layer(choice or None)
    if method not in METHODS:
        raise Refused("explain_callbacks.method", method=method, methods=list(METHODS))
    if METHODS[method].needs_attention:
        return None  # it is everywhere
    return parse_layer(choice or None)
