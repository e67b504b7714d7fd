"""Photographs of other clinics whose diagnoses an encoder may learn from beside its own source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.data.dataset import open_source

if TYPE_CHECKING:
    from datasets import Dataset


def load_elsewhere(source: str | Path) -> Dataset:
    """Load the photographs of a source whose diagnosis is one of the seven.

    A photograph of no known lesion counts as a lesion of its own: no split is made of these rows.

    Args:
        source: As for `load_ham10000`.

    Returns:
        Rows of the `load_ham10000` schema, sorted by image_id.

    Warns:
        UserWarning: As `load_ham10000`; how many photographs of other diagnoses are left out, by
            their words.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If no row has one of the seven diagnoses, or rows of one image contradict each
            other.
    """
    return open_source(source, unknown_is_other=True).load(more=False)
