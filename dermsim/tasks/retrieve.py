"""Similar past cases: nearest neighbours of an embedding in the gallery of training cases.

FAISS finds a shortlist, NumPy decides. A flat FAISS index is several times faster than NumPy, but
its float32 sums depend on how many queries come at once. So the shortlisted cases are compared
again in float64 and ordered by similarity, then by row: the answer is `exact_search`'s, and one
query alone gets what it gets in a batch.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.storage import atomic_path, load_arrays, load_json, load_table, save_arrays, save_json
from dermsim.vectors import check_embeddings, l2_normalize

if TYPE_CHECKING:
    import faiss
    import pyarrow as pa

COLUMNS = ("image_id", "lesion_id", "dx", "dx_type", "age", "sex", "localization")
"""What is known of a case, in HAM10000's own words; dx_type is how its diagnosis was confirmed."""

EMBEDDINGS, RECORDS, HEADER = "embeddings.safetensors", "records.parquet", "gallery.json"

SPARE = 16
"""Cases shortlisted beyond those asked for, so that a float32 near-tie seldom needs a full scan."""

FLOAT32_ERROR = 1e-5
"""More than a float32 inner product of two unit vectors of a few thousand dimensions can be off."""


@dataclass(frozen=True)
class Neighbor:
    """A past case and how alike it is.

    Attributes:
        image_id: HAM10000's id of the photograph.
        lesion_id: Its lesion, or None when not known.
        dx: Its diagnosis code.
        similarity: Cosine similarity to the query, in [-1, 1].
        facts: What else is known: dx_type (how it was confirmed), age, sex, localization.
    """

    image_id: str
    lesion_id: str | None
    dx: str
    similarity: float
    facts: dict[str, object]

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return asdict(self)


