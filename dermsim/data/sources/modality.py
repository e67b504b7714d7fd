"""Says when photographs are of another kind than those that an encoder knows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


def warn_clinical(rows: Dataset) -> None:
    """Warn when clinical photographs go to an encoder of dermatoscopy.

    Args:
        rows: Rows without a column ``modality`` are taken for dermoscopy.

    Warns:
        UserWarning: How many there are.
    """
    if "modality" not in rows.column_names:
        return
    clinical = sum(modality == "clinical" for modality in rows["modality"])
    if clinical:
        warnings.warn(
            f"{clinical:,} of {len(rows):,} pictures are clinical photographs, taken without a "
            "dermatoscope: an encoder of dermatoscopic pictures does not know such pictures",
            stacklevel=3,
        )
