"""Approximate nearest neighbours for galleries too large to look at every case.

Two of FAISS's indexes, each a shortlist whose cases are then compared exactly: HNSW, a graph of
neighbours (Malkov and Yashunin, 2018, https://arxiv.org/abs/1603.09320), over 8-bit codes; and
IVF-PQ, cells of which only the nearest are searched (Jégou et al., 2011,
https://doi.org/10.1109/TPAMI.2010.57), over codes of two bits per dimension (its 4-bit SIMD form,
André et al., 2015, https://www.vldb.org/pvldb/vol9/p288-andre.pdf). What an index misses is
measured when it is built, and kept with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.storage import map_arrays, save_arrays
from dermsim.tasks.retrieve.exact import in_threads, rank
from dermsim.tasks.retrieve.parts import IntArray, Vectors

if TYPE_CHECKING:
    import faiss

Kind = Literal["flat", "hnsw", "ivfpq"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FLAT_UP_TO, HNSW_UP_TO = 100_000, 500_000
"""Cases up to which every one is looked at, and up to which the graph is held in memory."""

AIM = 0.95
"""Share of the ten nearest cases that an index should find, and K, that ten."""
K = 10

SHORTLIST = 128
"""Fewest cases that an index proposes for exact comparison."""

PROBES = 128
"""Cases of the gallery that are looked up to measure an index."""

FEWEST = 1_000
"""Cases from which an index can be learned."""

NEIGHBORS = 32
"""Edges of a case in the HNSW graph."""

BLOCK = 65_536
"""Cases added at a time: bounds the memory of building."""


def choose_kind(rows: int) -> Kind:
    """Choose the index for a gallery of so many cases."""
    if rows <= FLAT_UP_TO:
        return "flat"
    return "hnsw" if rows <= HNSW_UP_TO else "ivfpq"


@dataclass(frozen=True)
class IndexFacts:
    """What an index is and what it finds.

    Attributes:
        kind: ``"hnsw"`` or ``"ivfpq"``.
        entries: Cases it was built of.
        dim: Dimensions D.
        effort: Cells searched (IVF-PQ) or candidates kept (HNSW) for one query.
        recall_at_10: Share of the ten nearest cases that it found.
        probes: Queries behind that share.
    """

    kind: str
    entries: int
    dim: int
    effort: int
    recall_at_10: float
    probes: int

    def __post_init__(self) -> None:
        """Refuse what a damaged file may hold."""
        whole = (self.entries, self.dim, self.effort, self.probes)
        if self.kind not in KINDS[1:] or any(not isinstance(n, int) or n < 1 for n in whole):
            raise Refused("approximate.no_index", index=asdict(self))
        if not 0 <= self.recall_at_10 <= 1:
            raise Refused("approximate.recall", recall_at_10=self.recall_at_10)


@dataclass(frozen=True, eq=False)
class ApproximateIndex:
    """An index over the first cases of a gallery, and which of them are still there.

    Attributes:
        facts: What it is and what it finds.
        faiss: The index; its entries are numbered from 0.
        rows: ``(entries,)`` int64, the gallery's row of each entry, ascending, -1 where the case
            was removed; None while entry e is row e.
        path: File that it was read from, or None while there is none.
        source: The array in that file, which must live as long as the index does.
    """

    facts: IndexFacts
    faiss: faiss.Index
    rows: IntArray | None = None
    path: Path | None = None
    source: npt.NDArray[np.uint8] | None = None

    @classmethod
    def build(
        cls,
        fetch: Callable[[IntArray], Vectors],
        rows: int,
        *,
        kind: Kind,
        seed: int = 0,
        probes: Vectors | None = None,
        exact: Callable[[Vectors, int], IntArray],
    ) -> ApproximateIndex:
        """Learn an index from a sample, fill it block by block, and choose its effort.

        The effort is the smallest, of doublings, at which `AIM` of the `K` nearest are found.

        Args:
            fetch: Reads the embeddings ``(n, D)`` of some rows ``(n,)``.
            rows: Cases in the gallery.
            kind: ``"hnsw"`` or ``"ivfpq"``.
            seed: Of the samples drawn.
            probes: ``(n, D)`` queries, of length 1, to measure with; None takes cases of the
                gallery, each looking for others than itself.
            exact: Finds the rows ``(n, k)`` of the k nearest to queries ``(n, D)``.

        Raises:
            ValueError: If there are fewer cases than an index can be learned from.
        """
        if rows < FEWEST:
            raise Refused("approximate.too_few", kind=kind, fewest=FEWEST, rows=rows)
        rng = np.random.default_rng(seed)
        dim = fetch(np.zeros(1, np.int64)).shape[1]
        index = _blank(kind, rows, dim)
        sample = np.sort(rng.choice(rows, min(rows, _sample_size(kind, index)), replace=False))
        index.train(fetch(sample))
        for first in range(0, rows, BLOCK):
            index.add(fetch(np.arange(first, min(first + BLOCK, rows))))
        if probes is None:
            own = np.sort(rng.choice(rows, min(rows, PROBES), replace=False))
            probes = fetch(own)
            truth = _without_self(exact(probes, K + 1), own)
        else:
            own, truth = None, exact(probes, K)
        facts = IndexFacts(kind, rows, dim, 1, 0.0, len(probes))
        unmeasured = cls(facts, index)
        return unmeasured._tuned(probes, truth, fetch, own, limit=_most_effort(index))

    def _tuned(
        self,
        probes: Vectors,
        truth: IntArray,
        fetch: Callable[[IntArray], Vectors],
        own: IntArray | None,
        *,
        limit: int,
    ) -> ApproximateIndex:
        """Return the index with the least effort that finds enough, or the most there is."""
        effort = 4 if self.facts.kind == "ivfpq" else SHORTLIST
        while True:
            tried = replace(self, facts=replace(self.facts, effort=effort))
            found = tried.search(probes, SHORTLIST)
            if own is not None:
                found = np.where(found == own[:, None], -1, found)
            best = [
                rank(probe, fetch(kept), kept, K)[1]
                for probe, line in zip(probes, found, strict=True)
                for kept in [line[line >= 0]]
            ]
            hits = [len(set(b) & set(t)) for b, t in zip(best, truth, strict=True)]
            recall = float(np.mean(hits)) / K
            if recall >= AIM or effort >= limit:
                return replace(tried, facts=replace(tried.facts, recall_at_10=recall))
            effort = min(2 * effort, limit)

    @property
    def covered(self) -> int:
        """The gallery's first rows, which are the index's; later ones were added since."""
        if self.rows is None:
            return self.facts.entries
        return int((self.rows >= 0).sum())

    def search(self, queries: Vectors, width: int, *, allowed: IntArray | None = None) -> IntArray:
        """Propose rows for each query.

        Args:
            queries: ``(N, D)`` of length 1.
            width: How many to propose.
            allowed: Rows ``(m,)`` that may be found, ascending; None for all.

        Returns:
            ``(N, width)`` rows, -1 where there is none.
        """
        faiss = _faiss()
        # the bits must outlive the search, which only holds their address
        bits = None if allowed is None else np.packbits(self._open(allowed), bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        effort = self.facts.effort
        if self.facts.kind == "hnsw":
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, width), sel=selector)
        else:
            parameters = faiss.SearchParametersIVF(nprobe=effort, sel=selector)

        def look(some: Vectors) -> tuple[Vectors, IntArray]:
            return self.faiss.search(some, width, params=parameters)

        _, entries = in_threads(look, queries, work=queries.size * effort * SHORTLIST)
        if self.rows is None:
            return entries
        return np.where(entries < 0, -1, self.rows[entries])

    def _open(self, allowed: IntArray) -> npt.NDArray[np.bool_]:
        """Return ``(entries,)`` bool, whether an entry may be found."""
        mask = np.zeros(self.facts.entries, dtype=np.bool_)
        own = allowed[: np.searchsorted(allowed, self.covered)]
        mask[own if self.rows is None else np.flatnonzero(self.rows >= 0)[own]] = True
        return mask

    def without(self, removed: npt.NDArray[np.bool_]) -> ApproximateIndex:
        """Return the index of a gallery without the rows marked in ``(M,)`` bool.

        The index itself keeps their codes until it is built again, but they are never found.
        """
        rows = np.arange(self.facts.entries) if self.rows is None else self.rows
        renumbered = np.where(removed, -1, np.cumsum(~removed) - 1)
        return replace(self, rows=np.where(rows < 0, -1, renumbered[rows]))

    def save(self, path: Path) -> None:
        """Write the index, atomically; the rows of its entries belong to the gallery."""
        faiss = _faiss()
        content = faiss.serialize_index(self.faiss) if self.source is None else self.source
        save_arrays(path, {"index": content}, facts=asdict(self.facts))

    @classmethod
    def load(cls, path: Path, *, rows: IntArray | None) -> ApproximateIndex:
        """Open what `save` wrote, memory-mapped.

        Args:
            path: The file.
            rows: ``(entries,)`` int64, what the attribute `rows` becomes.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged.
        """
        faiss = _faiss()
        names = set(IndexFacts.__dataclass_fields__)
        arrays, facts = map_arrays(path, arrays={"index"}, facts=names)
        content = arrays["index"]
        try:
            reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(content), content.size)
            index = faiss.read_index(reader)
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise Refused("approximate.not_an_index", name=path.name, reason=reason) from error
        found = cls(IndexFacts(**facts), index, rows, path.resolve(), content)  # type: ignore[arg-type]
        if (index.ntotal, index.d) != (found.facts.entries, found.facts.dim):
            raise Refused("approximate.other_index", name=path.name)
        return found


def _faiss() -> Any:
    """FAISS, whose type stubs know only half of it."""
    import faiss

    return faiss


def _blank(kind: str, rows: int, dim: int) -> faiss.Index:
    """Return an index that has learned nothing yet."""
    faiss = _faiss()
    metric = faiss.METRIC_INNER_PRODUCT
    if kind == "hnsw":
        eight_bits = faiss.ScalarQuantizer.QT_8bit
        return faiss.IndexHNSWSQ(dim, eight_bits, NEIGHBORS, metric)
    cells = 2 ** int(np.log2(max(rows, 39 * 16) ** 0.5))
    parts = dim // 2 if dim % 2 == 0 else dim
    return faiss.index_factory(dim, f"IVF{cells},PQ{parts}x4fs", metric)


def _sample_size(kind: str, index: Any) -> int:
    """Cases to learn from: sixty-four per cell are more than FAISS asks for."""
    return 64 * index.nlist if kind == "ivfpq" else BLOCK


def _most_effort(index: Any) -> int:
    return index.nlist if hasattr(index, "nlist") else 2048


def _without_self(found: IntArray, own: IntArray) -> IntArray:
    """Drop each probe from its own neighbours ``(n, K + 1)``; a twin may stand in for it."""
    kept = [line[line != row][:K] for line, row in zip(found, own, strict=True)]
    return np.array(kept, dtype=np.int64)
