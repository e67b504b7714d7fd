"""Has the model seen this kind of image? One score of strangeness, and where to draw the line.

The scores are those of `dermsim.tasks.detect.scores`. A checkpoint folder ships one of them, fitted
to its training images, with the threshold below which 95 % of its validation images lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys, read_arrays, save_arrays
from dermsim.core.vectors import check_labels
from dermsim.tasks.detect.scores import SCORES, Outputs, Score

DEFAULT_METHOD = "embedding-mahalanobis"
"""The score that `DermSim.fit` ships."""


@dataclass(frozen=True, eq=False)
class OutlierDetector:
    """A score of strangeness with a threshold; `fit` makes one.

    Attributes:
        scorer: One of the scores in `dermsim.tasks.detect.scores.SCORES`, fitted to the training
            images.
        threshold: Scores above it are outliers.
        fingerprint: Names the encoder whose answers it scores; empty when not known.

    Examples:
        >>> engine.detector.method, engine.detector.measures
        ('embedding-mahalanobis', ('embeddings', 128))
    """

    scorer: Score
    threshold: float
    fingerprint: str = ""

    @classmethod
    def fit(
        cls,
        train: Outputs,
        labels: npt.ArrayLike,
        *,
        validation: Outputs,
        method: str = DEFAULT_METHOD,
        accept: float = 0.95,
        fingerprint: str = "",
    ) -> OutlierDetector:
        """Learn what is familiar, and the threshold that accepts most of validation.

        Args:
            train: The encoder's answers for N training images.
            labels: ``(N,)`` integers, their classes: the true columns of the logits.
            validation: Its answers for images that it was not trained on; the training images
                themselves lie closer than any new image will.
            method: Name of a score in `dermsim.tasks.detect.scores.SCORES`.
            accept: Share of the validation images that must not be outliers.
            fingerprint: Names the encoder.

        Raises:
            ValueError: If shapes or labels are wrong, there are too few images, `accept` is not
                between 0 and 1, or the method is unknown.

        Examples:
            >>> from dermsim import OutlierDetector
            >>> from dermsim.models.encode import encode
            >>> pictures = [picture.rotate(angle) for angle in range(0, 90, 10)]
            >>> seen = encode(engine.model, engine.processor, pictures[:6])
            >>> new = encode(engine.model, engine.processor, pictures[6:])
            >>> OutlierDetector.fit(seen, [4] * 6, validation=new).method
            'embedding-mahalanobis'
        """
        if not 0 < accept < 1:
            raise Refused("detector.accept", accept=accept)
        kind = _kind(method)
        rows, held_out = len(train.pooled_features), len(validation.pooled_features)
        if rows < 2 or held_out == 0:
            raise Refused("detector.too_few", rows=rows, held_out=held_out)
        scorer = kind.fit(train, check_labels(labels, rows=rows, num_classes=_columns(train)))
        threshold = float(np.quantile(scorer(validation), accept, method="higher"))
        return cls(scorer, threshold, fingerprint)

    @property
    def method(self) -> str:
        """Name of the score in `dermsim.tasks.detect.scores.SCORES`."""
        return next(name for name, kind in SCORES.items() if type(self.scorer) is kind)

    @property
    def measures(self) -> tuple[str, int] | None:
        """Which of the encoder's vectors `score` looks at and their dimensions; None for none."""
        for name, axis in (("whitening", 0), ("cases", 1), ("origin", 0)):
            if name in self.scorer.ARRAYS:
                space = getattr(self.scorer, "SPACE", "pooled_features")
                return space, getattr(self.scorer, name).shape[axis]
        return None

    def score(self, outputs: Outputs) -> npt.NDArray[np.float64]:
        """Return ``(N,)`` scores; higher means stranger.

        Args:
            outputs: What the encoder answers for N images, without facts.

        Raises:
            ValueError: If they were made by another encoder, or a value is NaN.

        Examples:
            >>> from dermsim.models.encode import encode
            >>> outputs = encode(engine.model, engine.processor, [picture])
            >>> engine.detector.is_outlier(engine.detector.score(outputs)).tolist()
            [False]
        """
        return self.scorer(outputs)

    def is_outlier(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return ``(N,)`` bool: whether each score exceeds the threshold.

        Examples:
            >>> engine.detector.is_outlier([0.0, 1000.0]).tolist()
            [False, True]
        """
        return np.asarray(scores) > self.threshold

    def save(self, path: str | Path) -> None:
        """Write the detector into one ``.safetensors`` file, atomically.

        Examples:
            >>> from pathlib import Path
            >>> engine.detector.save("detector.safetensors")
            >>> Path("detector.safetensors").exists()
            True
        """
        arrays = {name: getattr(self.scorer, name) for name in self.scorer.ARRAYS}
        facts = {
            "method": self.method,
            "threshold": self.threshold,
            "fingerprint": self.fingerprint,
        }
        save_arrays(path, arrays, facts=facts)

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None = None) -> OutlierDetector:
        """Read what `save` wrote.

        Args:
            path: The file.
            fingerprint: The encoder in use, or None to skip the comparison.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, does not hold a detector, holds a method that this
                version does not know, or was made by another encoder.

        Examples:
            >>> from dermsim import OutlierDetector
            >>> engine.detector.save("detector.safetensors")
            >>> OutlierDetector.load("detector.safetensors").threshold == engine.detector.threshold
            True
        """
        name = Path(path).name
        arrays, facts = read_arrays(path)
        keys = {"method", "threshold", "fingerprint"}
        check_keys(facts, keys, name=Phrase("storage.header", name=name))
        own = facts["fingerprint"]
        if fingerprint is not None and own != fingerprint:
            raise Refused("detector.other_encoder", name=name, own=own, fingerprint=fingerprint)
        kind = _kind(facts["method"])
        check_keys(arrays, set(kind.ARRAYS), name=name)
        for key, (letter, ndim) in kind.ARRAYS.items():
            array = arrays[key]
            if array.ndim != ndim or array.size == 0 or array.dtype.kind != letter:
                raise Refused(
                    "detector.array", name=name, key=key, dtype=array.dtype, shape=array.shape
                )
            if not np.isfinite(array).all():
                raise Refused("detector.not_finite", name=name, key=key)
        threshold = facts["threshold"]
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not np.isfinite(float(threshold)):  # type: ignore[arg-type]
            raise Refused("detector.threshold", name=name, threshold=threshold)
        try:
            scorer = kind(**arrays)
        except ValueError as error:
            raise Refused("detector.no_detector", name=name, error=error) from error
        return cls(scorer, float(threshold), str(own))  # type: ignore[arg-type]


def _kind(method: object) -> type[Score]:
    if not isinstance(method, str) or method not in SCORES:
        raise Refused("detector.method", method=method, scores=list(SCORES))
    return SCORES[method]


def _columns(outputs: Outputs) -> int:
    return outputs.logits.shape[1]
