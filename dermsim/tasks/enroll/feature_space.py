"""What a bank of classes compares, and how it is made comparable.

By default the encoder's pooled features, each standardised over the training images, the whole then
of length 1. Embeddings know less of what the encoder was not trained with: they were made to tell
the old classes apart, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import check_embeddings, l2_normalize

Vectors = npt.NDArray[np.float32]

SPACES = ("pooled_features", "embeddings")
"""What may be compared: attributes of `dermsim.models.encode.Encoding`."""


@dataclass(frozen=True, eq=False)
class Space:
    """The vectors a bank compares, and how they are made comparable.

    Attributes:
        name: One of `SPACES`.
        center: ``(D,)`` float32, subtracted; None to leave vectors as they are.
        scale: ``(D,)`` float32, divided by; None with `center`.
    """

    name: str = "embeddings"
    center: Vectors | None = None
    scale: Vectors | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if self.name not in SPACES:
            raise Refused("feature_space.space", name=self.name, spaces=SPACES)
        if self.center is None or self.scale is None:
            if self.center is not self.scale:
                raise Refused("feature_space.half")
        elif self.center.shape != self.scale.shape or not (self.scale > 0).all():
            raise Refused(
                "feature_space.shape", center_shape=self.center.shape, scale_shape=self.scale.shape
            )

    @classmethod
    def standardised(cls, name: str, vectors: npt.ArrayLike) -> Space:
        """Learn center and scale from training images.

        A dimension that hardly varies gets a tenth of the mean scale. Else a dimension that was
        constant in training would decide everything as soon as it changes.

        Args:
            name: What the vectors are, one of `SPACES`.
            vectors: ``(N, D)`` of training images.

        Raises:
            ValueError: If `vectors` are no ``(N, D)`` numbers, or do not vary.
        """
        rows = check_embeddings(vectors, name=name.replace("_", " ")).astype(np.float64)
        deviation = rows.std(axis=0)
        if not deviation.mean() > 0:
            raise Refused("feature_space.no_difference")
        scale = np.maximum(deviation, 0.1 * deviation.mean())
        return cls(name, rows.mean(axis=0).astype(np.float32), scale.astype(np.float32))

    def unit(self, vectors: npt.ArrayLike, *, dim: int | None = None) -> Vectors:
        """Return ``(N, D)`` comparable rows of length 1.

        Args:
            vectors: ``(N, D)`` as the encoder makes them.
            dim: The D that is required.

        Raises:
            ValueError: If D differs, or a value is NaN.
        """
        label = self.name.replace("_", " ")
        rows = check_embeddings(vectors, name=label)
        if dim is not None and rows.shape[1] != dim:
            raise Refused(
                "feature_space.dimensions",
                label=label,
                dimensions=rows.shape[1],
                dim=dim,
                name=self.name,
            )
        if self.center is None or self.scale is None:
            return l2_normalize(rows)
        return l2_normalize((rows - self.center) / self.scale)
