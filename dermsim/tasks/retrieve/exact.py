"""Exact nearest neighbours: their definition in NumPy, and FAISS's shortlists on the way to them.

A flat search of FAISS is several times faster than NumPy in float64, but its sums are rounded, and
rounded differently for one query and for many. So FAISS only finds a shortlist, with a bound on how
wrong its scores can be. The cases on it are compared again in float64 and ordered by similarity,
then by row; where the bound leaves a doubt, the shortlist is lengthened. The answer is
`exact_search`'s, and one query alone gets what it gets in a batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.vectors import check_embeddings
from dermsim.tasks.retrieve.parts import IntArray, Part, Vectors, pieces

if TYPE_CHECKING:
    import faiss

FloatArray = npt.NDArray[np.float64]
Search = Callable[[Vectors], tuple[Vectors, IntArray]]
"""Takes queries ``(n, D)``, returns scores and rows ``(n, width)``."""

PARALLEL_WORK = 2e8
"""Multiplications of one core's share from which a batch of queries is divided between cores."""


def exact_search(
    queries: npt.ArrayLike,
    embeddings: npt.ArrayLike,
    k: int,
    *,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> tuple[FloatArray, IntArray]:
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
    vectors = stored[rows]
    best = [rank(query, vectors, rows, k) for query in wanted]
    shape = (len(wanted), min(k, len(rows)))
    similarity = np.array([values for values, _ in best], dtype=np.float64).reshape(shape)
    return similarity, np.array([found for _, found in best], dtype=np.int64).reshape(shape)


def rank(query: Vectors, vectors: Vectors, rows: IntArray, k: int) -> tuple[FloatArray, IntArray]:
    """Order rows by similarity to one query, then by number, and keep the first k.

    Args:
        query: ``(D,)``.
        vectors: ``(n, D)``, the embeddings of `rows`.
        rows: ``(n,)``.
        k: How many to keep.
    """
    # a sum along the last axis adds each row's products in the same order whatever the other rows
    # are; a matrix product does not
    similarity = np.multiply(vectors, query, dtype=np.float64).sum(axis=1)
    order = np.lexsort((rows, -similarity))[:k]
    return similarity[order], rows[order]


# -- shortlists -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class HalfIndex:
    """A flat FAISS index of a gallery in half precision: half the memory to read, half the time.

    Attributes:
        index: Rows as float16, compared in float32.
        error: Most that a score can differ from the exact similarity.
    """

    index: faiss.IndexScalarQuantizer
    error: float

    @classmethod
    def build(cls, vectors: Vectors) -> HalfIndex:
        """Index ``(M, D)`` embeddings of length 1."""
        import faiss

        half = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexScalarQuantizer(vectors.shape[1], half, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:1])  # learns nothing, but FAISS insists
        index.add(vectors)
        # by Cauchy and Schwarz, rounding a row moves its score by at most what it moves the row
        moved = np.linalg.norm(vectors - vectors.astype(np.float16), axis=1).max()
        return cls(index, float(moved) + rounding_error(vectors.shape[1]))

    def shortlists(self, queries: Vectors, width: int) -> tuple[Vectors, IntArray]:
        """Find the `width` best rows for queries ``(N, D)``, as `flat_shortlists` does."""
        search: Search = partial(self.index.search, k=width)  # type: ignore[assignment]
        return in_threads(search, queries, work=queries.size * self.index.ntotal)


def rounding_error(dim: int) -> float:
    """Most that a float32 inner product of two unit vectors can differ from the exact one.

    Whatever the order of the sum, the error is at most D units of rounding times the sum of the
    products' sizes (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1,
    https://doi.org/10.1137/1.9780898718027), and for unit vectors that sum is at most 1.
    """
    return 1.01 * dim * 2.0**-24


def flat_shortlists(
    queries: Vectors,
    parts: Sequence[Part],
    width: int,
    *,
    allowed: IntArray | None = None,
) -> tuple[Vectors, IntArray]:
    """Find the `width` rows most similar to each query with FAISS, in float32.

    Args:
        queries: ``(N, D)``.
        parts: The embeddings; memory-mapped ones are read through once.
        width: How many rows, at most as many as there are (or are allowed).
        allowed: Rows ``(m,)`` that may be found, ascending; None for all.

    Returns:
        Scores ``(N, width)``, descending, each within `rounding_error` of the exact one, and rows
        ``(N, width)``.
    """
    if width == 0 or len(queries) == 0:
        return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)

    def search(some: Vectors) -> tuple[Vectors, IntArray]:
        found = [
            _knn(some, vectors, rows, width)
            for vectors, rows in pieces(parts, allowed=allowed)
            if len(vectors)
        ]
        scores = np.concatenate([s for s, _ in found], axis=1)
        rows = np.concatenate([r for _, r in found], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :width]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    compared = sum(map(len, parts)) if allowed is None else len(allowed)
    return in_threads(search, queries, work=queries.size * compared)


def _knn(
    queries: Vectors, vectors: Vectors, rows: IntArray | int, width: int
) -> tuple[Vectors, IntArray]:
    import faiss

    scores, places = faiss.knn(
        queries, vectors, min(width, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT
    )
    return scores, places + rows if isinstance(rows, int) else rows[places]


# -- threads --------------------------------------------------------------------------------------


def in_threads(search: Search, queries: Vectors, *, work: float) -> tuple[Vectors, IntArray]:
    """Search for a batch of queries, divided between the cores when there is enough to do.

    FAISS itself is held to one thread. It shares OpenMP's setting with torch, and the idle threads
    of each, which wait busily, slow both down a hundredfold. The setting belongs to the calling
    thread, so that giving it back leaves torch's as it was.

    Args:
        search: What to do for some of the queries.
        queries: ``(N, D)``.
        work: Multiplications that all of them take.
    """
    if work < 2 * PARALLEL_WORK or len(queries) == 1:
        return _in_this_thread(search, queries)
    ours = hasattr(os, "sched_getaffinity")  # of the machine's cores, not every system says
    cores = len(os.sched_getaffinity(0)) if ours else os.cpu_count() or 1
    shares = min(len(queries), int(work / PARALLEL_WORK), cores)
    # fresh threads each time: a pool that is kept would not survive a fork
    with ThreadPoolExecutor(max_workers=shares) as pool:
        some = np.array_split(queries, shares)
        found = list(pool.map(partial(_in_this_thread, search), some))
    return np.concatenate([s for s, _ in found]), np.concatenate([r for _, r in found])


def _in_this_thread(search: Search, queries: Vectors) -> tuple[Vectors, IntArray]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        return search(queries)
    finally:
        faiss.omp_set_num_threads(before)
