"""From logits to probabilities, a set of diagnoses, and benign or malignant."""

from dermsim.core.metrics import fit_temperature
from dermsim.core.vectors import softmax
from dermsim.tasks.classify.calibration import LEVELS, Calibration
from dermsim.tasks.classify.operating import (
    POINTS,
    MalignancyCurve,
    OperatingPoint,
    check_threshold,
    parse_point,
)

__all__ = [
    "LEVELS",
    "POINTS",
    "Calibration",
    "MalignancyCurve",
    "OperatingPoint",
    "check_threshold",
    "fit_temperature",
    "parse_point",
    "softmax",
]
