"""Whether the findings of a description and the label point the same way."""

from __future__ import annotations

from collections.abc import Sequence

from dermsim.core.concept_schema import Schema
from dermsim.core.labels import MALIGNANT
from dermsim.tasks.caption.facts import DISAGREEMENT, Fact


def disagrees(facts: Sequence[Fact], label: str, schema: Schema) -> bool:
    """Say whether findings contradict a label.

    They do where a structure that is more usual in malignant lesions is said to be present and the
    label is benign; and where all that are said to be present are more usual in benign ones, of at
    least one, and the label is malignant. What is measured within the outline does not count: it
    has no rate of being wrong.

    Args:
        facts: What is said of the picture.
        label: Code of the diagnosis that is shown.
        schema: The list of concepts, which gives their polarity.
    """
    present = [
        schema[fact.concept].polarity
        for fact in facts
        if fact.state == "present" and fact.concept in schema
    ]
    telling = [polarity for polarity in present if polarity != "neither"]
    if not telling:
        return False
    if label in MALIGNANT:
        return all(polarity == "benign" for polarity in telling)
    return any(polarity == "malignant" for polarity in telling)


def with_disagreement(facts: Sequence[Fact], label: str, schema: Schema) -> list[Fact]:
    """Return the facts, and last the one that they contradict the label where they do."""
    if disagrees(facts, label, schema):
        return [*facts, Fact(DISAGREEMENT, label)]
    return list(facts)