def exact_search(
    queries: npt.ArrayLike,
    embeddings: npt.ArrayLike,
    k: int,
    *,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Exact nearest neighbours in NumPy: the definition that every faster way must meet.

    Args:
        queries: ``(N, D)``, rows of length 1.
        embeddings: ``(M, D)``, rows of length 1.
        k: Neighbours per query.
        allowed: ``(M,)`` bool, the rows that may be found; None for all.

    Returns:
        Similarities ``(N, K)`` float64 and rows ``(N, K)`` int64, most similar first, the lower
        row first among equals; K is k, or fewer when fewer rows are allowed.
    """
    wanted = check_embeddings(queries, name="queries")
    stored = check_embeddings(embeddings, dim=wanted.shape[1])
    rows = np.arange(len(stored)) if allowed is None else np.flatnonzero(allowed)
    best = [_rank(query, stored, rows, k) for query in wanted]
    shape = (len(wanted), min(k, len(rows)))
    similarity = np.array([values for values, _ in best], dtype=np.float64).reshape(shape)
    return similarity, np.array([found for _, found in best], dtype=np.int64).reshape(shape)


def _rank(
    query: npt.NDArray[np.float32],
    embeddings: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    k: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Order `rows` by similarity to one query, then by number, and keep the first k."""
    # a sum along the last axis adds each row's products in the same order whatever the other rows
    # are; a matrix product does not
    products = embeddings[rows].astype(np.float64) * query.astype(np.float64)
    similarity = products.sum(axis=1)
    order = np.lexsort((rows, -similarity))[:k]
    return similarity[order], rows[order]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Embeddings of past cases with their facts.

    Make one with `build` or `load`; both check what they are given.

    Attributes:
        embeddings: ``(M, D)`` float32, rows of length 1.
        records: One dict per row with exactly the keys of `COLUMNS`.
        fingerprint: Names the encoder that made the embeddings.
    """

    embeddings: npt.NDArray[np.float32]
    records: tuple[dict[str, object], ...]
    fingerprint: str

    @classmethod
    def build(
        cls,
        embeddings: npt.ArrayLike,
        records: Sequence[Mapping[str, object]],
        *,
        fingerprint: str,
    ) -> Gallery:
        """Make a gallery.

        Args:
            embeddings: ``(M, D)``; rows are L2-normalised.
            records: One mapping per row. ``image_id`` and ``dx`` are required; the other
                `COLUMNS` may be missing or None when not known.
            fingerprint: Names the encoder that made the embeddings.

        Raises:
            ValueError: If rows do not match, an embedding is zero or holds NaN, an image_id
                repeats, or a record has an unknown column or a value of the wrong type.
        """
        unit = l2_normalize(embeddings)
        if len(unit) == 0:
            raise ValueError("a gallery needs at least one case, got none.")
        if len(records) != len(unit):
            raise ValueError(f"{len(unit)} embeddings came with {len(records)} records.")
        return cls(unit, tuple(_table(records).to_pylist()), fingerprint)

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.records)

    def search(
        self,
        queries: npt.ArrayLike,
        k: int = 5,
        *,
        where: Mapping[str, object] | None = None,
        exclude_lesion_ids: Sequence[Collection[str] | str | None] | None = None,
    ) -> list[list[Neighbor]]:
        """Find the k most similar cases to each query.

        Args:
            queries: ``(N, D)``; their length does not matter.
            k: Cases per query; fewer come back when fewer are allowed.
            where: Keep only cases whose facts match all of these: an exact value, a list or set
                of values, or for ``age`` a ``(low, high)`` tuple in years, ends included. A case
                whose age is not known is in no range.
            exclude_lesion_ids: For each query, the lesion or lesions to leave out (its own, when
                measuring), or None.

        Returns:
            For each query its neighbours, most similar first, the lower gallery row among equals.

        Raises:
            ValueError: If a query is zero, holds NaN or has another D; if k < 1; if `where` names
                an unknown column or a bad range; if `exclude_lesion_ids` has another length.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}.")
        unit = l2_normalize(check_embeddings(queries, dim=self.embeddings.shape[1], name="queries"))
        allowed = self._matching(where)
        excluded = self._excluded_rows(exclude_lesion_ids, len(unit))
        width = k + max((len(rows) for rows in excluded), default=0) + SPARE
        shortlists = self._shortlists(unit, width, allowed)
        found = []
        for query, shortlist, skip in zip(unit, shortlists, excluded, strict=True):
            similarity, rows = self._nearest(query, shortlist, skip, allowed, k)
            found.append([self._neighbor(r, s) for s, r in zip(similarity, rows, strict=True)])
        return found

    def _nearest(
        self,
        query: npt.NDArray[np.float32],
        shortlist: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]],
        skip: npt.NDArray[np.int64],
        allowed: npt.NDArray[np.int64],
        k: int,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Order the shortlist exactly; scan everything if a case left off it might belong."""
        scores, rows = shortlist
        similarity, best = _rank(query, self.embeddings, np.setdiff1d(rows, skip), k)
        complete = len(rows) == len(allowed)
        if complete or (len(best) == k and similarity[-1] > scores[-1] + FLOAT32_ERROR):
            return similarity, best
        return _rank(query, self.embeddings, np.setdiff1d(allowed, skip), k)

    def _shortlists(
        self,
        queries: npt.NDArray[np.float32],
        width: int,
        allowed: npt.NDArray[np.int64],
    ) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Return, per query, FAISS's scores (descending) and rows of the `width` nearest."""
        import faiss

        width = min(width, len(allowed))
        if width == 0 or len(queries) == 0:
            return [(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in queries]
        index = self._index
        parameters = None
        if len(allowed) < len(self):
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))  # type: ignore[call-arg]

        def search() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
            faiss.omp_set_num_threads(1)
            return index.search(queries, width, params=parameters)

        # FAISS and torch share OpenMP's setting, whose idle threads otherwise fight over the cores
        # and slow both down a hundredfold. The setting belongs to the calling thread, so a thread
        # of its own leaves torch's alone; a fresh one each time also survives a fork.
        with ThreadPoolExecutor(max_workers=1) as pool:
            scores, rows = pool.submit(search).result()
        return list(zip(scores, rows, strict=True))

    @cached_property
    def _index(self) -> faiss.IndexFlatIP:
        import faiss

        index = faiss.IndexFlatIP(self.embeddings.shape[1])
        index.add(self.embeddings)
        return index

    @cached_property
    def _rows_of_lesion(self) -> dict[object, list[int]]:
        rows: dict[object, list[int]] = {}
        for row, record in enumerate(self.records):
            if record["lesion_id"] is not None:
                rows.setdefault(record["lesion_id"], []).append(row)
        return rows

    def _neighbor(self, row: int, similarity: float) -> Neighbor:
        record = dict(self.records[row])
        return Neighbor(
            image_id=str(record.pop("image_id")),
            lesion_id=record.pop("lesion_id"),  # type: ignore[arg-type]
            dx=str(record.pop("dx")),
            similarity=float(np.clip(similarity, -1.0, 1.0)),
            facts=record,
        )

    def _matching(self, where: Mapping[str, object] | None) -> npt.NDArray[np.int64]:
        """Return the rows whose facts match."""
        rows = list(range(len(self)))
        for column, wanted in (where or {}).items():
            if column not in COLUMNS:
                raise ValueError(f"there is no fact {column!r}; choose among {list(COLUMNS)}.")
            if isinstance(wanted, tuple):
                low, high = _check_range(column, wanted)
                rows = [r for r in rows if _within(self.records[r][column], low, high)]
            else:
                values = wanted if isinstance(wanted, list | set | frozenset) else [wanted]
                rows = [r for r in rows if self.records[r][column] in values]
        return np.array(rows, dtype=np.int64)

    def _excluded_rows(
        self, lesions: Sequence[Collection[str] | str | None] | None, queries: int
    ) -> list[npt.NDArray[np.int64]]:
        """Return, per query, the rows of the lesions to leave out."""
        per_query = [None] * queries if lesions is None else list(lesions)
        if isinstance(lesions, str) or len(per_query) != queries:
            raise ValueError(
                f"exclude_lesion_ids must be a list with one entry for each of {queries} queries."
            )
        excluded = []
        for entry in per_query:
            names = {entry} if isinstance(entry, str) else set(entry or ())
            rows = [row for name in names for row in self._rows_of_lesion.get(name, [])]
            excluded.append(np.array(rows, dtype=np.int64))
        return excluded

    def save(self, folder: str | Path) -> None:
        """Write ``embeddings.safetensors``, ``records.parquet`` and ``gallery.json``.

        The three are written to a temporary sibling folder, which then takes the place of
        `folder`: a failed save leaves the old gallery whole.

        Args:
            folder: The gallery's own folder.

        Raises:
            FileExistsError: If `folder` is a file, or holds anything but a gallery.
        """
        import pyarrow.parquet as pq

        target = Path(folder)
        own = {EMBEDDINGS, RECORDS, HEADER}
        if target.is_file() or (target.is_dir() and not set(os.listdir(target)) <= own):
            raise FileExistsError(
                f"{target} holds other things than a gallery; choose a folder of its own."
            )
        rows, dim = self.embeddings.shape
        with atomic_path(target) as fresh:
            fresh.mkdir()
            save_arrays(fresh / EMBEDDINGS, {"embeddings": self.embeddings}, facts={})
            pq.write_table(_table(self.records), fresh / RECORDS)
            header = {"fingerprint": self.fingerprint, "rows": rows, "dim": dim}
            save_json(fresh / HEADER, header)

    @classmethod
    def load(cls, folder: str | Path, *, fingerprint: str | None = None) -> Gallery:
        """Read what `save` wrote.

        Args:
            folder: The gallery's folder.
            fingerprint: The encoder in use, or None to skip the comparison.

        Raises:
            FileNotFoundError: If the folder or one of its files is missing.
            ValueError: If a file is damaged, the files do not belong together, or the gallery was
                made by another encoder.
        """
        source = Path(folder)
        header = load_json(source / HEADER, keys={"fingerprint", "rows", "dim"})
        if fingerprint is not None and header["fingerprint"] != fingerprint:
            raise ValueError(
                f"this gallery was made by encoder {header['fingerprint']!r}, the model is "
                f"{fingerprint!r}; build the gallery again with this model."
            )
        arrays, _ = load_arrays(source / EMBEDDINGS, arrays={"embeddings"}, facts=set())
        embeddings = check_embeddings(arrays["embeddings"])
        if np.abs(np.linalg.norm(embeddings, axis=1) - 1).max(initial=0) > 1e-3:
            raise ValueError(f"{EMBEDDINGS} holds rows that are not of length 1.")
        stored = load_table(source / RECORDS, columns=COLUMNS)
        records = _table(stored.to_pylist()).to_pylist()
        said = (header["rows"], header["dim"])
        if embeddings.shape != said or len(records) != len(embeddings):
            raise ValueError(
                f"the gallery's files do not belong together: embeddings {embeddings.shape}, "
                f"{len(records)} records, and {HEADER} says {said}."
            )
        return cls(embeddings, tuple(records), str(header["fingerprint"]))


