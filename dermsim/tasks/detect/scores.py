"""How unlike the training data an image is: ways to say it from what the encoder answers.

Each is fitted to training images alone and gives one number per image, higher for stranger. None
knows where to draw the line: `dermsim.tasks.detect.OutlierDetector` does, on validation images.

Two of them exist for both of the encoder's vectors. The pooled features lie before the projection
that contrastive training squeezes onto a sphere: what the diagnoses do not need is lost there, and
with it what tells a clinic's camera from another's, but also a cat from skin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import check_embeddings, l2_normalize, softmax

FloatArray = npt.NDArray[np.float64]

MAX_CASES = 2000
"""Training images that `NeighborScore` keeps, so that a checkpoint folder stays small."""


class Outputs(Protocol):
    """What the encoder answers for N images; `dermsim.models.encode.Encoding` is one.

    Attributes:
        embeddings: ``(N, D)`` rows of unit length.
        logits: ``(N, C)`` of the images alone, without facts.
        pooled_features: ``(N, F)``.
    """

    @property
    def embeddings(self) -> npt.NDArray[np.float32]: ...  # noqa: D102
    @property
    def logits(self) -> npt.NDArray[np.float32]: ...  # noqa: D102
    @property
    def pooled_features(self) -> npt.NDArray[np.float32]: ...  # noqa: D102


class Score(Protocol):
    """One way of saying how strange an image is; a value made of arrays."""

    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]]
    """What it is made of: the name of each array, NumPy's kind (f or i) and number of axes."""
    LOGITS: ClassVar[bool]
    """Whether it looks at logits."""

    @classmethod
    def fit(cls, train: Outputs, labels: npt.NDArray[np.int64]) -> Self:
        """Learn what is familiar.

        Args:
            train: The encoder's answers for N training images.
            labels: ``(N,)`` the true columns of the logits.

        Raises:
            ValueError: If the training images are too few, or too alike, for this score.
        """

    def __call__(self, outputs: Outputs) -> FloatArray:
        """Return ``(N,)`` scores.

        Raises:
            ValueError: If the encoder is another than it was fitted to, or a value is NaN.
        """


@dataclass(frozen=True, eq=False)
class SoftmaxScore:
    """One minus the maximum softmax probability (Hendrycks and Gimpel, 2017, https://arxiv.org/abs/1610.02136).

    Attributes:
        known: ``(K,)`` int64, the logits of classes that have training images.
    """

    known: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"known": ("i", 1)}
    LOGITS: ClassVar[bool] = True

    @classmethod
    def fit(cls, train: Outputs, labels: npt.NDArray[np.int64]) -> Self:
        """Find the classes that have training images, from their labels ``(N,)``."""
        return cls(np.unique(labels))

    def __call__(self, outputs: Outputs) -> FloatArray:
        """Return ``(N,)`` scores in [0, 1)."""
        return 1.0 - softmax(_logits(outputs, self.known)).max(axis=1)


@dataclass(frozen=True, eq=False)
class EnergyScore:
    """The free energy of the logits, minus their log-sum-exp (Liu et al., 2020, https://arxiv.org/abs/2010.03759).

    Attributes:
        known: ``(K,)`` int64, the logits of classes that have training images.
    """

    known: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"known": ("i", 1)}
    LOGITS: ClassVar[bool] = True

    @classmethod
    def fit(cls, train: Outputs, labels: npt.NDArray[np.int64]) -> Self:
        """Find the classes that have training images, from their labels ``(N,)``."""
        return cls(np.unique(labels))

    def __call__(self, outputs: Outputs) -> FloatArray:
        """Return ``(N,)`` energies, of any sign."""
        from scipy.special import logsumexp

        return -logsumexp(_logits(outputs, self.known), axis=1)


