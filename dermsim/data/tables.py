"""The schema every source is brought to, and the tables of facts beside folders of pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.data.images import list_images

if TYPE_CHECKING:
    from datasets import Dataset, Features

Row = dict[str, str | None]
"""One line of a table: column name to text; ``"image"`` holds the picture's path or None."""

COLUMNS: tuple[str, ...] = (
    "image",
    "image_id",
    "lesion_id",
    "dx",
    "dx_type",
    "age",
    "sex",
    "localization",
)
"""The columns of the schema, in order."""


def schema() -> Features:
    """Return the features of a loaded data set.

    ``image`` decodes to an RGB PIL image, ``dx`` is a class label over the seven codes, ``age`` is
    in years; ``dx_type``, ``age``, ``sex`` and ``localization`` may be None.
    """
    from datasets import ClassLabel, Features, Image, Value

    text = Value("string")
    return Features(
        {
            "image": Image(mode="RGB"),
            "image_id": text,
            "lesion_id": text,
            "dx": ClassLabel(names=list(CODES)),
            "dx_type": text,
            "age": Value("float32"),
            "sex": text,
            "localization": text,
        }
    )


def row_error(row: int, image_id: str | None, reason: str) -> ValueError:
    """Word an error so that the row can be found in the source."""
    return ValueError(f"row {row} (image_id {image_id}): {reason}")


def read_rows(path: Path) -> list[Row]:
    """Read a comma- or tab-separated table with a header line.

    Args:
        path: The file; Dataverse serves the same table with either separator.

    Returns:
        One dictionary per line, empty cells as None.

    Raises:
        ValueError: If the file is not a text table, or a row has too many or too few cells.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            lines = list(csv.reader(file, delimiter="\t" if "\t" in header else ",", strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} is not a comma- or tab-separated table: {error}") from error
    columns = [column.strip() for column in lines[0]] if lines else []
    rows: list[Row] = []
    for line in filter(None, lines[1:]):  # blank lines come out empty
        if len(line) != len(columns):
            raise ValueError(
                f"row {len(rows)} of {path.name} has {len(line)} cells, expected {len(columns)}"
            )
        rows.append({c: cell.strip() or None for c, cell in zip(columns, line, strict=True)})
    return rows


def attach_images(rows: list[Row], folder: Path) -> list[Row]:
    """Give each row the picture whose file name, without its ending, is the row's ``image_id``.

    Args:
        rows: Rows with an ``image_id``.
        folder: Searched to any depth. The archive's ``*_superpixels.png`` and
            ``*_segmentation.png`` bear other names and are never taken.

    Returns:
        New rows with ``image`` set to the path, or to None where there is no such file.

    Raises:
        ValueError: If the folder holds no pictures at all.
    """
    paths: dict[str, str] = {}
    for path in list_images([folder.absolute()]):
        paths.setdefault(path.stem, str(path))
    return [{**row, "image": paths.get(row.get("image_id") or "")} for row in rows]


def to_dataset(rows: list[Row]) -> Dataset:
    """Turn rows into a data set of text columns and an image column that is read when asked for."""
    from datasets import Dataset, Features, Image, Value

    columns = list(dict.fromkeys(column for row in rows for column in row))
    features = Features({c: Image() if c == "image" else Value("string") for c in columns})
    return Dataset.from_dict({c: [row.get(c) for row in rows] for c in columns}, features=features)


def case_records(dataset: Dataset) -> list[dict[str, object]]:
    """Return the facts of every row, as a gallery keeps them: all columns but the image.

    Args:
        dataset: Rows of `schema`.

    Returns:
        One dict per row; ``dx`` is the diagnosis code, what is not known is None.
    """
    columns = {name: list(dataset[name]) for name in COLUMNS if name != "image"}
    columns["dx"] = [CODES[label] for label in columns["dx"]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
