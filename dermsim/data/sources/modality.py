"""Says when photographs are of another kind than those that an encoder knows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence


def warn_clinical(modalities: Sequence[str | None]) -> None:
    """Warn when clinical photographs go to an encoder of dermatoscopy.

    Args:
        modalities: How each was taken; None, where nobody says, is taken for dermoscopy.

    Warns:
        UserWarning: How many there are.
    """
    clinical = sum(modality == "clinical" for modality in modalities)
    if clinical:
        warnings.warn(
            f"{clinical:,} of {len(modalities):,} pictures are clinical photographs, taken without "
            "a dermatoscope: an encoder of dermatoscopic pictures does not know such pictures",
            stacklevel=3,
        )
