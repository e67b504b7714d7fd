"""The facts of a gallery's cases, column by column.

A million cases as Python dictionaries take a gigabyte; as Arrow columns, some fifty bytes each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from dermsim.core.labels import parse_dx
from dermsim.core.refused import Refused, RefusedIndexError
from dermsim.core.vocabulary import parse_sex, parse_site
from dermsim.tasks.retrieve.neighbor import Neighbor

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("image_id", "lesion_id", "dx", "dx_type", "age", "sex", "localization")
"""What is known of a case, in HAM10000's own words; dx_type is how its diagnosis was confirmed."""

HASH = "perceptual_hash"
"""Column of what a photograph looks like, by which it is recognised; null where not known."""

HASH_WORDS = 4
"""Words of 64 bits in one."""

REPEATING = ("dx", "dx_type", "sex", "localization")
"""Columns of few different values, of which each is kept once."""

_MEANINGS = {"dx": parse_dx, "sex": parse_sex, "localization": parse_site}
"""What people's words for a fact are here."""

LISTED = 200_000
"""Up to so many cases they are kept as Python tuples too: reading single cells out of Arrow takes
longer than searching the neighbours they belong to."""


class CaseTable(Sequence[dict[str, object]]):
    """Facts of N cases, read like a sequence of dictionaries with the keys of `COLUMNS`.

    Make one with `build` or `check`; both refuse what a gallery cannot hold.

    Attributes:
        table: The Arrow columns: `COLUMNS`, then `HASH`.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @classmethod
    def build(
        cls,
        records: Sequence[Mapping[str, object]],
        *,
        hashes: npt.NDArray[np.uint64] | None = None,
        repeats: bool = False,
    ) -> CaseTable:
        """Make a table of one mapping per case.

        Args:
            records: ``image_id`` and ``dx`` are required; the other `COLUMNS` may be missing or
                None when not known.
            hashes: ``(N, HASH_WORDS)`` perceptual hashes of their photographs; None when not known.
            repeats: Whether an image_id may come twice; a gallery has none such.

        Raises:
            ValueError: If a record has an unknown column, lacks a required one or holds a value of
                the wrong type, or an image_id repeats.
        """
        import pyarrow as pa

        unknown = {column for record in records for column in record} - set(COLUMNS)
        if unknown:
            raise Refused("case_table.unknown_columns", unknown=sorted(unknown))
        try:
            table = pa.Table.from_pylist([dict(record) for record in records], schema=_schema())
        except (pa.ArrowException, TypeError) as error:
            raise Refused("case_table.type", error=error) from error
        if hashes is not None:
            if hashes.shape != (len(records), HASH_WORDS):
                raise Refused("case_table.hashes", count=len(records), shape=hashes.shape)
            packed = pa.array([row.tobytes() for row in hashes.astype("<u8")], _hash_type())
            table = table.set_column(len(COLUMNS), HASH, packed)
        return cls.check(table, repeats=repeats)

    @classmethod
    def check(cls, table: pa.Table, *, repeats: bool = False) -> CaseTable:
        """Take the columns of a file if they are a gallery's.

        Args:
            table: The columns; `HASH` may be missing.
            repeats: Whether an image_id may come twice.

        Raises:
            ValueError: As `build`.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if HASH not in table.column_names:
            table = table.append_column(HASH, pa.nulls(len(table), _hash_type()))
        try:
            table = table.cast(_schema())
        except (pa.ArrowException, ValueError) as error:
            raise Refused("case_table.type", error=error) from error
        for column in ("image_id", "dx"):
            if table[column].null_count or pc.any(pc.equal(table[column], "")).as_py():
                raise Refused("case_table.no_id", column=column)
        if pc.any(pc.invert(pc.is_finite(table["age"]))).as_py():
            raise Refused("case_table.age")
        if not repeats:
            _refuse_repeats(table["image_id"])
        for column in REPEATING:
            place = COLUMNS.index(column)
            table = table.set_column(place, column, table[column].dictionary_encode())
        return cls(table.unify_dictionaries())

    @classmethod
    def join(cls, tables: Sequence[CaseTable], *, repeats: bool = False) -> CaseTable:
        """Put tables one after the other.

        Args:
            tables: At least one.
            repeats: Whether an image_id may come twice.

        Raises:
            ValueError: If one does and may not.
        """
        import pyarrow as pa

        # in one chunk, since Arrow takes rows out of many by copying the whole column first
        joined = pa.concat_tables([t.table for t in tables]).unify_dictionaries().combine_chunks()
        if not repeats:
            _refuse_repeats(joined["image_id"])
        return cls(joined)

    def repeated(self) -> npt.NDArray[np.bool_]:
        """Mark the rows ``(N,)`` whose image_id an earlier row has, with the same facts.

        Raises:
            ValueError: If the facts differ.
        """
        import pyarrow.compute as pc

        counted = pc.value_counts(self.table["image_id"].combine_chunks())
        several = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
        mask = np.zeros(len(self), dtype=np.bool_)
        for rows in self.rows_of("image_id", [{name} for name in several.to_pylist()]):
            first = self[int(rows[0])]
            if any(self[int(row)] != first for row in rows[1:]):
                raise Refused("case_table.different_facts", name=first["image_id"])
            mask[rows[1:]] = True
        return mask

    def __len__(self) -> int:
        """Return the number of cases."""
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, row: int) -> dict[str, object]: ...
    @overload
    def __getitem__(self, row: slice) -> CaseTable: ...
    def __getitem__(self, row: int | slice) -> dict[str, object] | CaseTable:
        """Return one case, or the table of several that follow each other."""
        if isinstance(row, slice):
            start, stop, step = row.indices(len(self))
            if step != 1:
                return self.take(np.arange(start, stop, step))
            return CaseTable(self.table.slice(start, max(stop - start, 0)))
        place = row + len(self) if row < 0 else row
        if not 0 <= place < len(self):
            raise RefusedIndexError("case_table.no_row", row=row, total=len(self))
        return self.table.slice(place, 1).select(COLUMNS).to_pylist()[0]

    def __iter__(self) -> Iterator[dict[str, object]]:
        """Yield the cases in order, a few thousand in memory at a time."""
        for batch in self.table.select(COLUMNS).to_batches(max_chunksize=8192):
            yield from batch.to_pylist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CaseTable) and bool(self.plain.equals(other.plain))

    __hash__ = None  # type: ignore[assignment]

    @property
    def plain(self) -> pa.Table:
        """The columns as they are written: no dictionaries, one chunk."""
        return self.table.cast(_schema()).combine_chunks()

    def take(self, rows: npt.NDArray[np.int64]) -> CaseTable:
        """Return the cases of these rows ``(n,)``, in this order."""
        return CaseTable(self.table.take(rows))

    def values(self, column: str) -> list[Any]:
        """Return a column as Python values, None where not known.

        Raises:
            ValueError: If there is no such column.
        """
        return self._column(column).to_pylist()

    @cached_property
    def hashes(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """The perceptual hashes ``(n, HASH_WORDS)`` that are known, and their rows ``(n,)``."""
        column = self.table[HASH]
        rows = np.flatnonzero(column.combine_chunks().is_valid().to_numpy(zero_copy_only=False))
        packed = b"".join(column.drop_null().to_pylist())
        return np.frombuffer(packed, "<u8").astype(np.uint64).reshape(-1, HASH_WORDS), rows

    def codes(self, column: str) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """Number the values of one of the `REPEATING` columns.

        Returns:
            The different values that a case has, and for each case ``(N,)`` the place of its own
            among them; -1 where it is not known.
        """
        encoded = self._column(column).combine_chunks()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        names = encoded.dictionary.to_pylist()
        # Arrow's dictionary keeps the values of cases that were removed
        used = np.bincount(codes[codes >= 0], minlength=len(names)) > 0
        places = np.append(np.cumsum(used) - 1, -1)  # -1 finds the last
        return tuple(name for name, some in zip(names, used, strict=True) if some), places[codes]

    def matching(self, where: Mapping[str, object] | None) -> npt.NDArray[np.int64] | None:
        """Return the rows whose facts match, in order; None, for all, when nothing is asked.

        Args:
            where: As for `Gallery.search`.

        Raises:
            ValueError: If a column is unknown, or a value cannot be one of its column; if no case
                at all has it, whatever else is asked for, which names the values that there are.
        """
        if not where:
            return None
        masks = [self._matches(column, wanted) for column, wanted in where.items()]
        return np.flatnonzero(np.logical_and.reduce(masks))

    def _matches(self, column: str, wanted: object) -> npt.NDArray[np.bool_]:
        import pyarrow as pa
        import pyarrow.compute as pc

        stored = self._column(column)
        if isinstance(wanted, tuple):
            low, high = _check_range(column, wanted)
            mask = pc.and_(pc.greater_equal(stored, low), pc.less_equal(stored, high))
        else:
            values = list(wanted) if isinstance(wanted, list | set | frozenset) else [wanted]
            if column in REPEATING:
                values = [self._value(column, v) if isinstance(v, str) else v for v in values]
            kind = pa.float32() if column == "age" else pa.string()
            try:
                choices = pa.array(values, kind)
            except (pa.ArrowException, TypeError) as error:
                raise Refused(
                    "case_table.cannot_be", column=column, wanted=wanted, error=error
                ) from error
            mask = pc.is_in(stored.cast(kind), value_set=choices)
        return np.asarray(mask.combine_chunks().fill_null(False).to_numpy(zero_copy_only=False))

    def _value(self, column: str, asked: str) -> str:
        """Return the value that is asked for as the cases have it, or name those that there are."""
        there = self.codes(column)[0]
        if asked in there:
            return asked
        try:
            meant = _MEANINGS[column](asked) if column in _MEANINGS else asked
        except ValueError:
            meant = asked
        if meant not in there:
            key = "case_table.no_value" if there else "case_table.none_known"
            raise Refused(key, column=column, asked=asked, known=sorted(there))
        return meant

    def rows_of(
        self, column: str, wanted: Sequence[Collection[str]]
    ) -> list[npt.NDArray[np.int64]]:
        """Find, for each collection of ids, the rows that bear one of them.

        Args:
            column: ``"lesion_id"`` or ``"image_id"``.
            wanted: Collections of ids; one that no case bears finds nothing.

        Returns:
            For each collection its rows ``(n,)`` int64, ascending.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        names = sorted({name for ids in wanted for name in ids})
        if not names:
            return [np.zeros(0, np.int64) for _ in wanted]
        # one pass over the column, however many queries ask
        found = pc.index_in(self._column(column), value_set=pa.array(names, pa.string()))
        place = found.combine_chunks().fill_null(-1).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(place >= 0)
        rows = rows[np.argsort(place[rows], kind="stable")]
        ends = np.searchsorted(place[rows], np.arange(len(names) + 1))
        parts = {name: rows[ends[i] : ends[i + 1]] for i, name in enumerate(names)}
        return [
            np.sort(np.concatenate([parts[name] for name in set(ids)]))
            if ids
            else np.zeros(0, np.int64)
            for ids in wanted
        ]

    def neighbors(
        self, rows: npt.NDArray[np.int64], similarity: npt.NDArray[np.float64]
    ) -> list[Neighbor]:
        """Describe the cases of `rows` ``(k,)``, of cosine `similarity` ``(k,)`` to a query."""
        if len(self) <= LISTED:
            listed = self._listed
            cases = [listed[row] for row in rows.tolist()]
        else:
            cases = _listed(self.table.take(rows))
        found = []
        for likeness, case in zip(similarity.tolist(), cases, strict=True):
            image, lesion, dx, confirmed, age, sex, site = case
            facts = {"dx_type": confirmed, "age": age, "sex": sex, "localization": site}
            found.append(Neighbor(image, lesion, dx, min(max(likeness, -1.0), 1.0), facts))
        return found

    @cached_property
    def _listed(self) -> list[tuple[Any, ...]]:
        return _listed(self.table)

    def _column(self, column: str) -> pa.ChunkedArray:
        if column not in COLUMNS:
            raise Refused("case_table.no_fact", column=column, columns=list(COLUMNS))
        return self.table[column]


def _listed(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(table[column].to_pylist() for column in COLUMNS), strict=True))


def _refuse_repeats(image_ids: pa.ChunkedArray) -> None:
    """Refuse cases of which two have the same image_id, naming the first that comes again."""
    import pyarrow.compute as pc

    if pc.count_distinct(image_ids).as_py() == len(image_ids):
        return
    seen: set[str] = set()
    for name in image_ids.to_pylist():
        if name in seen:
            raise Refused("case_table.repeats", name=name)
        seen.add(name)


def _hash_type() -> pa.DataType:
    import pyarrow as pa

    return pa.binary(8 * HASH_WORDS)


def _schema() -> pa.Schema:
    import pyarrow as pa

    facts = [(c, pa.float32() if c == "age" else pa.string()) for c in COLUMNS]
    return pa.schema([*facts, (HASH, _hash_type())])


def _check_range(column: str, wanted: tuple[object, ...]) -> tuple[float, float]:
    numbers = [v for v in wanted if isinstance(v, int | float) and not isinstance(v, bool)]
    if column != "age" or len(wanted) != 2 or len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise Refused("case_table.not_a_range", column=column, wanted=wanted)
    return float(numbers[0]), float(numbers[1])
