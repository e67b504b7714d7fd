"""From logits to predictions, each with the calibration that was fitted to its like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.facts import Facts, facts_of
from dermsim.engine.results import Prediction
from dermsim.models.encode import add_to_bias, weigh_facts
from dermsim.tasks.classify import POINTS, Calibration, add_left_out_bias, fit_class_bias

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.models.encode import Encoding
    from dermsim.models.encoder import Encoder
    from dermsim.tasks.detect import OutlierDetector


def calibrate(
    model: Encoder,
    held_out: Encoding,
    validation: Dataset,
    *,
    logits: npt.NDArray[np.float32] | None = None,
    fit_bias: bool = False,
) -> tuple[Encoding, Calibration, Calibration | None]:
    """Fit what reads an encoder's logits; with `fit_bias` the classifier's bias first, in place.

    Args:
        model: The trained encoder.
        held_out: What it says of `validation`.
        validation: Rows of the `load_ham10000` schema that it was not trained on.
        logits: As for `DermSim.fit`, its `calibration_logits`.
        fit_bias: As for `DermSim.fit`.

    Returns:
        What the encoder says of `validation` now, the calibration for images alone, and the one for
        images with facts, which is None for an encoder that takes none.

    Raises:
        ValueError: If there are not as many `logits` as rows, or they come with `fit_bias`.
    """
    labels, lesions = np.array(validation["dx"]), list(validation["lesion_id"])
    unseen, bias = held_out.logits if logits is None else logits, None
    if fit_bias:
        if logits is not None:
            raise Refused("predictions.biased")
        unseen = add_left_out_bias(held_out.logits, labels, lesions)
        bias = add_to_bias(model, fit_class_bias(held_out.logits, labels))
        held_out = replace(held_out, logits=held_out.logits + bias)
    calibration = Calibration.fit(unseen, labels, lesions, class_bias=bias)
    informed = calibrate_with_facts(model, unseen, validation, class_bias=bias)
    return held_out, calibration, informed


def calibrate_with_facts(
    model: Encoder,
    logits: npt.NDArray[np.float32],
    validation: Dataset,
    *,
    alpha: float = 0.1,
    class_bias: npt.NDArray[np.float32] | None = None,
) -> Calibration | None:
    """Fit the calibration for images that come with facts.

    The facts sharpen the logits, so that the calibration for images alone would read too much or
    too little into them.

    Args:
        model: The trained encoder.
        logits: ``(N, 7)`` raw logits of the images of `validation`, without facts.
        validation: Rows of the `load_ham10000` schema; those with no known fact are left out.
        alpha: As for `Calibration.fit`.
        class_bias: As for `Calibration.fit`.

    Returns:
        The calibration, or None for an encoder that takes no facts.

    Raises:
        ValueError: If the encoder takes facts and no row has any.
    """
    if not model.config.facts_dim:
        return None
    facts = facts_of(validation)
    rows = np.flatnonzero([row.known for row in facts])
    if len(rows) == 0:
        raise Refused("predictions.no_facts")
    informed = logits + weigh_facts(model, facts)
    lesions = list(validation["lesion_id"])
    return Calibration.fit(
        informed[rows],
        np.array(validation["dx"])[rows],
        [lesions[row] for row in rows],
        alpha=alpha,
        class_bias=class_bias,
    )


def read_predictions(
    encoding: Encoding,
    *,
    detector: OutlierDetector,
    calibration: Calibration,
    calibration_facts: Calibration | None = None,
    facts: Sequence[Facts | None] | None = None,
    operating_point: str | float = POINTS[0],
    quality: Sequence[tuple[str, ...]] | None = None,
) -> list[Prediction]:
    """Say what logits mean, each row with the calibration that was fitted to its like.

    Args:
        encoding: What the encoder says of N images.
        detector: Says how strange each is.
        calibration: For images of whose patient nothing is known.
        calibration_facts: For the others; None when the encoder takes no facts.
        facts: What was told of each image's patient; None for nothing.
        operating_point: Name or threshold, as for `Calibration.is_malignant`.
        quality: Why each picture is not one to judge; None where there is nothing to tell by.

    Returns:
        One prediction per image.
    """
    scores = detector.score(encoding)
    strange = _Strangeness(
        scores,
        detector.is_outlier(scores),
        detector.threshold,
        [()] * len(scores) if quality is None else quality,
    )
    found = _read(encoding.logits, calibration, strange, operating_point)
    if facts is None or calibration_facts is None:
        return found
    informed = _read(encoding.informed_logits, calibration_facts, strange, operating_point)
    known = [row is not None and row.known for row in facts]
    return [informed[i] if known[i] else found[i] for i in range(len(found))]


@dataclass(frozen=True)
class _Strangeness:
    """What is said of N pictures whatever their logits.

    Attributes:
        scores: ``(N,)``.
        outliers: ``(N,)`` whether each is beyond the limit.
        limit: Of the scores.
        quality: Why each is not one to judge.
    """

    scores: npt.NDArray[np.float64]
    outliers: npt.NDArray[np.bool_]
    limit: float
    quality: Sequence[tuple[str, ...]]


def _read(
    logits: npt.NDArray[np.float32],
    calibration: Calibration,
    strange: _Strangeness,
    operating_point: str | float,
) -> list[Prediction]:
    probabilities = calibration.probabilities(logits)
    labels = probabilities.argmax(axis=1)
    sets = calibration.prediction_sets(probabilities)
    levels = {
        level: calibration.prediction_sets(probabilities, level=level)
        for level in calibration.levels
    }
    malignancy = calibration.malignancy(probabilities)
    malignant = calibration.is_malignant(probabilities, operating_point=operating_point)
    threshold = calibration.threshold(operating_point)
    limits = {code: 1.0 - score for code, score in calibration.set_thresholds.items()}
    return [
        Prediction(
            label=int(labels[i]),
            label_name=CODES[labels[i]],
            probabilities=dict(zip(CODES, probabilities[i].tolist(), strict=True)),
            prediction_set=sets[i],
            malignancy=float(malignancy[i]),
            is_malignant=bool(malignant[i]),
            ood_score=float(strange.scores[i]),
            is_outlier=bool(strange.outliers[i]),
            prediction_sets={level: found[i] for level, found in levels.items()},
            quality=strange.quality[i],
            ood_limit=strange.limit,
            threshold=threshold,
            set_limits=limits,
        )
        for i in range(len(probabilities))
    ]
