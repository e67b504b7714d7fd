"""Loads HAM10000, or a data set like it, from wherever it lies, as one checked schema.

Tschandl, Rosendahl and Kittler, "The HAM10000 dataset" (2018), https://doi.org/10.1038/sdata.2018.161
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.labels import LABEL2ID, parse_dx
from dermsim.data.isic import find_ground_truth, read_challenge
from dermsim.data.pixels import map_images
from dermsim.data.tables import (
    COLUMNS,
    Row,
    attach_images,
    read_rows,
    row_error,
    schema,
    to_dataset,
)

if TYPE_CHECKING:
    from datasets import Dataset

Facts = dict[str, Any]
"""What is known of one image: every column of the schema but the image itself."""

_NO_AGE = {"nan", "na", "n/a", "none", "unknown"}
_LAYOUTS = (
    "a folder of Parquet files, HAM10000_metadata.csv beside the images, an imagefolder with "
    "metadata.csv, or an ISIC 2018 Task 3 or ISIC 2017 Part 3 folder"
)


def load_ham10000(source: str | Path = "marmal88/skin_cancer") -> Dataset:
    """Load a source, check every row and every image, and bring it to one schema.

    The source's own splits are ignored (the Hub copy repeats images across them); use
    `dermsim.data.splits.grouped_splits`. Rows that repeat an image_id with the same facts are
    merged.

    Args:
        source: One of

            - a Hub id;
            - a local folder of Parquet files in the Hub's layout;
            - the raw Dataverse or Kaggle folder: ``HAM10000_metadata.csv`` (or without the ending)
              and the pictures in any folders below;
            - an ``imagefolder``: pictures and a ``metadata.csv`` with a ``file_name`` column;
            - an ISIC 2018 Task 3 or ISIC 2017 Part 3 folder, or its ground-truth table;
            - ``"synthetic"``: drawn pictures, see `dermsim.data.synthetic`.

    Returns:
        Rows sorted by image_id with the columns ``image`` (RGB), ``image_id``, ``lesion_id``,
        ``dx`` (class label over `dermsim.core.labels.CODES`), ``dx_type``, ``age`` (years), ``sex``
        and ``localization``; the last four are None where the source does not know them. Pictures
        that lay beside a table stay there and are read when asked for.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ConnectionError: If a Hub id cannot be reached.
        ValueError: If the layout is not recognised, or a row has no readable image, no known dx, no
            lesion_id, or contradicts another row of the same image; the message names the row.

    Warns:
        UserWarning: How many repeated rows were merged; that a source has no lesion_id, so that
            splits cannot keep the photographs of one lesion together.
    """
    if str(source) == "synthetic":
        from dermsim.data.synthetic import synthetic_ham10000

        return synthetic_ham10000()

    dataset = read_source(source)
    _check_columns(source, dataset)
    if "lesion_id" not in dataset.column_names:
        warnings.warn(
            f"{source} has no lesion_id, so each image counts as a lesion of its own and splits "
            "cannot keep photographs of one lesion together",
            stacklevel=2,
        )
    facts = _read_facts(dataset)
    rows = _distinct_rows(facts)
    if len(rows) < len(facts):
        warnings.warn(
            f"{source}: {len(facts) - len(rows)} of {len(facts)} rows repeat an image_id with the "
            f"same facts and were merged; {len(rows)} images remain",
            stacklevel=2,
        )
    checked = assemble(dataset, facts, rows)
    # 1/8 of the size is enough to find what does not decode.
    for _ in map_images(checked, lambda _: None, at_least=(1, 1), row_numbers=rows):
        pass
    return checked


def read_source(source: str | Path) -> Dataset:
    """Recognise the layout and read it, facts still in the source's own words."""
    path = Path(source)
    if path.is_file():
        if (ground_truth := find_ground_truth(path)) is None:
            raise ValueError(f"{source} is a file: pass {_LAYOUTS}")
        # Unpacked as downloaded, the table lies in a folder of its own beside the pictures' folder.
        nested = path.parent.name == path.stem
        return to_dataset(
            read_challenge(ground_truth, path.parent.parent if nested else path.parent)
        )
    if not path.is_dir():
        # What cannot be a Hub id ("name" or "owner/name") was meant as a path.
        if isinstance(source, Path) or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source):
            raise FileNotFoundError(f"no folder at {source}: check the path")
        return _load_with_datasets(source)
    # A copy of the Hub repository may hold a metadata table beside its Parquet files.
    if any(path.rglob("*.parquet")):
        return _load_with_datasets(source)
    if tables := sorted(path.glob("HAM10000_metadata*")):
        return to_dataset(attach_images(read_rows(tables[0]), path))
    if ground_truth := find_ground_truth(path):
        return to_dataset(read_challenge(ground_truth, path))
    if tables := sorted(path.rglob("metadata.csv")):
        return to_dataset([row for table in tables for row in _imagefolder_rows(table)])
    raise ValueError(f"{source} holds no known layout: expected {_LAYOUTS}")


