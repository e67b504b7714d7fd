"""New classes from a few photographs, beside those that the encoder was trained with.

`space` says what vectors are compared, `heads` how a new class is told from the old ones, `bank`
holds the classes, `files` keeps them on disk and `report` says what became of the old ones.
"""

from dermsim.tasks.enroll.bank import DEFAULT_TEMPERATURE, ClassBank
from dermsim.tasks.enroll.enrollment_report import EnrollmentReport, before_and_after
from dermsim.tasks.enroll.feature_space import SPACES, Space
from dermsim.tasks.enroll.heads import (
    HEADS,
    SWALLOW,
    EnrolledClass,
    fit_prototype_temperature,
    head_for,
)

__all__ = [
    "DEFAULT_TEMPERATURE",
    "HEADS",
    "SPACES",
    "SWALLOW",
    "ClassBank",
    "EnrolledClass",
    "EnrollmentReport",
    "Space",
    "before_and_after",
    "fit_prototype_temperature",
    "head_for",
]
