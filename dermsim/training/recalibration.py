"""A checkpoint's calibration fitted again, by the code that fits it after training.

The same photographs and encoder give the same temperature, so that no probability changes; sets and
operating points are those of the dermsim at hand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.data.exam import refuse_exam
from dermsim.engine.predictions import calibrate_with_facts
from dermsim.models.encode import encode
from dermsim.tasks.classify import Calibration, add_left_out_bias, bias_of
from dermsim.training.stacking import fit_stack

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

ROUNDING = 1e-4
"""How far two fits to the same photographs lie apart at most. Another processor or batch rounds
otherwise; photographs that are not the same differ by far more."""


def recalibrate(engine: DermSim, validation: Dataset) -> tuple[Calibration, Calibration | None]:
    """Fit a checkpoint's calibration again.

    Args:
        engine: The checkpoint.
        validation: The rows of the `load_ham10000` schema that it was calibrated on.

    Returns:
        The calibration for images alone, and the one for images with facts, which is None for an
        encoder that takes none. The temperature is kept to the last digit.

    Raises:
        ValueError: If the temperature comes out otherwise: the rows, or the encoder, are others; or
            a row belongs to the exam.
    """
    refuse_exam(validation["image_id"])
    kept, kept_facts = engine.calibration, engine.calibration_facts
    logits, bias = _unseen_logits(engine, validation)
    alone = Calibration.fit(
        logits,
        np.array(validation["dx"]),
        list(validation["lesion_id"]),
        alpha=kept.alpha,
        class_bias=bias,
    )
    alone = with_temperature_of(kept, alone)
    if kept_facts is None:
        return alone, None
    informed = calibrate_with_facts(
        engine.model, logits, validation, alpha=kept_facts.alpha, class_bias=bias
    )
    assert informed is not None  # who keeps that calibration takes facts
    return alone, with_temperature_of(kept_facts, informed)


def with_temperature_of(kept: Calibration, fitted: Calibration) -> Calibration:
    """Return a new fit with the temperature that the old one rounded.

    Args:
        kept: What a checkpoint holds.
        fitted: What was fitted to the same validation now.

    Raises:
        ValueError: If the two differ by more than rounding, or in what they were fitted to.
    """
    facts = [("temperature", kept.temperature, fitted.temperature)]
    old, new = kept.malignancy_curve, fitted.malignancy_curve
    if old is not None and new is not None:
        facts.append(("number of malignant photographs", old.malignant, new.malignant))
        facts.append(("number of benign photographs", old.benign, new.benign))
    for name, own, theirs in facts:
        if not math.isclose(own, theirs, rel_tol=ROUNDING):
            raise Refused("recalibration.other_data", name=name, own=own, theirs=theirs)
    return replace(fitted, temperature=kept.temperature)


def _unseen_logits(
    engine: DermSim, validation: Dataset
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Return logits ``(N, 7)`` of validation, each from a fit without its lesion, and the bias.

    As after training: validation shaped the stack of an ensemble, and perhaps a class bias, and
    both answer it too well.
    """
    model, images, labels = engine.model, validation["image"], np.array(validation["dx"])
    lesions = list(validation["lesion_id"])
    if len(model.members) > 1:
        answers = [encode(member, engine.processor, images).logits for member in model.members]
        return fit_stack(np.stack(answers), labels, lesions).out_of_fold, None
    logits = encode(model, engine.processor, images).logits
    fit = engine.calibration.cross_fit
    if fit is None or fit.class_bias is None:
        return logits, None
    bias = bias_of(fit.class_bias)
    return add_left_out_bias(logits - bias, labels, lesions), bias
