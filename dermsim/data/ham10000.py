"""Loads HAM10000, or a data set like it, from wherever it lies, as one checked schema.

Tschandl, Rosendahl and Kittler, "The HAM10000 dataset" (2018), https://doi.org/10.1038/sdata.2018.161
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.data.dataset import open_source

if TYPE_CHECKING:
    from datasets import Dataset


def load_ham10000(source: str | Path = "marmal88/skin_cancer") -> Dataset:
    """Load a source, check every row and every image, and bring it to HAM10000's own columns.

    `dermsim.data.dataset.load_dataset` reads the same sources, and is told what words for diagnoses
    mean where they are none of the seven.

    Args:
        source: As for `load_dataset`: a Hub id, a folder in any known layout, or ``"synthetic"``.

    Returns:
        Rows sorted by image_id with the columns ``image`` (RGB), ``image_id``, ``lesion_id``,
        ``dx`` (class label over `dermsim.core.labels.CODES`), ``dx_type``, ``age`` (years), ``sex``
        and ``localization``; the last four are None where the source does not know them. Pictures
        that lay beside a table stay there and are read when asked for. Where a source knows
        patients, ``patient_id`` follows, because splits must keep patients together.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ConnectionError: If a Hub id cannot be reached.
        ValueError: As `load_dataset`.

    Warns:
        UserWarning: As `load_dataset`: what was merged or left out; that a source has no lesion_id,
            so that splits cannot keep the photographs of one lesion together.

    Examples:
        >>> from dermsim import load_ham10000
        >>> rows = load_ham10000("synthetic")
        >>> rows.column_names[:4], rows[0]["image"].size
        (['image', 'image_id', 'lesion_id', 'dx'], (200, 150))
    """
    return open_source(source).load(more=False)
