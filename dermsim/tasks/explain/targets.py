"""What is explained: a scalar of the model's output, one for each image.

A target is any callable that takes the output for B images and returns (B,). It must treat every
image alike and apart from the others, as the images may come in any grouping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dermsim.core.refused import Refused


class HeadOutput(Protocol):
    """What a target may look at; `DermSimOutput` is one.

    Attributes:
        logits: Tensor (B, classes).
        embeddings: Tensor (B, D).
        pooled_features: Tensor (B, F).
    """

    logits: Any
    embeddings: Any
    pooled_features: Any


Target = Callable[[HeadOutput], Tensor]
"""The scalar to explain, one per image: head output -> (B,)."""


@dataclass(frozen=True)
class ClassTarget:
    """Explains the logit of one class.

    Attributes:
        index: Column of the logits.
    """

    index: int

    def __call__(self, output: HeadOutput) -> Tensor:
        """Return the class's logit for each image, (B,).

        Raises:
            ValueError: If the model has no such class.
        """
        _check_class(self.index, output)
        return output.logits[:, self.index]


@dataclass(frozen=True)
class MalignancyTarget:
    """Explains the log-odds of some classes against the others: malignant against benign.

    ``T * log(p / (1 - p))``, where p is the calibrated probability of all `classes` together. The
    factor T, which the calibration divides logits by, brings it back to the unit of a logit, so
    that the peaks of its maps compare with those of a `ClassTarget`.

    Attributes:
        classes: Columns of the logits that count as malignant.
        temperature: T of the calibration.

    Raises:
        ValueError: If no class is named or T is not positive.
    """

    classes: tuple[int, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no question."""
        if not self.classes:
            raise Refused("targets.no_malignant")
        if not 0 < self.temperature < np.inf:
            raise Refused("targets.temperature", temperature=self.temperature)

    def __call__(self, output: HeadOutput) -> Tensor:
        """Return the log-odds for each image, (B,).

        Raises:
            ValueError: If the model lacks a class, or has none besides.
        """
        for index in self.classes:
            _check_class(index, output)
        others = [c for c in range(output.logits.shape[1]) if c not in self.classes]
        if not others:
            raise Refused("targets.no_benign")
        scaled = output.logits / self.temperature
        malignant = torch.logsumexp(scaled[:, list(self.classes)], dim=1)
        return self.temperature * (malignant - torch.logsumexp(scaled[:, others], dim=1))


@dataclass(frozen=True, eq=False)
class SimilarityTarget:
    """Explains the likeness to one other case: the cosine between its embedding and the image's.

    The other may be a photograph, a case of the gallery, or any other direction.

    Attributes:
        embedding: (D,) floating, of any length but zero.

    Raises:
        ValueError: If `embedding` is not one finite, non-zero vector.
    """

    embedding: npt.NDArray[np.floating]

    def __post_init__(self) -> None:
        """Refuse what has no direction."""
        embedding = np.asarray(self.embedding)
        if embedding.ndim != 1:
            raise Refused("targets.shape", shape=embedding.shape)
        if not np.isfinite(embedding).all() or not embedding.any():
            raise Refused("targets.not_finite")

    def __call__(self, output: HeadOutput) -> Tensor:
        """Return the cosine similarity of each image to the case, (B,).

        Raises:
            ValueError: If the embedding's length is not the model's.
        """
        other = torch.tensor(np.asarray(self.embedding)).to(output.embeddings)
        if len(other) != output.embeddings.shape[1]:
            raise Refused(
                "targets.embedding_dimensions",
                count=len(other),
                dimensions=output.embeddings.shape[1],
            )
        return F.cosine_similarity(output.embeddings, other[None], dim=1)


@dataclass(frozen=True, eq=False)
class EnrolledTarget:
    """Explains the likeness to a class that was enrolled: its score, but for factor and bias.

    The image's vector is standardised and brought to length 1, as a bank of classes does with it,
    and compared with the directions of the class; the likeness is the mean of the nearest.

    Attributes:
        field: What is compared, ``"pooled_features"`` or ``"embeddings"``.
        directions: (n, D) floating.
        nearest: How many of the n count.
        center: (D,) subtracted from the vector; None to leave it.
        scale: (D,) it is divided by; None with `center`.
    """

    field: str
    directions: npt.NDArray[np.floating]
    nearest: int = 1
    center: npt.NDArray[np.floating] | None = None
    scale: npt.NDArray[np.floating] | None = None

    def __call__(self, output: HeadOutput) -> Tensor:
        """Return the score of each image, (B,).

        Raises:
            ValueError: If the vectors have other dimensions than the directions.
        """
        vectors = getattr(output, self.field)
        directions = torch.tensor(np.asarray(self.directions)).to(vectors)
        if directions.shape[1] != vectors.shape[1]:
            raise Refused(
                "targets.class_dimensions",
                own=directions.shape[1],
                field=self.field.replace("_", " "),
                expected=vectors.shape[1],
            )
        if self.center is not None and self.scale is not None:
            center, scale = (torch.tensor(np.asarray(a)) for a in (self.center, self.scale))
            vectors = (vectors - center.to(vectors)) / scale.to(vectors)
        likeness = F.normalize(vectors, dim=1) @ directions.T
        return likeness.topk(self.nearest, dim=1).values.mean(dim=1)


def score_each(targets: Sequence[Target], output: HeadOutput, owners: Sequence[int]) -> Tensor:
    """Ask each row of an output for the scalar of its own target.

    Args:
        targets: One per image.
        output: For B rows, each a version of an image.
        owners: Which image each row is a version of, B indices of `targets`.

    Returns:
        (B,), with the graph of `output`.

    Raises:
        ValueError: If a target does not return one scalar per row.
    """
    rows = len(owners)
    scores = {}
    for target in {id(targets[owner]): targets[owner] for owner in owners}.values():
        scores[id(target)] = asked = target(output)
        if asked.shape != (rows,):
            raise Refused("targets.scalars", rows=rows, shape=tuple(asked.shape))
    return torch.stack([scores[id(targets[owner])][row] for row, owner in enumerate(owners)])


def _check_class(index: int, output: HeadOutput) -> None:
    classes = output.logits.shape[1]
    if not 0 <= index < classes:
        raise Refused("targets.index", index=index, last=classes - 1)
