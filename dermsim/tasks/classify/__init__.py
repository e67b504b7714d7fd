"""From logits to probabilities, a set of diagnoses, and benign or malignant."""

from dermsim.metrics import fit_temperature
from dermsim.tasks.classify.calibration import LEVELS, Calibration
from dermsim.tasks.classify.operating import (
    POINTS,
    MalignancyCurve,
    OperatingPoint,
    check_threshold,
    parse_point,
)
from dermsim.vectors import softmax

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
