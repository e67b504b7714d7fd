"""The figure a run is steered by: balanced accuracy on lesions it does not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dermsim.core.labels import CODES
from dermsim.core.metrics import balanced_accuracy, mean_auc
from dermsim.core.vectors import neighbor_vote
from dermsim.models.encoder import Processor

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, eq=False)
class Validation:
    """The validation split, ready for the encoder.

    Attributes:
        pixel_values: ``(N, 3, S, S)`` float32 on the CPU, made by the processor that will ship.
        labels: ``(N,)`` int64 diagnoses.
        lesion_ids: N lesions.
    """

    pixel_values: torch.Tensor
    labels: npt.NDArray[np.int64]
    lesion_ids: list[str]

    @classmethod
    def load(cls, rows: Dataset, processor: Processor) -> Validation:
        """Process rows of the `load_ham10000` schema."""
        processed = [processor(image, return_tensors="pt").pixel_values for image in rows["image"]]
        return cls(torch.cat(processed), np.array(rows["dx"]), list(rows["lesion_id"]))

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    def score(self, logits: torch.Tensor, embeddings: torch.Tensor) -> dict[str, float]:
        """Measure an encoder's answers.

        Args:
            logits: ``(N, 7)``.
            embeddings: ``(N, D)``.

        Returns:
            Balanced accuracy of the classifier (argmax), and of a vote among the most similar
            images of other lesions, which needs no classifier; and the classifier's mean AUC, one
            diagnosis against the rest, which rests on no threshold and is the steadiest of them.
        """
        voted = neighbor_vote(
            embeddings.float().cpu().numpy(), self.labels, self.lesion_ids, num_classes=len(CODES)
        )
        answers = {
            "balanced_accuracy": logits.argmax(dim=1).cpu().numpy(),
            "knn_balanced_accuracy": voted,
        }
        figures = {
            f"validation/{name}": balanced_accuracy(self.labels, predicted, len(CODES))
            for name, predicted in answers.items()
        }
        probabilities = logits.float().softmax(dim=1).cpu().numpy()
        return figures | {"validation/mean_auc": mean_auc(self.labels, probabilities)}
