"""Whether an exported encoder answers as the checkpoint does, measured on photographs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermsim.core.labels import CODES
from dermsim.core.metrics import IntArray, balanced_accuracy, class_auc
from dermsim.core.refused import Refused
from dermsim.engine.predictions import read_predictions
from dermsim.models.encode import encode

if TYPE_CHECKING:
    from dermsim.engine.dermsim import DermSim
    from dermsim.engine.results import Prediction
    from dermsim.lite.encoder import ExportedEncoder
    from dermsim.models.encoding import Encoding

BATCH = 16
"""Photographs that are asked about at once."""

COSINE, WHOLE_COSINE = 0.9999, 0.999
"""Of the two embeddings of a photograph, at least: prepared by Pillow, and by the graph itself."""

AGREEMENT, ACCURACY, AUC = 0.98, 0.01, 0.005
"""Of integers: share of equal verdicts at least, and what may be lost in balanced accuracy and in
the area under the ROC curve of melanoma."""


@dataclass(frozen=True)
class Difference:
    """How far two sets of numbers are apart.

    Attributes:
        largest: Absolute difference.
        mean: Absolute difference.
    """

    largest: float
    mean: float

    @classmethod
    def of(cls, one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> Difference:
        """Compare arrays.

        Args:
            one: At least one number, of any shape.
            other: As many, of the same shape.
        """
        apart = np.abs(np.asarray(one, np.float64) - other)
        return cls(float(apart.max()), float(apart.mean()))


@dataclass(frozen=True)
class Parity:
    """How an exported encoder answers beside the checkpoint, on N photographs.

    Attributes:
        photographs: N.
        embeddings: How far the embeddings are apart.
        lowest_cosine: Of the two embeddings of a photograph.
        probabilities: How far the probabilities of the diagnoses are apart.
        labels: Photographs with the same likeliest diagnosis.
        verdicts: With the same verdict: malignant, benign or withheld, at the default point.
        sets: With the same prediction set.
        outliers: With the same answer to whether they are unlike the training data.
        whole: The lowest cosine and the largest difference of a probability where the graph itself
            resizes whole photographs; None where that was not asked.
        accuracy: What is lost in balanced accuracy (argmax); None without known diagnoses.
        melanoma_auc: What is lost in the area under the ROC curve of melanoma; likewise.
    """

    photographs: int
    embeddings: Difference
    lowest_cosine: float
    probabilities: Difference
    labels: int
    verdicts: int
    sets: int
    outliers: int
    whole: dict[str, float] | None = None
    accuracy: dict[str, float] | None = None
    melanoma_auc: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; what was not measured is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def check_same(self) -> None:
        """Refuse an export that gives other answers.

        Raises:
            ValueError: If a cosine, label, verdict or set is not the checkpoint's.
        """
        whole = 1.0 if self.whole is None else self.whole["lowest_cosine"]
        if not (self.lowest_cosine >= COSINE and whole >= WHOLE_COSINE):
            raise Refused("onnx_export.cosine", cosine=min(self.lowest_cosine, whole), least=COSINE)
        same = min(self.labels, self.verdicts, self.sets, self.outliers)
        if same < self.photographs:
            raise Refused("onnx_export.answers", count=self.photographs - same, of=self.photographs)

    def check_close(self) -> None:
        """Refuse integers that lose too much.

        Raises:
            ValueError: If verdicts differ too often, or accuracy or area fall too far.
        """
        share = self.verdicts / self.photographs
        if share < AGREEMENT:
            raise Refused("onnx_export.int8_verdicts", share=share, least=AGREEMENT)
        for key, lost, most in (
            ("onnx_export.int8_accuracy", self.accuracy, ACCURACY),
            ("onnx_export.int8_auc", self.melanoma_auc, AUC),
        ):
            if lost is not None and lost["lost"] > most:
                raise Refused(key, lost=lost["lost"], most=most)


@dataclass
class _Answers:
    """What one of the two said of the photographs so far."""

    embeddings: list[npt.NDArray[np.float32]] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)

    def add(self, engine: DermSim, encoding: Encoding) -> None:
        assert encoding.looks is not None  # whoever asks has had them made
        gate = engine.quality
        self.embeddings.append(encoding.embeddings)
        self.predictions += read_predictions(
            encoding,
            detector=engine.detector,
            calibration=engine.calibration,
            quality=None if gate is None else gate.reasons(encoding.looks.statistics),
        )

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        return np.array([list(one.probabilities.values()) for one in self.predictions])


def compare_runtimes(
    engine: DermSim,
    runtime: ExportedEncoder,
    photographs: Iterable[Image.Image],
    *,
    diagnoses: Sequence[int] | None = None,
    whole: bool = False,
) -> Parity:
    """Ask the checkpoint and an exported encoder about the same photographs.

    Args:
        engine: The checkpoint, in torch.
        runtime: Its exported encoder.
        photographs: As `read_image` gives them; each is held once.
        diagnoses: Their known diagnoses as places in `CODES`, to measure what is lost; None where
            they are not known.
        whole: Whether to have the graph resize whole photographs, too.

    Raises:
        ValueError: If there is no photograph.
    """
    ours, theirs = _Answers(), _Answers()
    graph: list[tuple[float, float]] = []
    for batch in _batches(photographs):
        own = encode(engine.model, engine.processor, batch, looks=True)
        ours.add(engine, own)
        theirs.add(engine, runtime(batch, looks=True))
        if whole:
            graph += _whole(engine, own, runtime, batch)
    if not ours.predictions:
        raise Refused("onnx_export.no_photographs")
    one, other = np.concatenate(ours.embeddings), np.concatenate(theirs.embeddings)
    pairs = list(zip(ours.predictions, theirs.predictions, strict=True))
    truth = None if diagnoses is None else np.array(diagnoses)
    return Parity(
        len(pairs),
        Difference.of(one, other),
        float(_cosines(one, other).min()),
        Difference.of(ours.probabilities, theirs.probabilities),
        labels=sum(a.label == b.label for a, b in pairs),
        verdicts=sum(a.verdict == b.verdict for a, b in pairs),
        sets=sum(a.prediction_set == b.prediction_set for a, b in pairs),
        outliers=sum(a.is_outlier == b.is_outlier for a, b in pairs),
        whole=None if not graph else _summary(graph),
        accuracy=None if truth is None else _lost(_accuracy, truth, ours, theirs),
        melanoma_auc=None if truth is None else _lost(_melanoma, truth, ours, theirs),
    )


def _batches(photographs: Iterable[Image.Image]) -> Iterator[list[Image.Image]]:
    source = iter(photographs)
    while batch := list(islice(source, BATCH)):
        yield batch


def _cosines(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    return np.einsum("nd,nd->n", one.astype(np.float64), other.astype(np.float64))


def _whole(
    engine: DermSim, own: Encoding, runtime: ExportedEncoder, batch: Sequence[Image.Image]
) -> list[tuple[float, float]]:
    """Return cosine and largest difference of a probability, of photographs as they are."""
    probabilities = engine.calibration.probabilities(own.logits)
    found = []
    for place, image in enumerate(batch):
        embeddings, logits, *_ = runtime.run(np.asarray(image)[None])
        told = engine.calibration.probabilities(logits)[0]
        cosine = _cosines(own.embeddings[place : place + 1], embeddings)[0]
        found.append((float(cosine), float(np.abs(told - probabilities[place]).max())))
    return found


def _summary(graph: Sequence[tuple[float, float]]) -> dict[str, float]:
    cosines, apart = zip(*graph, strict=True)
    return {"lowest_cosine": min(cosines), "largest_probability_difference": max(apart)}


def _accuracy(truth: IntArray, answers: _Answers) -> float:
    said = np.array([one.label for one in answers.predictions])
    return balanced_accuracy(truth, said, len(CODES))


def _melanoma(truth: IntArray, answers: _Answers) -> float:
    melanoma = CODES.index("mel")
    return class_auc(truth == melanoma, answers.probabilities[:, melanoma])


def _lost(measure: Any, truth: IntArray, ours: _Answers, theirs: _Answers) -> dict[str, float]:
    before, after = measure(truth, ours), measure(truth, theirs)
    return {"checkpoint": before, "exported": after, "lost": before - after}