def _table(records: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return the records as a table of `COLUMNS`, or say what is wrong with them."""
    import pyarrow as pa

    unknown = {column for record in records for column in record} - set(COLUMNS)
    if unknown:
        raise ValueError(f"the records have unknown columns {sorted(unknown)}.")
    schema = pa.schema([(c, pa.float32() if c == "age" else pa.string()) for c in COLUMNS])
    try:
        table = pa.Table.from_pylist([dict(record) for record in records], schema=schema)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"a record holds a value of the wrong type: {error}.") from error
    for column in ("image_id", "dx"):
        if not all(table[column].to_pylist()):
            raise ValueError(f"every record needs a {column}, and one has none.")
    if any(age is not None and not np.isfinite(age) for age in table["age"].to_pylist()):
        raise ValueError("a record has an age that is not a number; use None when not known.")
    ids = table["image_id"].to_pylist()
    if len(set(ids)) < len(ids):
        twice = next(name for row, name in enumerate(ids) if name in ids[:row])
        raise ValueError(f"image_id {twice!r} appears twice in the records.")
    return table


def _check_range(column: str, wanted: tuple[object, ...]) -> tuple[float, float]:
    numbers = [v for v in wanted if isinstance(v, int | float) and not isinstance(v, bool)]
    if column != "age" or len(wanted) != 2 or len(numbers) != 2 or not numbers[0] <= numbers[1]:
        raise ValueError(
            f"{column}={wanted!r} is not a range: only age takes a tuple (low, high) in years; "
            "use a list for several values."
        )
    return float(numbers[0]), float(numbers[1])


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, float) and low <= value <= high
