"""What the route for descriptions answers: each field with its meaning, as OpenAPI shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dermsim.core.language import Language
from dermsim.serve.schemas import Answer, Box, _Answer


class ConceptFinding(_Answer):
    """What is said of one dermoscopic concept."""

    concept: str = Field(description="Its name in the list.", examples=["pigment_network"])
    source: str = Field(description="The data set whose word for it this is.")
    kind: str = Field(description="structure, colour, vessel, shape, artefact or seven-point.")
    polarity: Literal["malignant", "benign", "neither"] = Field(
        description="Of which lesions it is more usual."
    )
    probability: float = Field(description="That it is there, calibrated on pictures left out.")
    state: Literal["present", "absent"] | None = Field(
        description="Null where neither may be said."
    )
    threshold: float | None = Field(description="From which, or below which, the state is said.")
    auc: float = Field(description="Of its head, on pictures left out.")
    n: int = Field(description="Pictures that this rests on.")
    may_point: bool = Field(description="Whether its place may be said.")


class FactAnswer(_Answer):
    """What a sentence says."""

    concept: str = Field(description="As in `concepts`, or what is measured, or disagreement.")
    state: str = Field(description="present, absent, a number, or the label that is contradicted.")
    probability: int | None = Field(description="In whole per cent; null for what is measured.")
    threshold: int | None = Field(description="In whole per cent.")
    place: str | None = Field(description="Where in the lesion; null for no region.")
    names: list[str] = Field(description="The colours that are counted.")


class EvidenceAnswer(_Answer):
    """What a sentence rests on."""

    source: str = Field(description="The data set, `outline`, or `classifier`.")
    auc: float | None = Field(description="Of the head.")
    n: int | None = Field(description="Pictures that figure rests on.")
    precision: float | None = Field(
        description="How often the state was true where it was said, on pictures left out."
    )
    fall: float | None = Field(
        description="By how much the log-odds fall when the region is blotted out."
    )
    fall_elsewhere: float | None = Field(description="The same for regions of the same size.")


class SentenceAnswer(_Answer):
    """One sentence, with what it rests on."""

    text: str = Field(description="In the language asked for.")
    fact: FactAnswer
    evidence: EvidenceAnswer
    region: Box | None = Field(description="Around the place that is named; null for none.")


class Intervention(_Answer):
    """The melanoma score if a concept were there, and if it were not."""

    present: float = Field(description="The score if the concept were there.")
    absent: float = Field(description="The score if it were not.")


class DescribeAnswer(Answer):
    """A picture in words; an unfamiliar one gets a notice and no sentence."""

    notice: str | None = Field(description="That the picture is unlike anything in training.")
    language: Language = Field(description="Of the sentences.")
    text: str = Field(description="All sentences.")
    sentences: list[SentenceAnswer] = Field(description="Each verified.")
    withheld_places: list[str] = Field(
        description="Concepts whose place is not said, because blotting it out changed no more "
        "than blotting out other places."
    )
    outline: Box | None = Field(description="Around the lesion; null where none is found.")
    concepts: dict[str, ConceptFinding] = Field(
        default={}, description="What every usable head says; empty for an unfamiliar picture."
    )
    melanoma_from_concepts: float | None = Field(
        default=None, description="Probability of melanoma from concepts alone."
    )
    melanoma_direct: float | None = Field(
        default=None,
        description="What the classifier says of it; null where the verdict is withheld.",
    )
    seven_point_score: float | None = Field(
        default=None, description="Null unless all seven concepts have a head."
    )
    interventions: dict[str, Intervention] = Field(
        default={}, description="By concept, the melanoma score with it set either way."
    )