def _load_with_datasets(source: str | Path) -> Dataset:
    """Read a Hub id or a local copy of it through 🤗 datasets, one split after another."""
    from datasets import concatenate_datasets, load_dataset
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HTTPError

    from dermsim.core.downloads import persist

    try:
        splits = persist(lambda: load_dataset(str(source)))
    except (HTTPError, OSError, ValueError, DatasetsError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if Path(source).is_dir():
            raise ValueError(f"{source} cannot be read as Parquet: {reason}") from error
        raise ConnectionError(
            f"{source!r} is no folder here and could not be loaded from the Hugging Face Hub "
            f"({reason}): check the name and the network, or pass a local folder"
        ) from error
    return concatenate_datasets(list(splits.values()))


def _check_columns(source: str | Path, dataset: Dataset) -> None:
    """Refuse a source without rows or without the columns that nothing can stand in for."""
    if not len(dataset):
        raise ValueError(f"{source} has no rows: expected {_LAYOUTS}")
    if missing := {"image", "image_id", "dx"} - set(dataset.column_names):
        raise ValueError(
            f"{source} lacks the column {' and '.join(sorted(missing))}, it has "
            f"{', '.join(dataset.column_names)}: expected {_LAYOUTS}"
        )


def _imagefolder_rows(table: Path) -> list[Row]:
    """Read a ``metadata.csv`` whose ``file_name`` is relative to itself.

    🤗 datasets' own imagefolder silently drops rows whose picture is missing.
    """
    rows = read_rows(table)
    if rows and "file_name" not in rows[0]:
        raise ValueError(
            f"{table} has no file_name column: an imagefolder's metadata.csv needs one"
        )
    folder = table.parent.absolute()
    read: list[Row] = []
    for row in rows:
        facts = {column: value for column, value in row.items() if column != "file_name"}
        path = folder / (row["file_name"] or "")
        read.append({**facts, "image": str(path) if path.is_file() else None})
    return read


def _read_facts(dataset: Dataset) -> list[Facts]:
    """Normalise the facts of every row; a value that cannot be is an error naming the row."""
    known = [column for column in COLUMNS[1:] if column in dataset.column_names]
    columns = dataset.select_columns(known)[:]
    names = getattr(dataset.features["dx"], "names", None)
    if names is not None:  # a class label: negative means missing
        columns["dx"] = [names[label] if (label or 0) >= 0 else None for label in columns["dx"]]
    lines = zip(*(columns[column] for column in known), strict=True)
    return [normalise(row, dict(zip(known, line, strict=True))) for row, line in enumerate(lines)]


def normalise(row: int, given: dict[str, Any]) -> Facts:
    """Bring one row to the schema's values.

    Args:
        row: Its number in the source, for errors.
        given: What the source says, by column; ``dx`` in words.

    Returns:
        Every column but the image; ``dx`` is an index into `CODES`.

    Raises:
        ValueError: If image_id, lesion_id or dx is missing, or dx or age cannot be.
    """
    text = {column: _text(value) for column, value in given.items()}
    image_id = text["image_id"]
    for column in ("image_id", "lesion_id", "dx"):
        if column in text and text[column] is None:
            raise row_error(row, image_id, f"{column} is missing")
    try:
        dx = LABEL2ID[parse_dx(str(text["dx"]))]
        age = _age(text.get("age"))
    except ValueError as error:
        raise row_error(row, image_id, str(error)) from error
    return {
        "image_id": image_id,
        "lesion_id": text.get("lesion_id", image_id),
        "dx": dx,
        "dx_type": text.get("dx_type"),
        "age": age,
        "sex": text.get("sex"),
        "localization": text.get("localization"),
    }


def _text(value: object) -> str | None:
    """Return stripped text, or None for every way in which sources write nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def _age(text: str | None) -> float | None:
    if text is None or text.lower() in _NO_AGE:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"age must be a number of years, got {text!r}") from None


def _distinct_rows(facts: list[Facts]) -> list[int]:
    """Return the first row of each image, sorted by image_id; refuse rows that contradict it."""
    first: dict[str, int] = {}
    for row, fact in enumerate(facts):
        other = first.setdefault(fact["image_id"], row)
        if differing := [column for column in fact if fact[column] != facts[other][column]]:
            raise row_error(
                row,
                fact["image_id"],
                f"{' and '.join(differing)} contradicts row {other} of the same image: remove one",
            )
    return [first[image_id] for image_id in sorted(first)]


def assemble(dataset: Dataset, facts: list[Facts], rows: list[int]) -> Dataset:
    """Put the images beside the normalised facts and keep the given rows.

    Images stay where they are, on disk or memory-mapped, however many gigabytes they take.
    """
    from datasets import Dataset, Features, concatenate_datasets

    features = schema()
    images = dataset.select_columns(["image"]).cast_column("image", features["image"])
    table = Dataset.from_dict(
        {column: [fact[column] for fact in facts] for column in COLUMNS[1:]},
        features=Features({column: features[column] for column in COLUMNS[1:]}),
    )
    return concatenate_datasets([images, table], axis=1).select(rows)
