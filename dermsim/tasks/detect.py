"""Has the model seen this kind of image? Mahalanobis distance to the training classes.

Works on the encoder's pooled features, before the projection that contrastive training squeezes
onto a sphere: what the diagnoses do not need is lost there, and so is much of what tells a
photograph of a cat from one of skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.storage import load_arrays, save_arrays
from dermsim.vectors import check_embeddings, check_labels


@dataclass(frozen=True, eq=False)
class OutlierDetector:
    """Distance to the nearest class of the training data, and where to draw the line.

    Lee et al., 2018, https://arxiv.org/abs/1807.03888: each class is a Gaussian around its own
    mean m_c, all with one covariance S. The score is the least, over the classes, of
    ``sqrt((x - m_c)^T S^-1 (x - m_c))``. S is shrunk as Ledoit and Wolf do (2004,
    https://doi.org/10.1016/S0047-259X(03)00096-4), so that it can be inverted even with more
    features than images.

    Attributes:
        whitening: ``(F, F)`` float32 W with ``W W^T = S^-1``.
        means: ``(C, F)`` float32, class means already whitened: ``m_c W``.
        threshold: Scores above it are outliers.
    """

    whitening: npt.NDArray[np.float32]
    means: npt.NDArray[np.float32]
    threshold: float

    @classmethod
    def fit(
        cls,
        features: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        validation_features: npt.ArrayLike,
        accept: float = 0.95,
    ) -> OutlierDetector:
        """Learn the training data's shape, and the threshold that accepts most of validation.

        Args:
            features: ``(N, F)`` pooled features of the training images.
            labels: ``(N,)`` integers, their classes.
            validation_features: ``(V, F)`` of images the encoder was not trained on; the training
                images themselves lie closer than any new image will.
            accept: Share of `validation_features` that must not be outliers.

        Raises:
            ValueError: If shapes or labels are wrong, an array is empty, or `accept` is not
                between 0 and 1.
        """
        from scipy.linalg import solve_triangular
        from sklearn.covariance import ledoit_wolf

        if not 0 < accept < 1:
            raise ValueError(f"accept must be strictly between 0 and 1, got {accept}.")
        train = check_embeddings(features, name="features").astype(np.float64)
        held_out = check_embeddings(
            validation_features, dim=train.shape[1], name="validation_features"
        )
        if len(train) < 2 or len(held_out) == 0:
            raise ValueError(
                f"the detector needs at least 2 training and 1 validation images, got {len(train)} "
                f"and {len(held_out)}."
            )
        targets = check_labels(labels, rows=len(train), num_classes=int(np.max(labels)) + 1)
        _, classes = np.unique(targets, return_inverse=True)
        means = np.stack([train[classes == c].mean(axis=0) for c in range(classes.max() + 1)])
        covariance = ledoit_wolf(train - means[classes], assume_centered=True)[0]
        if not np.trace(covariance) > 0:
            raise ValueError("the features do not vary within any class, so they have no scale.")
        # S = L L^T, hence S^-1 = L^-T L^-1 and W = L^-T
        factor = np.linalg.cholesky(covariance)
        whitening = solve_triangular(factor, np.eye(len(factor)), lower=True).T
        fitted = cls(whitening.astype(np.float32), (means @ whitening).astype(np.float32), np.inf)
        scores = fitted.score(held_out)
        threshold = float(np.quantile(scores, accept, method="higher"))
        return cls(fitted.whitening, fitted.means, threshold)

    def score(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return ``(N,)`` distances to the nearest class; higher means stranger.

        The unit is the standard deviation of the training data within its classes.

        Args:
            features: ``(N, F)`` pooled features.

        Raises:
            ValueError: If F differs, or a value is NaN.
        """
        rows = check_embeddings(features, dim=len(self.whitening), name="features")
        white = rows.astype(np.float64) @ self.whitening.astype(np.float64)
        distances = [np.linalg.norm(white - mean, axis=1) for mean in self.means]
        return np.min(distances, axis=0)

    def is_outlier(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return ``(N,)`` bool: whether each score exceeds the threshold."""
        return np.asarray(scores) > self.threshold

    def save(self, path: str | Path) -> None:
        """Write the detector into one ``.safetensors`` file, atomically."""
        arrays = {"whitening": self.whitening, "means": self.means}
        save_arrays(path, arrays, facts={"threshold": self.threshold})

    @classmethod
    def load(cls, path: str | Path) -> OutlierDetector:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged or does not hold a detector.
        """
        arrays, facts = load_arrays(path, arrays={"whitening", "means"}, facts={"threshold"})
        whitening = check_embeddings(arrays["whitening"], name="whitening")
        means = check_embeddings(arrays["means"], dim=len(whitening), name="means")
        threshold = facts["threshold"]
        if whitening.shape[0] != whitening.shape[1] or len(means) == 0:
            raise ValueError(
                f"{Path(path).name} is not a detector: its arrays do not fit together."
            )
        if not isinstance(threshold, int | float) or not 0 <= threshold < np.inf:
            raise ValueError(f"{Path(path).name} has threshold {threshold!r}, expected a number.")
        return cls(whitening, means, float(threshold))
