"""What `DermSim` answers with: plain values that can be shown, stored or sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermsim.tasks.explain import Heatmap
    from dermsim.tasks.retrieve import Neighbor


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
    """

    label: int
    label_name: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    malignancy: float
    is_malignant: bool
    ood_score: float
    is_outlier: bool

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return asdict(self)


@dataclass(frozen=True)
class Analysis:
    """Everything dermsim has to say of one image.

    Attributes:
        prediction: The classifier's answer.
        heatmap: Where the encoder looked, or None when no explanation was asked for.
        neighbors: The most similar past cases, most similar first.
        position: ``(x, y)`` on the atlas, or None when the checkpoint has no atlas.
        enrolled: Probability of each old and enrolled class, or None without a bank.
    """

    prediction: Prediction
    heatmap: Heatmap | None
    neighbors: tuple[Neighbor, ...]
    position: tuple[float, float] | None
    enrolled: dict[str, float] | None

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, arrays as nested lists."""
        return {
            "prediction": self.prediction.to_dict(),
            "heatmap": self.heatmap.to_dict() if self.heatmap else None,
            "neighbors": [neighbor.to_dict() for neighbor in self.neighbors],
            "position": self.position,
            "enrolled": self.enrolled,
        }
