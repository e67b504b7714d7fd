"""Photographs of other clinics whose diagnoses an encoder may learn from beside its own source."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, parse_dx
from dermsim.data.ham10000 import assemble, normalise, read_source

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
        UserWarning: How many photographs of other diagnoses are left out, by their words.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If no row has one of the seven diagnoses, or an image_id repeats.
    """
    dataset = read_source(source)
    columns = {name: dataset[name][:] for name in dataset.column_names if name != "image"}
    facts, rows, other = [], [], Counter[str]()
    for row, word in enumerate(columns["dx"]):
        given = {name: values[row] for name, values in columns.items()}
        if not _is_known(word):
            other[str(word)] += 1
            continue
        if given.get("lesion_id") is None:
            given["lesion_id"] = given["image_id"]
        facts.append(normalise(row, given))
        rows.append(row)
    if not rows:
        raise ValueError(f"{source} has no photograph of {', '.join(CODES)}.")
    if other:
        words = ", ".join(f"{word} ({count})" for word, count in other.most_common(5))
        warnings.warn(
            f"{source}: {other.total()} photographs of other diagnoses are left out: {words}",
            stacklevel=2,
        )
    names = [fact["image_id"] for fact in facts]
    if len(set(names)) < len(names):
        raise ValueError(f"{source} names a photograph twice: each image_id must be there once.")
    order = sorted(range(len(rows)), key=names.__getitem__)
    return assemble(dataset.select(rows), facts, order)


def _is_known(word: object) -> bool:
    try:
        parse_dx(str(word))
    except ValueError:
        return False
    return True
