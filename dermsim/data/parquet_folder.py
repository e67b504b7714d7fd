"""Reads Parquet files of photographs and facts, as the Hub serves them: every one of them.

🤗 datasets finds out splits from words in file names, and leaves out the files without such a word.
Files are therefore named to it one by one, and the rows are counted against the files' own footers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.labels import fold
from dermsim.core.lfs import refuse_lfs_pointer
from dermsim.core.refused import Refused
from dermsim.data.folders import walk_files
from dermsim.data.matching import picture_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

SUFFIX = ".parquet"


@dataclass(frozen=True)
class ParquetFiles:
    """Parquet files with a column of photographs.

    Attributes:
        folder: Where they lie.
        files: In order.
        rows: How many rows they have together, as their footers say.
    """

    folder: Path
    files: tuple[Path, ...]
    rows: int

    def facts(self) -> list[dict[str, Any]]:
        """Return all columns of text and numbers, a dictionary per row; class labels as words.

        Where no column says what a picture is called, it goes by its file's name, else by its row.
        """
        import pyarrow.parquet as pq

        found: list[dict[str, Any]] = []
        paths: list[str | None] = []
        for path in self.files:
            with pq.ParquetFile(path) as file:
                schema, names = file.schema_arrow, class_names(file)
                rows = file.read(columns=[f.name for f in schema if _is_fact(f)]).to_pylist()
                paths += _paths(file, len(rows))
            for column, words in names.items():
                for row in rows:
                    row[column] = name_of(row[column], words)
            found += rows
        return name_rows(found, paths)

    def photographs(self) -> Dataset:
        """Return the column ``image`` alone, memory-mapped, a row for each of `facts`.

        Raises:
            ValueError: If the files cannot be read, or rows are missing.
        """
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError

        files = {"train": [str(path) for path in self.files]}
        try:
            rows = load_dataset("parquet", data_files=files, split="train", columns=["image"])
        except (OSError, ValueError, DatasetsError) as error:
            raise _unreadable(self.folder, error) from error
        if len(rows) != self.rows:
            raise Refused(
                "parquet_folder.stale_cache",
                folder=self.folder,
                rows=self.rows,
                files_count=len(self.files),
                rows_count=len(rows),
            )
        return rows


def find_parquet(folder: Path) -> ParquetFiles | None:
    """Find the Parquet files below a folder that hold photographs.

    Args:
        folder: Searched to any depth, or one file. Files without a column ``image``, such as
            embeddings, maps and galleries, are something else and left alone.

    Returns:
        The files, or None where there are none.

    Raises:
        ValueError: If a file is damaged.
    """
    inside = [folder] if folder.is_file() else walk_files(folder)
    paths = sorted(path for path in inside if path.suffix.lower() == SUFFIX)
    if not paths:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    files, rows = [], 0
    for path in paths:
        try:
            footer = pq.read_metadata(path)
            columns = footer.schema.to_arrow_schema().names
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from error
        if "image" in columns:
            files.append(path)
            rows += footer.num_rows
    return ParquetFiles(folder, tuple(files), rows) if files else None


def class_names(file: pq.ParquetFile) -> dict[str, list[str]]:
    """Return the words of the columns that hold class labels, as 🤗 datasets notes them."""
    noted = (file.schema_arrow.metadata or {}).get(b"huggingface")
    if noted is None:
        return {}
    features = json.loads(noted).get("info", {}).get("features", {})
    return {
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def name_of(label: Any, names: list[str]) -> str | None:
    """Return the word of a class label; a negative one means that there is none."""
    return names[label] if label is not None and label >= 0 else None


def name_rows(rows: list[dict[str, Any]], paths: Sequence[str | None]) -> list[dict[str, Any]]:
    """Give rows without an ``image_id`` one: the file's name, or the row's number.

    Args:
        rows: All rows of a source.
        paths: Of their pictures, as they were before they were packed; None where not known.

    Returns:
        The rows as they are where any of them has an ``image_id``, or something like it.
    """
    columns = {fold(column) for row in rows for column in row}
    if fold("image_id") in columns:
        return rows
    names = [picture_id(path) for path in paths if path]
    if len(set(names)) < len(rows):
        names = [f"row-{number:06d}" for number in range(len(rows))]
    return [{**row, "image_id": name} for row, name in zip(rows, names, strict=True)]


def _is_fact(field: pa.Field) -> bool:
    """Say whether a column is of text, numbers or lists of them, and no picture or mask."""
    import pyarrow.types as types

    kind = field.type
    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _paths(file: pq.ParquetFile, rows: int) -> list[str | None]:
    """Return what pictures were called before they were packed; the pictures are not read."""
    import pyarrow.types as types

    kind = file.schema_arrow.field("image").type
    if not (types.is_struct(kind) and kind.get_field_index("path") >= 0):
        return [None] * rows
    return [
        image and image["path"] for image in file.read(columns=["image.path"])["image"].to_pylist()
    ]


def _unreadable(path: Path, error: Exception) -> ValueError:
    refuse_lfs_pointer(path)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Refused("parquet_folder.unreadable", path=path, reason=reason)
