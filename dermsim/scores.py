"""How unlike the training data an image is: five ways to say it from features and logits.

Each is fitted to training images alone and gives one number per image, higher for stranger. None
knows where to draw the line: `dermsim.tasks.detect.OutlierDetector` does, on validation images. The
features are the encoder's pooled ones, before the projection that contrastive training squeezes
onto a sphere: what the diagnoses do not need is lost there, and so is much of what tells a
photograph of a cat from one of skin. The logits are of the image alone, without facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from dermsim.vectors import check_embeddings, check_labels, l2_normalize, softmax, spread

FloatArray = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[np.generic]]

MAX_CASES = 2000
"""Training images that `NeighborScore` keeps, so that a checkpoint folder stays small."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What the encoder says of N training images.

    Attributes:
        features: ``(N, F)`` float32 pooled features.
        logits: ``(N, C)`` float32.
        labels: ``(N,)`` int64, the true columns of `logits`.
    """

    features: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        features = check_embeddings(self.features, name="features")
        logits = check_embeddings(self.logits, name="logits")
        if len(features) < 2 or len(logits) != len(features):
            raise ValueError(
                f"a score needs at least 2 training images, got {len(features)} rows of features "
                f"and {len(logits)} of logits."
            )
        labels = check_labels(self.labels, rows=len(features), num_classes=logits.shape[1])
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "logits", logits)
        object.__setattr__(self, "labels", labels)

    @property
    def known(self) -> npt.NDArray[np.int64]:
        """Columns of `logits` that have a training image: an encoder may lack some classes."""
        return np.unique(self.labels)


class Score(Protocol):
    """One way of saying how strange an image is; a value made of arrays."""

    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]]
    """What it is made of: the name of each array, NumPy's kind (f or i) and number of axes."""
    LOGITS: ClassVar[bool]
    """Whether it looks at logits."""

    @classmethod
    def fit(cls, sample: Sample) -> Self:
        """Learn what is familiar.

        Raises:
            ValueError: If the training images do not determine it.
        """

    @property
    def width(self) -> int | None:
        """F, the number of features it was fitted to; None when it looks at logits alone."""

    def __call__(self, features: FloatArray, logits: FloatArray) -> FloatArray:
        """Return ``(N,)`` scores of ``(N, F)`` features and ``(N, C)`` logits."""


@dataclass(frozen=True, eq=False)
class SoftmaxScore:
    """One minus the maximum softmax probability (Hendrycks and Gimpel, 2017, https://arxiv.org/abs/1610.02136).

    Attributes:
        known: ``(K,)`` int64, the logits that count.
    """

    known: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"known": ("i", 1)}
    LOGITS: ClassVar[bool] = True

    @classmethod
    def fit(cls, sample: Sample) -> Self:
        """Find the classes that have training images; there is nothing else to learn."""
        return cls(sample.known)

    @property
    def width(self) -> int | None:
        """It looks at logits alone."""
        return None

    def __call__(self, features: FloatArray, logits: FloatArray) -> FloatArray:
        """Return ``(N,)`` scores in [0, 1)."""
        return 1.0 - softmax(_chosen(logits, self.known)).max(axis=1)


@dataclass(frozen=True, eq=False)
class EnergyScore:
    """The free energy of the logits, minus their log-sum-exp (Liu et al., 2020, https://arxiv.org/abs/2010.03759).

    Attributes:
        known: ``(K,)`` int64, the logits that count.
    """

    known: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"known": ("i", 1)}
    LOGITS: ClassVar[bool] = True

    @classmethod
    def fit(cls, sample: Sample) -> Self:
        """Find the classes that have training images; there is nothing else to learn."""
        return cls(sample.known)

    @property
    def width(self) -> int | None:
        """It looks at logits alone."""
        return None

    def __call__(self, features: FloatArray, logits: FloatArray) -> FloatArray:
        """Return ``(N,)`` energies, of any sign."""
        from scipy.special import logsumexp

        return -logsumexp(_chosen(logits, self.known), axis=1)


