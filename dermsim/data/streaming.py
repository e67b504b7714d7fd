"""Reads a data set like HAM10000 as a stream: for sources too large to hold or even to download.

`load_ham10000` checks every row before the first is used, and can sort and split; a stream is
checked row by row as it passes, keeps the source's order and knows no splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase, Refused, RefusedConnectionError, RefusedFileNotFoundError
from dermsim.data.parquet_folder import find_parquet
from dermsim.data.rows import normalise
from dermsim.data.tables import COLUMNS, row_error

if TYPE_CHECKING:
    from datasets import IterableDataset
    from PIL import Image

Streamed = tuple["Image.Image", dict[str, object]]
"""A picture and its facts, as `case_records` words them."""


def stream_ham10000(
    source: str | Path, *, process: int = 0, processes: int = 1
) -> Iterator[Streamed]:
    """Yield the pictures of a source one at a time, each with its facts.

    Rows are not merged: a source may repeat an image_id.

    Args:
        source: A Hub id, or a local folder of Parquet files in the Hub's layout.
        process: Which share to read, counted from 0.
        processes: Shares in all; each row is in one of them.

    Raises:
        FileNotFoundError: If `source` is a path that does not exist.
        ConnectionError: If a Hub id cannot be reached.
        ValueError: If the source has no rows in this layout, or a row lacks a picture or holds
            facts that cannot be; the message names the row.
    """
    from datasets import Image
    from datasets.distributed import split_dataset_by_node

    row = 0
    for stream in _open(source):
        names = getattr((stream.features or {}).get("dx"), "names", None)
        pictures = stream.cast_column("image", Image(mode="RGB"))
        share = split_dataset_by_node(pictures, rank=process, world_size=processes)
        for example in _reading(share, source):
            yield _checked(row, example, names)
            row += 1
    if row == 0 and process == 0:
        raise Refused("streaming.no_rows", source=source)


def _open(source: str | Path) -> list[IterableDataset]:
    """Open every split of a source, without reading it."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    path = Path(source)
    if not path.is_dir() and (isinstance(source, Path) or path.is_absolute()):
        raise RefusedFileNotFoundError("dataset.no_folder", source=source)
    files = find_parquet(path) if path.is_dir() else None
    if path.is_dir() and files is None:
        raise Refused("streaming.no_parquet", source=source)
    try:
        if files is not None:  # by name, or words in the names would decide which are read
            named = {"train": [str(file) for file in files.files]}
            streams = [load_dataset("parquet", data_files=named, split="train", streaming=True)]
        else:
            streams = list(load_dataset(str(source), streaming=True).values())
    except (OSError, ValueError, DatasetsError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if path.is_dir():
            raise Refused("streaming.unreadable", source=source, reason=reason) from error
        raise RefusedConnectionError(
            "streaming.not_opened", source=source, reason=reason
        ) from error
    for stream in streams:
        if missing := {"image", "image_id", "dx"} - set(stream.column_names or ()):
            raise Refused("streaming.lacks_column", source=source, missing=sorted(missing))
    return streams


def _reading(share: IterableDataset, source: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the rows; one whose picture does not decode ends the stream with a sentence."""
    rows = iter(share)
    while True:
        try:
            row = next(rows, None)
        except OSError as error:  # what PIL raises, among others
            raise Refused("streaming.unreadable_picture", source=source, error=error) from error
        if row is None:
            return
        yield row


def _checked(row: int, example: dict[str, Any], names: list[str] | None) -> Streamed:
    given = {column: example[column] for column in COLUMNS[1:] if column in example}
    dx = given["dx"]
    if isinstance(dx, int):
        if names is None:
            raise row_error(row, given["image_id"], Phrase("streaming.unnamed_classes", dx=dx))
        given["dx"] = names[dx] if dx >= 0 else None
    facts = normalise(row, given)
    if example["image"] is None:
        raise row_error(row, facts["image_id"], Phrase("streaming.no_picture"))
    told = {column: facts[column] for column in COLUMNS[1:]}
    return example["image"], {**told, "dx": CODES[facts["dx"]]}
