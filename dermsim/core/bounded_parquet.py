"""Parquet of strangers: how much a file unpacks to is looked at before and while it is read.

A column that says the same forty million times takes a few bytes in a file and gigabytes in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.refused import Refused

if TYPE_CHECKING:
    import pyarrow as pa

ALLOWED, TIMES = 256 * 2**20, 32
"""A file may unpack to so many bytes, and to so many times its own size more."""

WIDEST = 8
"""Bytes of the widest number in a table."""

LONGEST = 4096
"""Bytes that one cell of text may have."""

BATCH = 4096
"""Rows that are unpacked at a time."""


def read_bounded(
    source: Path,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    needed: Sequence[str] | None = None,
    rows: int | None = None,
) -> pa.Table:
    """Read a Parquet file, unless it unpacks to more than one of its size has reason to.

    Args:
        source: The file.
        columns: Columns it must have, in this order, and none else but `optional`; None for
            whatever it has.
        optional: Further columns it may have after them, in this order.
        needed: Read these columns alone, whatever else it has; in place of `columns`.
        rows: How many rows it must have, or None for any number.

    Raises:
        ValueError: If it is damaged, has other columns or another number of rows, unpacks to too
            much, or has a cell with too long a text.
    """
    import pyarrow as pa

    try:
        file = _open(source)
        names = file.schema_arrow.names
        if columns is not None:
            besides = [name for name in optional if name in names]
            if names != [*columns, *besides]:
                raise Refused(
                    "bounded_parquet.columns", name=source.name, names=names, columns=list(columns)
                )
        if missing := [name for name in needed or () if name not in names]:
            raise Refused("bounded_parquet.lacks_columns", name=source.name, missing=missing)
        check_rows(source, file.metadata, rows=rows)
        return _unpack(source, file, needed)
    except (pa.ArrowException, OSError) as error:
        raise Refused("bounded_parquet.damaged", name=source.name, error=error) from error


def check_rows(source: Path, metadata: Any, *, rows: int | None = None) -> None:
    """Refuse a file by what its own footer says, before anything else of it is read.

    Args:
        source: The file.
        metadata: Its footer, as pyarrow reads it.
        rows: How many rows it must have, or None for any number.

    Raises:
        ValueError: If it has another number of rows, or unpacks to too much.
    """
    if rows is not None and metadata.num_rows != rows:
        raise Refused(
            "bounded_parquet.rows", name=source.name, num_rows=metadata.num_rows, rows=rows
        )
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    cells = sum(
        group.column(place).num_values for group in groups for place in range(group.num_columns)
    )
    unpacked = sum(group.total_byte_size for group in groups)
    _check_size(source, max(unpacked, cells * WIDEST, metadata.num_rows))


def _check_size(source: Path, unpacked: int) -> None:
    size = source.stat().st_size
    if unpacked > ALLOWED + TIMES * size:
        raise Refused(
            "bounded_parquet.too_large", name=source.name, size=size, unpacked=unpacked - 1
        )


def _open(source: Path) -> Any:
    """Open a file so that repeated text stays packed in memory, too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(source)
    texts = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    return pq.ParquetFile(source, read_dictionary=texts)


def _unpack(source: Path, file: Any, columns: Sequence[str] | None) -> pa.Table:
    """Read batch after batch, and stop where the sum of what they unpack to is too much."""
    import pyarrow as pa

    batches, total = [], 0
    for batch in file.iter_batches(batch_size=BATCH, columns=columns):
        total += sum(_unpacked_size(source, column) for column in batch.columns)
        _check_size(source, total)
        batches.append(batch)
    schema = file.schema_arrow
    empty = schema.empty_table().select(columns or schema.names)
    packed = pa.Table.from_batches(batches) if batches else empty
    packed = packed.replace_schema_metadata(schema.metadata)
    plain = [
        pa.field(field.name, field.type.value_type, field.nullable)
        if pa.types.is_dictionary(field.type)
        else field
        for field in packed.schema
    ]
    return packed.cast(pa.schema(plain, metadata=packed.schema.metadata))


def _unpacked_size(source: Path, column: pa.Array) -> int:
    """Count the bytes of a column as plain text or numbers, without making it so."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary)
    if (longest := pc.max(lengths).as_py() or 0) > LONGEST:
        raise Refused("bounded_parquet.long_text", name=source.name, longest=longest)
    letters = pc.sum(pc.take(lengths, column.indices)).as_py() or 0
    return int(letters) + int(column.indices.nbytes)
