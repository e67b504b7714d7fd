"""Fits all parts of a checkpoint that surround a trained encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import CODES
from dermsim.data.exam import refuse_exam
from dermsim.data.tables import case_records
from dermsim.engine.atlas import draw_map
from dermsim.engine.predictions import calibrate
from dermsim.models.encode import encode, fingerprint
from dermsim.models.encoder import round_to_half
from dermsim.models.encoding import Encoding
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.retrieve import Gallery

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.models.encoder import Encoder, Processor


def fit_parts(
    model: Encoder,
    processor: Processor,
    train: Dataset,
    validation: Dataset,
    calibration_logits: npt.NDArray[np.float32] | None,
    fit_bias: bool,
) -> dict[str, Any]:
    """Fit what `dermsim.engine.load.load_parts` would read from a folder.

    Args:
        model: As for `DermSim.fit`, as are the others. It is changed: its weights are rounded, and
            with `fit_bias` the bias of its classifier is set.
        processor: How its input is made.
        train: Rows that become the gallery.
        validation: Rows of other lesions.
        calibration_logits: ``(N_validation, 7)`` to calibrate with, or None for the model's own.
        fit_bias: Whether to set the bias of the classifier right first.

    Returns:
        The arguments of `dermsim.engine.DermSim`, by name.

    Raises:
        ValueError: As for `DermSim.fit`.
    """
    for rows in (train, validation):
        refuse_exam(rows["image_id"])
    model = model.eval()
    round_to_half(model)
    held_out, calibration, calibration_facts = calibrate(
        model,
        encode(model, processor, validation["image"]),
        validation,
        logits=calibration_logits,
        fit_bias=fit_bias,
    )
    mark = fingerprint(model, processor)  # after the last change to a weight
    cases, labels = encode(model, processor, train["image"], looks=True), np.array(train["dx"])
    detector = OutlierDetector.fit(cases, labels, validation=held_out, fingerprint=mark)
    classes = ClassBank.fit(
        cases.pooled_features,
        labels,
        names=CODES,
        validation=held_out.pooled_features,
        validation_labels=np.array(validation["dx"]),
        fingerprint=mark,
    )
    return {
        "model": model,
        "processor": processor,
        "calibration": calibration,
        "calibration_facts": calibration_facts,
        "detector": detector,
        "gallery": _gallery(cases, train, mark),
        "classes": classes,
        "atlas": draw_map(cases, train, calibration=calibration, detector=detector),
    }


def _gallery(cases: Encoding, train: Dataset, mark: str) -> Gallery:
    """Make the gallery of the training cases, with what each looks like."""
    return Gallery.build(
        cases.embeddings,
        case_records(train),
        fingerprint=mark,
        hashes=None if cases.looks is None else cases.looks.cases,
    )
