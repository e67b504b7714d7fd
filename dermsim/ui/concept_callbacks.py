"""What happens in the tab *Concepts*: plain functions of an engine and plain values.

As those of `dermsim.ui.callbacks`, they refuse bad input with a `ValueError` of one sentence, and
none knows Gradio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dermsim.core.concept_schema import STATES
from dermsim.core.labels import DISCLAIMER
from dermsim.core.refused import Refused
from dermsim.data.concepts import load_schema
from dermsim.data.images import ImageSource, read_image
from dermsim.ui import concept_view, notices, render
from dermsim.ui.i18n import number, say

if TYPE_CHECKING:
    from dermsim.engine import DermSim


def nothing_described(language: str = "en") -> str:
    """Return what the tab says while there is no picture."""
    return render.empty(say("concepts.nothing", language), say("concepts.nothing_how", language))


def has_concepts(engine: DermSim) -> bool:
    """Say whether the checkpoint knows of concepts, so that there is anything to show."""
    return engine.concept_part is not None


def describe(engine: DermSim, image: ImageSource | None, *, language: str = "en") -> str:
    """Say of a picture which concepts it shows, where, in words, and what that says of melanoma.

    Args:
        engine: The loaded checkpoint.
        image: Path or bytes of the picture, or None while there is none.
        language: The visitor's.

    Returns:
        HTML; nothing for a checkpoint without concepts.

    Raises:
        ValueError: If the picture cannot be read.
    """
    part = engine.concept_part
    if part is None:
        return ""
    if image is None:
        return nothing_described(language)
    side = max(*engine.pixels_needed, 2 * concept_view.SIDE)
    picture = read_image(image, at_least=(side, side))
    found = engine.describe(picture, language=language)
    if found.notice is not None:
        assert found.prediction is not None
        why = notices.withheld(found.prediction, language=language)
        return concept_view.withheld(why, language=language)
    return concept_view.concepts(found, part, picture, language=language)


def describe_data(
    engine: DermSim, image: ImageSource | None, language: str = "en"
) -> dict[str, object]:
    """Return a description as JSON-able values: the ``/describe`` endpoint.

    Raises:
        ValueError: If there is no picture, it cannot be read, the language is unknown or the
            checkpoint has no concepts.
    """
    if image is None:
        raise Refused("callbacks.no_picture")
    found = engine.describe(image, language=language)
    return {**found.to_dict(), "disclaimer": DISCLAIMER}


def case_choices(engine: DermSim, *, language: str = "en") -> list[tuple[str, str]]:
    """Return the concepts by which past cases can be chosen, with how many there are of each.

    Returns:
        Text and value of each line of a menu; none where nobody looked through the cases.
    """
    part = engine.concept_part
    if part is None or part.cases is None:
        return []
    schema, lines = load_schema(), []
    for head in part.usable.heads:
        for state, limit in zip(STATES, (head.present, head.absent), strict=True):
            if limit is None or head.key not in part.cases.keys:
                continue
            count = len(part.cases.matching(head, state))
            if count:
                title = schema[head.concept].names[language]
                shown = number(count, language=language)
                text = say(f"concepts.case_{state}", language, name=title, count=shown)
                lines.append((text, f"{part.name_of(head)}={state}"))
    return lines
