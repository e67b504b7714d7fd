"""Rows of any source as a 🤗 data set: the schema of the house and what sources add to it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, LABEL2ID
from dermsim.data.sources.adapter import OTHER, SourceRow
from dermsim.data.tables import COLUMNS, schema

if TYPE_CHECKING:
    from datasets import Dataset, Features

SOURCE_COLUMNS: tuple[str, ...] = (
    *COLUMNS,
    "patient_id",
    "source",
    "modality",
    "original_label",
    "concepts",
    "caption",
    "licence",
    "split",
)
"""The columns of `dermsim.data.tables.COLUMNS`, and those that a source adds."""

_NAMED = 5


def source_schema() -> Features:
    """Return the features of rows of any source.

    ``dx`` is a class label over the seven codes and `OTHER`, None where no diagnosis is given;
    ``lesion_id`` is None where it is not known; ``concepts`` are pairs of a concept and its state.
    """
    from datasets import ClassLabel, Features, List, Value

    text = Value("string")
    added = {name: text for name in SOURCE_COLUMNS[len(COLUMNS) :] if name != "concepts"}
    features = {**schema(), "dx": ClassLabel(names=[*CODES, OTHER]), **added}
    features["concepts"] = List({"concept": text, "state": text})
    return Features({name: features[name] for name in SOURCE_COLUMNS})


def to_dataset(rows: Sequence[SourceRow]) -> Dataset:
    """Turn rows into a data set; pictures on disk stay there and are read when asked for.

    Args:
        rows: Of one source or of several.

    Returns:
        Rows of `source_schema`, in their order.

    Raises:
        ValueError: If pictures are missing; the message counts them and names the first.
    """
    from datasets import Dataset

    check_pictures(rows)
    columns = {name: [_cell(row, name) for row in rows] for name in SOURCE_COLUMNS}
    return Dataset.from_dict(columns, features=source_schema())


def check_pictures(rows: Sequence[SourceRow]) -> None:
    """Refuse rows whose picture is not there.

    Raises:
        ValueError: The message counts them and names the first five.
    """
    missing = [row.image_id for row in rows if row.image is None]
    if missing:
        names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise ValueError(
            f"{len(missing):,} of {len(rows):,} rows of {rows[0].source} have no picture file "
            f"({names}): unpack all of its archives below the folder, or take these rows out of "
            "the table"
        )


def for_the_seven(rows: Dataset) -> Dataset:
    """Keep what can train or examine the seven-class head, in the schema of `load_ham10000`.

    Pictures of `OTHER` diagnoses and of none are left out: they serve detector and retrieval.

    Args:
        rows: Of `source_schema`.

    Returns:
        The rows of the seven diagnoses, every column kept, ``dx`` over `CODES` alone.

    Raises:
        ValueError: If nothing is left.

    Warns:
        UserWarning: How many are left out; that clinical photographs are among those kept.
    """
    from datasets import ClassLabel

    dx = list(rows["dx"])
    kept = [row for row, label in enumerate(dx) if label is not None and label < len(CODES)]
    if not kept:
        raise ValueError("no picture has one of the seven diagnoses")
    if len(kept) < len(dx):
        warnings.warn(
            f"{len(dx) - len(kept):,} of {len(dx):,} pictures have another diagnosis than the "
            "seven, or none, and are left out",
            stacklevel=2,
        )
    chosen = rows.select(kept)
    warn_clinical(chosen)
    return chosen.cast_column("dx", ClassLabel(names=list(CODES)))


def warn_clinical(rows: Dataset) -> None:
    """Warn when clinical photographs go to an encoder of dermatoscopy.

    Args:
        rows: Of `source_schema`; rows without a column ``modality`` are taken for dermoscopy.

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


def _cell(row: SourceRow, name: str) -> object:
    value = getattr(row, name)
    if name == "image" and isinstance(value, bytes):
        return {"bytes": value, "path": None}
    if name == "dx" and value is not None:
        return len(CODES) if value == OTHER else LABEL2ID[value]
    if name == "concepts":
        return [{"concept": concept, "state": state} for concept, state in value.items()]
    return value