@dataclass(frozen=True, eq=False)
class MahalanobisScore:
    """Distance to the nearest class of the training data.

    Lee et al., 2018, https://arxiv.org/abs/1807.03888: each class is a Gaussian around its own
    mean m_c, all with one covariance S. The score is the least, over the classes, of
    ``sqrt((x - m_c)^T S^-1 (x - m_c))``; its unit is the standard deviation of the training data
    within its classes. S is shrunk as Ledoit and Wolf do (2004,
    https://doi.org/10.1016/S0047-259X(03)00096-4), so that it can be inverted even with more
    features than images.

    Attributes:
        whitening: ``(F, F)`` float32 W with ``W W^T = S^-1``.
        means: ``(K, F)`` float32, class means already whitened: ``m_c W``.
    """

    whitening: npt.NDArray[np.float32]
    means: npt.NDArray[np.float32]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"whitening": ("f", 2), "means": ("f", 2)}
    LOGITS: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        side = len(self.whitening)
        if self.whitening.shape != (side, side) or self.means.shape[1] != side:
            raise ValueError(
                f"whitening {self.whitening.shape} and means {self.means.shape} do not fit "
                "together."
            )

    @classmethod
    def fit(cls, sample: Sample) -> Self:
        """Estimate the means and the shared covariance.

        Raises:
            ValueError: If the features do not vary within any class.
        """
        from scipy.linalg import solve_triangular
        from sklearn.covariance import ledoit_wolf

        train = sample.features.astype(np.float64)
        _, classes = np.unique(sample.labels, return_inverse=True)
        means = np.stack([train[classes == c].mean(axis=0) for c in range(classes.max() + 1)])
        covariance = ledoit_wolf(train - means[classes], assume_centered=True)[0]
        if not np.trace(covariance) > 0:
            raise ValueError("the features do not vary within any class, so they have no scale.")
        # S = L L^T, hence S^-1 = L^-T L^-1 and W = L^-T
        factor = np.linalg.cholesky(covariance)
        whitening = solve_triangular(factor, np.eye(len(factor)), lower=True).T
        return cls(whitening.astype(np.float32), (means @ whitening).astype(np.float32))

    @property
    def width(self) -> int | None:
        """F."""
        return len(self.whitening)

    def __call__(self, features: FloatArray, logits: FloatArray) -> FloatArray:
        """Return ``(N,)`` distances."""
        white = features @ self.whitening.astype(np.float64)
        return np.min([np.linalg.norm(white - mean, axis=1) for mean in self.means], axis=0)


@dataclass(frozen=True, eq=False)
class NeighborScore:
    """Distance to the k-th nearest training image, in features of length 1.

    Sun et al., 2022, https://arxiv.org/abs/2204.06507, who find a share of the training images
    enough. At most `MAX_CASES` are kept, as many of each class as there are.

    Attributes:
        cases: ``(M, F)`` float16 training features of length 1.
        k: ``(1,)`` int64, which neighbour counts.
    """

    cases: npt.NDArray[np.float16]
    k: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"cases": ("f", 2), "k": ("i", 1)}
    LOGITS: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        if self.k.shape != (1,) or not 1 <= self.k[0] <= len(self.cases):
            raise ValueError(f"k is {self.k.tolist()}, but there are {len(self.cases)} cases.")

    @classmethod
    def fit(cls, sample: Sample) -> Self:
        """Keep training images, evenly over the classes; k is 1 % of them, at least 1."""
        kept = spread(sample.labels, MAX_CASES)
        cases = l2_normalize(sample.features[kept]).astype(np.float16)
        return cls(cases, np.array([max(1, round(len(kept) / 100))]))

    @property
    def width(self) -> int | None:
        """F."""
        return self.cases.shape[1]

    def __call__(self, features: FloatArray, logits: FloatArray) -> FloatArray:
        """Return ``(N,)`` Euclidean distances in [0, 2]."""
        unit = l2_normalize(features).astype(np.float64)
        k = int(self.k[0])
        stored = self.cases.astype(np.float64)
        nearest = np.partition(unit @ stored.T, len(stored) - k, axis=1)[:, len(stored) - k]
        return np.sqrt(np.maximum(2.0 - 2.0 * nearest, 0.0))


