"""Writes a data set as Parquet with its pictures inside, in files of a bounded size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

ROWS = 100
"""Rows of a row group: what is read to show one picture."""

SHARD = 400 * 2**20
"""Bytes after which another file is begun."""


def write_parquet(dataset: Dataset, folder: Path, *, split: str, shard: int = SHARD) -> int:
    """Write one split, pictures as the very bytes of their files.

    Args:
        dataset: Rows with any columns that 🤗 datasets knows.
        folder: Where to; it is made.
        split: Its name, which the files begin with.
        shard: Bytes after which another file is begun.

    Returns:
        Bytes written.
    """
    import pyarrow.parquet as pq
    from datasets.table import embed_table_storage

    folder.mkdir(parents=True, exist_ok=True)
    target = dataset.features.arrow_schema
    paths: list[Path] = []
    writer: Any = None
    try:
        for batch in dataset.with_format("arrow").iter(batch_size=ROWS):
            # pictures that lie beside a table are read only here
            table = embed_table_storage(batch.cast(target)).cast(target)
            if writer is None:
                paths.append(folder / f"{split}-{len(paths):05d}.parquet")
                writer = pq.ParquetWriter(paths[-1], target)
            writer.write_table(table)
            if paths[-1].stat().st_size >= shard:
                writer.close()
                writer = None
    finally:
        if writer is not None:
            writer.close()
    for number, path in enumerate(paths):
        path.rename(folder / f"{split}-{number:05d}-of-{len(paths):05d}.parquet")
    return sum(path.stat().st_size for path in folder.glob(f"{split}-*.parquet"))
