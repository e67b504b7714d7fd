"""New classes from a few photographs, beside those that the encoder was trained with.

`space` says what vectors are compared, `heads` how a new class is told from the old ones, `bank`
holds the classes, `files` keeps them on disk and `report` says what became of the old ones.
"""

from dermsim.tasks.enroll.bank import DEFAULT_TEMPERATURE, ClassBank, EnrolledClass
from dermsim.tasks.enroll.files import bank_from_bytes, bank_to_bytes
from dermsim.tasks.enroll.heads import HEADS, SWALLOW, fit_prototype_temperature, head_for
from dermsim.tasks.enroll.report import EnrollmentReport, before_and_after
from dermsim.tasks.enroll.space import SPACES, Space

__all__ = [
    "DEFAULT_TEMPERATURE",
    "HEADS",
    "SPACES",
    "SWALLOW",
    "ClassBank",
    "EnrolledClass",
    "EnrollmentReport",
    "Space",
    "bank_from_bytes",
    "bank_to_bytes",
    "before_and_after",
    "fit_prototype_temperature",
    "head_for",
]