@dataclass(frozen=True, eq=False)
class VimScore:
    """Virtual-logit matching: what of the features training never used, against the logits.

    Wang et al., 2022, https://arxiv.org/abs/2203.10807. The features' origin is moved to where all
    logits are 0. The norm of what lies outside the training data's principal space is scaled to
    the size of a logit, and the score is that virtual logit minus the log-sum-exp of the real ones,
    which orders images as the paper's softmax probability of the virtual class does.

    Attributes:
        origin: ``(F,)`` float32.
        principal: ``(F, P)`` float32, orthonormal columns.
        scale: ``(1,)`` float64, the paper's alpha.
        known: ``(K,)`` int64, the logits that count.
    """

    origin: npt.NDArray[np.float32]
    principal: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float64]
    known: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {
        "origin": ("f", 1),
        "principal": ("f", 2),
        "scale": ("f", 1),
        "known": ("i", 1),
    }
    LOGITS: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        if len(self.principal) != len(self.origin) or self.scale.shape != (1,):
            raise ValueError(
                f"origin {self.origin.shape}, principal {self.principal.shape} and scale "
                f"{self.scale.shape} do not fit together."
            )

    @classmethod
    def fit(cls, sample: Sample) -> Self:
        """Find origin, principal space and scale.

        The classifier is read off the training images, of which logits are an affine function of
        the features; where they are not, as in an ensemble, it is the nearest such function.

        Raises:
            ValueError: If nothing of the features lies outside the principal space, or the largest
                logits are negative on average.
        """
        train = sample.features.astype(np.float64)
        logits = sample.logits[:, sample.known].astype(np.float64)
        weight, bias = _affine(train, logits)
        origin = -np.linalg.pinv(weight.T) @ bias
        centred = train - origin
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        size = _principal_size(train.shape[1])
        principal = vectors[:, np.argsort(-values, kind="stable")[:size]]
        residual = _residual(centred, principal).mean()
        # what rounding leaves of features that all lie in the principal space is no residual
        if not residual > 1e-6 * np.linalg.norm(centred, axis=1).mean():
            raise ValueError("all features lie in their principal space, so ViM has no residual.")
        scale = np.array([logits.max(axis=1).mean() / residual])
        if not scale[0] > 0:
            raise ValueError("the largest logits are not above 0 on average, so ViM has no scale.")
        return cls(origin.astype(np.float32), principal.astype(np.float32), scale, sample.known)

    @property
    def width(self) -> int | None:
        """F."""
        return len(self.origin)

    def __call__(self, features: FloatArray, logits: FloatArray) -> FloatArray:
        """Return ``(N,)`` scores, of any sign."""
        from scipy.special import logsumexp

        residual = _residual(features - self.origin, self.principal.astype(np.float64))
        return self.scale[0] * residual - logsumexp(_chosen(logits, self.known), axis=1)


SCORES: dict[str, type[Score]] = {
    "softmax": SoftmaxScore,
    "energy": EnergyScore,
    "mahalanobis": MahalanobisScore,
    "neighbors": NeighborScore,
    "vim": VimScore,
}
"""Every score by the name it has in files and on the command line."""


def _chosen(logits: FloatArray, known: npt.NDArray[np.int64]) -> FloatArray:
    """Return the logits that count, ``(N, K)``."""
    if known.min() < 0 or known.max() >= logits.shape[1]:
        raise ValueError(
            f"logits have {logits.shape[1]} columns, but the score looks at those numbered "
            f"{known.tolist()}; were they made by another encoder?"
        )
    return logits[:, known]


def _affine(features: FloatArray, logits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weight ``(F, K)`` and bias ``(K,)`` of the affine function nearest the logits."""
    columns = np.column_stack([features, np.ones(len(features))])
    solution = np.linalg.lstsq(columns, logits, rcond=None)[0]
    return solution[:-1], solution[-1]


def _principal_size(features: int) -> int:
    """Choose the principal space's dimension as the paper does, half below 768 features."""
    if features >= 2048:
        return 1000
    return 512 if features >= 768 else max(1, features // 2)


def _residual(centred: FloatArray, principal: FloatArray) -> FloatArray:
    """Return ``(N,)`` norms of what lies outside the span of `principal`."""
    return np.linalg.norm(centred - (centred @ principal) @ principal.T, axis=1)
