"""Photographs of other clinics whose diagnoses an encoder may learn from beside its own source."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
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


def without_shared(rows: Dataset, held_out: Sequence[Dataset], *, name: str) -> Dataset:
    """Leave out what is held out of another source: data sets hold parts of each other.

    Args:
        rows: To learn from, with ``image_id`` and ``lesion_id``.
        held_out: Parts of the first source that nothing may learn from.
        name: What the warning calls `rows`.

    Returns:
        The rows that share neither an image_id nor a lesion_id with `held_out`.

    Warns:
        UserWarning: How many were left out.

    Raises:
        ValueError: If nothing is left.
    """
    images = {image_id for part in held_out for image_id in part["image_id"]}
    lesions = {lesion for part in held_out for lesion in part["lesion_id"]} - {None}
    kept = [
        number
        for number, (image_id, lesion) in enumerate(
            zip(rows["image_id"], rows["lesion_id"], strict=True)
        )
        if image_id not in images and lesion not in lesions
    ]
    if not kept:
        raise ValueError(f"all pictures of {name} are held out of the data: there is none to add")
    if len(kept) == len(rows):
        return rows
    warnings.warn(
        f"{len(rows) - len(kept):,} of {len(rows):,} pictures of {name} are held out of the data, "
        "by their names or lesions, and left out",
        stacklevel=2,
    )
    return rows.select(kept)
