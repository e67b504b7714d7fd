"""What `DermSim` answers with: plain values that can be shown, stored or sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from dermsim.core.metrics import entropy

if TYPE_CHECKING:
    from dermsim.tasks.concepts import ConceptReading
    from dermsim.tasks.explain import Heatmap
    from dermsim.tasks.retrieve import Neighbor


UNFAMILIAR = "unlike anything in training"
"""What is said of an outlier before any label of it is shown."""


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one image.

    Attributes:
        label: Index into `LABELS` of the most probable diagnosis.
        label_name: Its HAM10000 code, for example ``"mel"``.
        probabilities: Calibrated probability of each diagnosis code, summing to 1.
        prediction_set: Codes that cannot be excluded at the calibrated coverage, most probable
            first.
        malignancy: Summed probability of the malignant diagnoses, in [0, 1].
        is_malignant: Whether `malignancy` reaches the operating point chosen on validation.
        ood_score: Distance from the training data; higher means stranger.
        is_outlier: Whether `ood_score` exceeds the threshold that accepts 95 % of validation.
        prediction_sets: `prediction_set` at every coverage the checkpoint was calibrated for, by
            names such as ``"0.95"``; empty when it was for the default alone.
    """

    label: int
    label_name: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    malignancy: float
    is_malignant: bool
    ood_score: float
    is_outlier: bool
    prediction_sets: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def notice(self) -> str | None:
        """What must be read before the label: that the image is unfamiliar. None when it is not."""
        return UNFAMILIAR if self.is_outlier else None

    @property
    def entropy(self) -> float:
        """How undecided the probabilities are, in bits: 0 for one diagnosis, 2.81 for all seven."""
        return float(entropy([list(self.probabilities.values())])[0])

    def to_dict(self) -> dict[str, object]:
        """Return the notice, the fields and the entropy as plain Python values, in this order."""
        return {"notice": self.notice, **asdict(self), "entropy": self.entropy}


@dataclass(frozen=True)
class Analysis:
    """Everything dermsim has to say of one image.

    Attributes:
        prediction: The classifier's answer.
        heatmap: Where the encoder looked, or None when no explanation was asked for.
        neighbors: The most similar past cases, most similar first.
        position: ``(x, y)`` on the atlas, or None when the checkpoint has no atlas.
        enrolled: Probability of each old and enrolled class, or None without a bank.
        vote: Probability of each diagnosis by the vote of the nearest past cases, a second opinion
            that rests on likeness alone.
        concepts: Which dermoscopic concepts the picture shows, and what they say of melanoma; None
            of a checkpoint without concept heads.
    """

    prediction: Prediction
    heatmap: Heatmap | None
    neighbors: tuple[Neighbor, ...]
    position: tuple[float, float] | None
    enrolled: dict[str, float] | None
    vote: dict[str, float] = field(default_factory=dict)
    concepts: ConceptReading | None = None

    def with_concept(self, name: str, *, absent: bool = False) -> float:
        """Return the melanoma score from concepts if one were there, or were not.

        Args:
            name: Of a concept in `concepts`.
            absent: Set it to absent; else to present.

        Raises:
            ValueError: If there are no concepts, no such concept, or no score that reads it.
        """
        if self.concepts is None:
            raise ValueError("This analysis has no concepts: its checkpoint has no concept heads.")
        return self.concepts.with_concept(name, absent=absent)

    @property
    def disagreement(self) -> float | None:
        """Share of the neighbors with another diagnosis than the predicted; None without any."""
        if not self.neighbors:
            return None
        others = sum(case.dx != self.prediction.label_name for case in self.neighbors)
        return others / len(self.neighbors)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, arrays as nested lists."""
        concepts = {} if self.concepts is None else {"concepts": self.concepts.to_dict()}
        return {
            "prediction": self.prediction.to_dict(),
            "heatmap": self.heatmap.to_dict() if self.heatmap else None,
            "neighbors": [neighbor.to_dict() for neighbor in self.neighbors],
            "disagreement": self.disagreement,
            "position": self.position,
            "enrolled": self.enrolled,
            "vote": self.vote,
            **concepts,
        }
