"""What a later dermsim keeps of validation, added to the calibration of an older checkpoint.

The calibration is fitted again by the code that fits it after training. Its values must come out as
they are kept, for the folder's figures were made with them; only what was not kept then is added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dermsim.engine.predictions import calibrate_with_facts
from dermsim.models import DermSimEnsembleModel
from dermsim.models.encode import encode
from dermsim.tasks.classify import Calibration
from dermsim.training.stacking import fit_stack

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

ROUNDING = 1e-4
"""How far two fits to the same photographs lie apart at most. Another processor or batch rounds
otherwise; photographs that are not the same differ by far more."""


def recalibrate(engine: DermSim, validation: Dataset) -> tuple[Calibration, Calibration | None]:
    """Fit a checkpoint's calibration again, and add to it what it does not keep yet.

    Args:
        engine: The checkpoint.
        validation: The rows of the `load_ham10000` schema that it was calibrated on.

    Returns:
        The calibration for images alone, and the one for images with facts, which is None for an
        encoder that takes none. What was kept before is kept to the last digit.

    Raises:
        ValueError: If they come out otherwise: the rows, or the encoder, are others.
    """
    model = engine.model
    if isinstance(model, DermSimEnsembleModel):
        # as `build_ensemble` does it: the stack was fitted to validation, and answers it too well
        answers = [encode(m, engine.processor, validation["image"]).logits for m in model.members]
        stack = fit_stack(np.stack(answers), validation["dx"], list(validation["lesion_id"]))
        logits = stack.out_of_fold
    else:
        logits = encode(model, engine.processor, validation["image"]).logits
    kept, kept_facts = engine.calibration, engine.calibration_facts
    alone = complete(kept, Calibration.fit(logits, validation["dx"], alpha=kept.alpha))
    if kept_facts is None:
        return alone, None
    informed = calibrate_with_facts(model, logits, validation, alpha=kept_facts.alpha)
    assert informed is not None  # who keeps that calibration takes facts
    return alone, complete(kept_facts, informed)


def complete(kept: Calibration, fitted: Calibration) -> Calibration:
    """Return a calibration with the levels and the curve that it lacks.

    Args:
        kept: What a checkpoint holds.
        fitted: What was fitted to the same validation now.

    Raises:
        ValueError: If the two differ by more than rounding.
    """
    for name, old, new in _values(kept, fitted):
        if not math.isclose(old, new, rel_tol=ROUNDING, abs_tol=ROUNDING):
            raise ValueError(
                f"The checkpoint was not calibrated on these photographs with this encoder: its "
                f"{name} is {old:.6g}, and theirs {new:.6g}. Name the data that it was trained on."
            )
    curve = kept.malignancy_curve
    if curve is None and fitted.malignancy_curve is not None:
        # the decision of the checkpoint stands, even where another processor rounds otherwise
        exact = {
            fitted.operating_points[name].threshold: point.threshold
            for name, point in kept.operating_points.items()
        }
        points = fitted.malignancy_curve.thresholds
        curve = replace(fitted.malignancy_curve, thresholds=tuple(exact.get(t, t) for t in points))
    return replace(kept, levels=kept.levels or fitted.levels, malignancy_curve=curve)


def _values(kept: Calibration, fitted: Calibration) -> Iterator[tuple[str, float, float]]:
    """Go through what both hold, by name."""
    yield "temperature", kept.temperature, fitted.temperature
    yield "alpha", kept.alpha, fitted.alpha
    for code, value in kept.set_thresholds.items():
        yield f"set threshold of {code}", value, fitted.set_thresholds[code]
    for level, thresholds in kept.levels.items():
        for code, value in thresholds.items():
            yield f"set threshold of {code} at {level}", value, fitted.levels[level][code]
    for name, point in kept.operating_points.items():
        other = fitted.operating_points[name].to_dict()
        for part, value in point.to_dict().items():
            yield f"{part} of {name}", value, other[part]
