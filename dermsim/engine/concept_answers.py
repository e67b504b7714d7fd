"""Questions about concepts that several fronts ask: sort pictures, and find cases by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dermsim.core.refused import Refused
from dermsim.data.concepts import load_schema

if TYPE_CHECKING:
    from dermsim.data.images import ImageSource
    from dermsim.engine.dermsim import DermSim
    from dermsim.tasks.concepts import Concepts

PREFIX = "concept."
"""What a condition on a concept begins with, as in ``concept.streaks=present``."""


def head_name(part: Concepts, word: str) -> str:
    """Return what a usable head is called, by a name, title or synonym of its concept.

    Raises:
        ValueError: If there is no such concept, or no usable head of it.
    """
    names = {part.name_of(head) for head in part.usable.heads}
    return word if word in names else part.name_of(part.head_of(load_schema().find(word).name))


def concept_conditions(texts: Iterable[str]) -> dict[str, list[str]]:
    """Turn ``["streaks=present"]`` into conditions for `DermSim.search`.

    Args:
        texts: Concepts with a state; several of one concept let any of them pass.

    Raises:
        ValueError: If one is not written so.
    """
    where: dict[str, list[str]] = {}
    for text in texts:
        name, _, state = str(text).partition("=")
        if not name.strip() or not state.strip():
            raise Refused("concept_answers.condition", text=str(text))
        where.setdefault(f"{PREFIX}{name.strip()}", []).append(state.strip())
    return where


def sort_by_concept(
    engine: DermSim, pictures: Iterable[tuple[str, ImageSource]], *, concept: str
) -> list[dict[str, Any]]:
    """Sort pictures by how probably they show a concept.

    Args:
        engine: The loaded checkpoint.
        pictures: Pairs of a name and a picture.
        concept: By its name, title or a synonym.

    Returns:
        Of each picture its name, probability, state and why its verdict is withheld; those that
        most probably show it first, withheld ones last, since nothing said of them holds.

    Raises:
        ValueError: If the checkpoint has no concept heads, or none of this concept.
    """
    name = head_name(engine.concepts_part(), concept)
    rows = []
    for picture, image in pictures:
        ((prediction, reading),) = engine.predict_with_concepts([image])
        finding = reading.findings[name]
        rows.append(
            {
                "picture": picture,
                "probability": finding.probability,
                "state": finding.state,
                "withheld": " ".join(prediction.withheld),
            }
        )
    return sorted(rows, key=lambda row: (bool(row["withheld"]), -row["probability"]))


def with_concepts(
    part: Concepts | None, where: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Turn conditions on concepts into the image_ids of the cases that meet them.

    Args:
        part: The checkpoint's concepts.
        where: As for `DermSim.search`; a concept may have several states, of which any
            will do.

    Returns:
        The same conditions, those on concepts replaced by one on ``image_id``.

    Raises:
        ValueError: If the checkpoint cannot answer, a concept or state is unknown, or no case meets
            the conditions.
    """
    asked = {name: state for name, state in (where or {}).items() if name.startswith(PREFIX)}
    if not asked:
        return where
    if part is None or part.cases is None:
        raise Refused("concept_answers.not_looked_through")
    found: set[str] | None = None
    for name, told in asked.items():
        head = part.head_of(head_name(part, name.removeprefix(PREFIX)))
        states = [told] if isinstance(told, str) else list(told)
        own = {case for state in states for case in part.cases.matching(head, str(state))}
        found = own if found is None else found & own
    if not found:
        raise Refused("concept_answers.no_case")
    others = {name: value for name, value in (where or {}).items() if name not in asked}
    return {**others, "image_id": sorted(found)}
