"""From logits to probabilities, a set of diagnoses, and benign or malignant."""

from dermsim.core.metrics import fit_temperature
from dermsim.core.vectors import softmax
from dermsim.tasks.classify.calibration import LEVELS, Calibration
from dermsim.tasks.classify.class_bias import add_left_out_bias, fit_class_bias
from dermsim.tasks.classify.coverage import covering_score
from dermsim.tasks.classify.cross_fit import CrossFit, bias_of
from dermsim.tasks.classify.operating import (
    POINTS,
    MalignancyCurve,
    OperatingPoint,
    check_threshold,
    parse_point,
)
from dermsim.tasks.classify.reached import Reached, ThresholdFigures, read_figures

__all__ = [
    "LEVELS",
    "POINTS",
    "Calibration",
    "CrossFit",
    "MalignancyCurve",
    "OperatingPoint",
    "Reached",
    "ThresholdFigures",
    "add_left_out_bias",
    "bias_of",
    "check_threshold",
    "covering_score",
    "fit_class_bias",
    "fit_temperature",
    "parse_point",
    "read_figures",
    "softmax",
]