@dataclass(frozen=True, eq=False)
class MahalanobisScore:
    """Distance to the nearest class of the training data, in pooled features.

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
    SPACE: ClassVar[str] = "pooled_features"

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        side = len(self.whitening)
        if self.whitening.shape != (side, side) or self.means.shape[1] != side:
            raise Refused(
                "scores.whitening",
                whitening_shape=self.whitening.shape,
                means_shape=self.means.shape,
            )

    @classmethod
    def fit(cls, train: Outputs, labels: npt.NDArray[np.int64]) -> Self:
        """Estimate the means and the shared covariance, from labels ``(N,)``.

        Raises:
            ValueError: If the vectors do not vary within any class.
        """
        from scipy.linalg import solve_triangular
        from sklearn.covariance import ledoit_wolf

        rows = _vectors(train, cls.SPACE)
        _, classes = np.unique(labels, return_inverse=True)
        means = np.stack([rows[classes == c].mean(axis=0) for c in range(classes.max() + 1)])
        covariance = ledoit_wolf(rows - means[classes], assume_centered=True)[0]
        if not np.trace(covariance) > 0:
            raise Refused("scores.no_scale")
        # S = L L^T, hence S^-1 = L^-T L^-1 and W = L^-T
        factor = np.linalg.cholesky(covariance)
        whitening = solve_triangular(factor, np.eye(len(factor)), lower=True).T
        return cls(whitening.astype(np.float32), (means @ whitening).astype(np.float32))

    def __call__(self, outputs: Outputs) -> FloatArray:
        """Return ``(N,)`` distances."""
        rows = _vectors(outputs, self.SPACE, dim=len(self.whitening))
        white = rows @ self.whitening.astype(np.float64)
        return np.min([np.linalg.norm(white - mean, axis=1) for mean in self.means], axis=0)


class EmbeddingMahalanobisScore(MahalanobisScore):
    """Distance to the nearest class of the training data, in embeddings."""

    SPACE: ClassVar[str] = "embeddings"


@dataclass(frozen=True, eq=False)
class NeighborScore:
    """Distance to the k-th nearest training image, in pooled features of length 1.

    Sun et al., 2022, https://arxiv.org/abs/2204.06507, who find a share of the training images
    enough. At most `MAX_CASES` are kept, the classes in their natural proportions: where the
    training data are dense, so is what is familiar.

    Attributes:
        cases: ``(M, F)`` float16 training vectors of length 1.
        k: ``(1,)`` int64, which neighbour counts.
    """

    cases: npt.NDArray[np.float16]
    k: npt.NDArray[np.int64]
    ARRAYS: ClassVar[Mapping[str, tuple[str, int]]] = {"cases": ("f", 2), "k": ("i", 1)}
    LOGITS: ClassVar[bool] = False
    SPACE: ClassVar[str] = "pooled_features"

    def __post_init__(self) -> None:
        """Check that the arrays fit together."""
        if self.k.shape != (1,) or not 1 <= self.k[0] <= len(self.cases):
            raise Refused("scores.k", k=self.k.tolist(), count=len(self.cases))

    @classmethod
    def fit(cls, train: Outputs, labels: npt.NDArray[np.int64]) -> Self:
        """Keep training images, evenly over the rows; k is 1 % of them, at least 1.

        Args:
            train: The encoder's answers for N training images.
            labels: ``(N,)`` integers, which this score does not use.
        """
        rows = _vectors(train, cls.SPACE)
        kept = np.linspace(0, len(rows) - 1, min(len(rows), MAX_CASES)).round().astype(np.int64)
        cases = l2_normalize(rows[kept]).astype(np.float16)
        return cls(cases, np.array([max(1, round(len(kept) / 100))]))

    def __call__(self, outputs: Outputs) -> FloatArray:
        """Return ``(N,)`` Euclidean distances in [0, 2]."""
        rows = _vectors(outputs, self.SPACE, dim=self.cases.shape[1])
        likeness = l2_normalize(rows).astype(np.float64) @ self.cases.T.astype(np.float64)
        place = len(self.cases) - int(self.k[0])
        nearest = np.partition(likeness, place, axis=1)[:, place]
        return np.sqrt(np.maximum(2.0 - 2.0 * nearest, 0.0))


class EmbeddingNeighborScore(NeighborScore):
    """Distance to the k-th nearest training image, in embeddings."""

    SPACE: ClassVar[str] = "embeddings"


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
        known: ``(K,)`` int64, the logits of classes that have training images.
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
            raise Refused(
                "scores.parts",
                origin_shape=self.origin.shape,
                principal_shape=self.principal.shape,
                scale_shape=self.scale.shape,
            )

    @classmethod
    def fit(cls, train: Outputs, labels: npt.NDArray[np.int64]) -> Self:
        """Find origin, principal space and scale.

        The classifier is read off the training images, of which logits are an affine function of
        the features; where they are not, as in an ensemble, it is the nearest such function.

        Raises:
            ValueError: If nothing of the features lies outside the principal space, or the largest
                logits are negative on average.
        """
        rows, known = _vectors(train, "pooled_features"), np.unique(labels)
        logits = _logits(train, known)
        weight, bias = _affine(rows, logits)
        origin = -np.linalg.pinv(weight.T, rcond=1e-6) @ bias
        centred = rows - origin
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        size = _principal_size(rows.shape[1])
        principal = vectors[:, np.argsort(-values, kind="stable")[:size]]
        residual = _residual(centred, principal).mean()
        # what rounding leaves of features that all lie in the principal space is no residual
        if not residual > 1e-6 * np.linalg.norm(centred, axis=1).mean():
            raise Refused("scores.no_residual")
        scale = np.array([logits.max(axis=1).mean() / residual])
        if not scale[0] > 0:
            raise Refused("scores.low_logits")
        return cls(origin.astype(np.float32), principal.astype(np.float32), scale, known)

    def __call__(self, outputs: Outputs) -> FloatArray:
        """Return ``(N,)`` scores, of any sign."""
        from scipy.special import logsumexp

        rows = _vectors(outputs, "pooled_features", dim=len(self.origin))
        residual = _residual(rows - self.origin, self.principal.astype(np.float64))
        return self.scale[0] * residual - logsumexp(_logits(outputs, self.known), axis=1)


SCORES: dict[str, type[Score]] = {
    "softmax": SoftmaxScore,
    "energy": EnergyScore,
    "mahalanobis": MahalanobisScore,
    "embedding-mahalanobis": EmbeddingMahalanobisScore,
    "neighbors": NeighborScore,
    "embedding-neighbors": EmbeddingNeighborScore,
    "vim": VimScore,
}
"""Every score by the name it has in files and on the command line."""


def _vectors(outputs: Outputs, space: str, *, dim: int | None = None) -> FloatArray:
    """Return the vectors of a space, ``(N, dim)`` float64."""
    found: npt.NDArray[np.float32] = getattr(outputs, space)
    return check_embeddings(found, dim=dim, name=space.replace("_", " ")).astype(np.float64)


def _logits(outputs: Outputs, known: npt.NDArray[np.int64]) -> FloatArray:
    """Return the logits that count, ``(N, K)`` float64."""
    logits = check_embeddings(outputs.logits, name="logits").astype(np.float64)
    if known.min() < 0 or known.max() >= logits.shape[1]:
        raise Refused("scores.columns", dimensions=logits.shape[1], known=known.tolist())
    return logits[:, known]


def _affine(features: FloatArray, logits: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return weight ``(F, K)`` and bias ``(K,)`` of the affine function nearest the logits."""
    columns = np.column_stack([features, np.ones(len(features))])
    solution = np.linalg.lstsq(columns, logits, rcond=None)[0].astype(np.float64)
    return solution[:-1], solution[-1]


def _principal_size(features: int) -> int:
    """Choose the principal space's dimension as the paper does, half below 768 features."""
    if features >= 2048:
        return 1000
    return 512 if features >= 768 else max(1, features // 2)


def _residual(centred: FloatArray, principal: FloatArray) -> FloatArray:
    """Return ``(N,)`` norms of what lies outside the span of `principal`."""
    return np.linalg.norm(centred - (centred @ principal) @ principal.T, axis=1)
