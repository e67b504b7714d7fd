"""Has the model seen this kind of image, and is it one to judge? A detector and a gate."""

from dermsim.tasks.detect.detector import DEFAULT_METHOD, OutlierDetector
from dermsim.tasks.detect.quality import REASONS, QualityGate, choose_thresholds

__all__ = [
    "DEFAULT_METHOD",
    "REASONS",
    "OutlierDetector",
    "QualityGate",
    "choose_thresholds",
]
