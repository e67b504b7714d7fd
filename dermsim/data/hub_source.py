"""Reads a data set of the Hub through 🤗 datasets, and says which of its files were left out."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from dermsim.core.refused import RefusedConnectionError
from dermsim.data.layouts import HAM10000, Layout
from dermsim.data.parquet_folder import SUFFIX, name_of, name_rows

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder

NAMED = 5
"""Files that a warning names."""


def read_hub(source: str) -> Layout:
    """Read a Hub data set, one split after another.

    Args:
        source: ``name`` or ``owner/name``.

    Raises:
        ConnectionError: If it cannot be reached.

    Warns:
        UserWarning: Which Parquet files of it were not read, because 🤗 datasets finds splits by
            words in their names.
    """
    from datasets import DatasetDict, concatenate_datasets, load_dataset_builder
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HTTPError

    from dermsim.core.downloads import persist

    def fetch() -> tuple[DatasetBuilder, DatasetDict]:
        builder = load_dataset_builder(source)
        builder.download_and_prepare()
        return builder, builder.as_dataset()

    try:
        builder, splits = persist(fetch)
    except (HTTPError, OSError, ValueError, DatasetsError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RefusedConnectionError(
            "hub_source.not_loaded", source=source, reason=reason
        ) from error
    _say_left_out(source, builder)
    rows = concatenate_datasets(list(splits.values()))
    return Layout(_facts(rows), lambda: rows, name=HAM10000)


def _facts(rows: Dataset) -> list[dict[str, Any]]:
    """Return all columns of text and numbers, a dictionary per row; class labels as words."""
    from datasets import ClassLabel, List, Value

    kept = [
        name
        for name, feature in rows.features.items()
        if isinstance(feature, ClassLabel | Value | List) and name != "image"
    ]
    facts = rows.select_columns(kept).to_list() if kept else [{} for _ in range(len(rows))]
    for column in kept:
        if names := getattr(rows.features[column], "names", None):
            for fact in facts:
                fact[column] = name_of(fact[column], names)
    return name_rows(facts, _paths(rows)) if "image" in rows.column_names else facts


def _paths(rows: Dataset) -> list[str | None]:
    """Return what pictures were called before they were packed; the pictures are not read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    images = rows.data.column("image")
    if not pa.types.is_struct(images.type):
        return [None] * len(rows)
    found: list[str | None] = pc.struct_field(images, "path").to_pylist()
    return found


def _say_left_out(source: str, builder: DatasetBuilder) -> None:
    """Compare the files that were read with those of the repository, where it can be asked."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    read = {
        found[1]
        for files in (builder.config.data_files or {}).values()
        for url in files
        if (found := re.search(r"@[^/]+/(.+)$", str(url)))
    }
    if constants.HF_HUB_OFFLINE or not read:
        return  # a copy in the cache was compared when it was fetched
    try:
        files = HfApi().list_repo_files(source, repo_type="dataset")
    except (HfHubHTTPError, OSError) as error:
        warnings.warn(f"the files of {source} could not be listed ({error})", stacklevel=3)
        return
    missing = sorted(file for file in files if file.endswith(SUFFIX) and file not in read)
    if missing:
        more = ", …" if len(missing) > NAMED else ""
        warnings.warn(
            f"{len(missing)} Parquet files of {source} were not read "
            f"({', '.join(missing[:NAMED])}{more}): words in file names decide what 🤗 datasets "
            "takes for a split; download the data set and pass its folder to read all of them",
            stacklevel=3,
        )
