"""Has the model seen this kind of image? Scores of strangeness, and the detector made of one."""

from dermsim.tasks.detect.detector import DEFAULT_METHOD, OutlierDetector

__all__ = ["DEFAULT_METHOD", "OutlierDetector"]
