"""Has the model seen this kind of image? One score of strangeness, and where to draw the line.

The scores are those of `dermsim.scores`. A checkpoint folder ships one of them, fitted to its
training images, with the threshold below which 95 % of its validation images lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.scores import SCORES, Sample, Score
from dermsim.storage import check_keys, read_arrays, save_arrays
from dermsim.vectors import check_embeddings

DEFAULT_METHOD = "mahalanobis"
"""The score that `DermSim.fit` ships."""


@dataclass(frozen=True, eq=False)
class OutlierDetector:
    """A score of strangeness with a threshold; `fit` makes one.

    Attributes:
        scorer: One of the scores in `dermsim.scores.SCORES`, fitted to the training images.
        threshold: Scores above it are outliers.
    """

    scorer: Score
    threshold: float

    @classmethod
    def fit(
        cls,
        features: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        validation_features: npt.ArrayLike,
        logits: npt.ArrayLike | None = None,
        validation_logits: npt.ArrayLike | None = None,
        method: str = DEFAULT_METHOD,
        accept: float = 0.95,
    ) -> OutlierDetector:
        """Learn what is familiar, and the threshold that accepts most of validation.

        Args:
            features: ``(N, F)`` pooled features of the training images.
            labels: ``(N,)`` integers, their classes.
            validation_features: ``(V, F)`` of images the encoder was not trained on; the training
                images themselves lie closer than any new image will.
            logits: ``(N, C)`` of the training images; only methods that look at logits need them.
            validation_logits: ``(V, C)`` of the validation images, as for `logits`.
            method: Name of a score in `dermsim.scores.SCORES`.
            accept: Share of the validation images that must not be outliers.

        Raises:
            ValueError: If shapes or labels are wrong, an array is empty, `accept` is not between
                0 and 1, or the method is unknown or lacks its logits.
        """
        if not 0 < accept < 1:
            raise ValueError(f"accept must be strictly between 0 and 1, got {accept}.")
        kind = _kind(method)
        train = check_embeddings(features, name="features")
        held_out = check_embeddings(
            validation_features, dim=train.shape[1], name="validation_features"
        )
        if len(train) < 2 or len(held_out) == 0:
            raise ValueError(
                f"the detector needs at least 2 training and 1 validation images, got {len(train)} "
                f"and {len(held_out)}."
            )
        if logits is None:
            _refuse_without_logits(kind)
            # a score that does not look at logits still wants to know the classes
            logits = np.zeros((len(train), int(np.max(labels)) + 1), dtype=np.float32)
        fitted = cls(kind.fit(Sample(train, np.asarray(logits), np.asarray(labels))), np.inf)
        scores = fitted.score(held_out, validation_logits)
        threshold = float(np.quantile(scores, accept, method="higher"))
        return cls(fitted.scorer, threshold)

    @property
    def method(self) -> str:
        """Name of the score in `dermsim.scores.SCORES`."""
        return next(name for name, kind in SCORES.items() if type(self.scorer) is kind)

    @property
    def looks_at_logits(self) -> bool:
        """Whether `score` needs logits."""
        return self.scorer.LOGITS

    def score(
        self, features: npt.ArrayLike, logits: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Return ``(N,)`` scores; higher means stranger.

        Args:
            features: ``(N, F)`` pooled features.
            logits: ``(N, C)`` of the images alone, without facts; only a method that looks at
                logits needs them.

        Raises:
            ValueError: If F or C differs, a value is NaN, or the method lacks its logits.
        """
        rows = check_embeddings(features, dim=self.scorer.width, name="features")
        if logits is None:
            _refuse_without_logits(type(self.scorer))
            return self.scorer(rows.astype(np.float64), np.zeros((len(rows), 1)))
        answers = check_embeddings(logits, name="logits")
        if len(answers) != len(rows):
            raise ValueError(f"{len(rows)} rows of features came with {len(answers)} of logits.")
        return self.scorer(rows.astype(np.float64), answers.astype(np.float64))

    def is_outlier(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return ``(N,)`` bool: whether each score exceeds the threshold."""
        return np.asarray(scores) > self.threshold

    def save(self, path: str | Path) -> None:
        """Write the detector into one ``.safetensors`` file, atomically."""
        arrays = {name: getattr(self.scorer, name) for name in self.scorer.ARRAYS}
        save_arrays(path, arrays, facts={"method": self.method, "threshold": self.threshold})

    @classmethod
    def load(cls, path: str | Path) -> OutlierDetector:
        """Read what `save` wrote, or an older file, which holds Mahalanobis distances.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, does not hold a detector, or holds a method that
                this version does not know.
        """
        name = Path(path).name
        arrays, facts = read_arrays(path)
        if set(facts) == {"threshold"}:
            facts["method"] = "mahalanobis"
        check_keys(facts, {"method", "threshold"}, name=f"the header of {name}")
        kind = _kind(facts["method"])
        check_keys(arrays, set(kind.ARRAYS), name=name)
        for key, (letter, ndim) in kind.ARRAYS.items():
            array = arrays[key]
            if array.ndim != ndim or array.size == 0 or array.dtype.kind != letter:
                raise ValueError(
                    f"{name} is not a detector: its {key} is {array.dtype} {array.shape}."
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{name} is damaged: its {key} holds NaN or infinity.")
        threshold = facts["threshold"]
        if type(threshold) not in (int, float) or not -np.inf < threshold < np.inf:
            raise ValueError(f"{name} has threshold {threshold!r}, expected a number.")
        try:
            scorer = kind(**arrays)
        except ValueError as error:
            raise ValueError(f"{name} is not a detector: {error}") from error
        return cls(scorer, float(threshold))


def _kind(method: object) -> type[Score]:
    if not isinstance(method, str) or method not in SCORES:
        raise ValueError(f"unknown detector {method!r}; choose one of {', '.join(SCORES)}.")
    return SCORES[method]


def _refuse_without_logits(kind: type[Score]) -> None:
    if kind.LOGITS:
        raise ValueError("this detector looks at logits, so it needs those of every image.")
