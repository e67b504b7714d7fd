"""What the heads say of one picture: a finding for each concept, and melanoma from them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.concept_schema import Schema
from dermsim.core.refused import Refused
from dermsim.tasks.concepts.bottleneck import Bottleneck, checklist_points
from dermsim.tasks.concepts.heads import ConceptHead, sigmoid
from dermsim.tasks.concepts.part import Concepts

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """What is said of one concept in one picture.

    Attributes:
        concept: Its name in the list.
        source: The data set whose word for it this is.
        kind: As in the list.
        polarity: As in the list.
        probability: That it is there, calibrated on pictures left out.
        state: ``"present"``, ``"absent"``, or None where neither may be said.
        threshold: The probability from which on, or below which, the state is said; None with it.
        auc: Of the head on pictures left out.
        n: Pictures that this rests on.
        may_point: Whether its place may be said.
    """

    concept: str
    source: str
    kind: str
    polarity: str
    probability: float
    state: str | None
    threshold: float | None
    auc: float
    n: int
    may_point: bool

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ConceptReading:
    """What the concepts of one picture are, and what follows from them.

    Attributes:
        findings: By what `Concepts.name_of` calls the head.
        log_odds: ``(K,)`` calibrated, in the order of the findings.
        melanoma: Probability of melanoma from concepts alone; None without a bottleneck.
        points: Of the seven-point checklist; None where one of the seven is not known.
        bottleneck: What `with_concept` asks again.
    """

    findings: Mapping[str, Finding]
    log_odds: FloatArray
    melanoma: float | None
    points: float | None
    bottleneck: Bottleneck | None = None

    def with_concept(self, name: str, *, absent: bool = False) -> float:
        """Return the melanoma score as it would be with one concept present, or absent.

        Args:
            name: As in `findings`.
            absent: True asks for the concept absent, False for it present.

        Raises:
            ValueError: If there is no such concept here, or no score that reads it.
        """
        if name not in self.findings:
            raise Refused("reading.no_concept", name=name, known=list(self.findings))
        if self.bottleneck is None:
            raise Refused("reading.no_score")
        finding = self.findings[name]
        own = self._inputs()
        changed = self.bottleneck.set(own, f"{finding.concept}@{finding.source}", absent=absent)
        return float(self.bottleneck.score(changed)[0])

    def _inputs(self) -> FloatArray:
        assert self.bottleneck is not None
        keys = [f"{found.concept}@{found.source}" for found in self.findings.values()]
        return self.log_odds[None, [keys.index(key) for key in self.bottleneck.inputs]]

    def to_dict(self) -> dict[str, object]:
        """Return plain Python values, with the score if each concept were present, and absent."""
        found: dict[str, object] = {
            "concepts": {name: own.to_dict() for name, own in self.findings.items()},
            "melanoma_from_concepts": self.melanoma,
            "seven_point_score": self.points,
        }
        if self.bottleneck is not None:
            read = {key.partition("@")[0] for key in self.bottleneck.inputs}
            found["interventions"] = {
                name: {
                    "present": self.with_concept(name),
                    "absent": self.with_concept(name, absent=True),
                }
                for name, own in self.findings.items()
                if own.concept in read
            }
        return found


def read_concepts(
    concepts: Concepts, features: npt.NDArray[np.floating], schema: Schema
) -> list[ConceptReading]:
    """Say what the usable heads see in each picture.

    Args:
        concepts: The part of the checkpoint.
        features: ``(N, F)``.
        schema: The list of concepts.

    Raises:
        ValueError: If the features are of another encoder, or a head's concept is not in the list.
    """
    usable = concepts.usable
    if not len(usable):
        return [ConceptReading({}, np.zeros(0), None, None) for _ in features]
    log_odds = usable.calibrated(usable.scores(features))
    probability = sigmoid(log_odds)
    names = [concepts.name_of(head) for head in usable.heads]
    if lost := [head.concept for head in usable.heads if head.concept not in schema]:
        raise Refused("reading.unlisted", lost=lost[0])
    bottleneck = concepts.bottleneck
    points = checklist_points(log_odds, [head.concept for head in usable.heads], schema)
    melanoma = None
    if bottleneck is not None:
        keys = [head.key for head in usable.heads]
        if lost := [key for key in bottleneck.inputs if key not in keys]:
            raise Refused("reading.unusable_head", lost=lost[0])
        melanoma = bottleneck.score(log_odds[:, [keys.index(key) for key in bottleneck.inputs]])
    return [
        ConceptReading(
            {
                name: _finding(concepts, head, schema, float(own))
                for name, head, own in zip(names, usable.heads, probability[row], strict=True)
            },
            log_odds[row],
            None if melanoma is None else float(melanoma[row]),
            None if points is None else float(points[row]),
            bottleneck,
        )
        for row in range(len(log_odds))
    ]


def _finding(concepts: Concepts, head: ConceptHead, schema: Schema, probability: float) -> Finding:
    """Say what one head sees, by its own thresholds."""
    state, threshold = None, None
    if head.present is not None and probability >= head.present.probability:
        state, threshold = "present", head.present.probability
    elif head.absent is not None and probability < head.absent.probability:
        state, threshold = "absent", head.absent.probability
    entry = schema[head.concept]
    return Finding(
        concept=head.concept,
        source=head.source,
        kind=entry.kind,
        polarity=entry.polarity,
        probability=probability,
        state=state,
        threshold=threshold,
        auc=head.auc.value,
        n=head.auc.n,
        may_point=concepts.may_point(head),
    )
