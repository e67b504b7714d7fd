"""From queries to nearest rows: what a shortlist proposes, compared and ordered exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dermsim.core.refused import Refused
from dermsim.tasks.retrieve.approximate import SHORTLIST, ApproximateIndex
from dermsim.tasks.retrieve.exact import (
    FloatArray,
    HalfIndex,
    flat_shortlists,
    rank,
    rounding_error,
)
from dermsim.tasks.retrieve.parts import IntArray, Part, Vectors, fetch_rows

if TYPE_CHECKING:
    from dermsim.tasks.retrieve.case_table import CaseTable

Found = tuple[FloatArray, IntArray]
"""Similarities ``(k,)`` float64, descending, and rows ``(k,)`` of one query."""

Exclusions = Sequence[Collection[str] | str | None]
"""For each query the lesion or lesions, photograph or photographs to leave out, or None."""

SPARE = 32
"""Cases shortlisted beyond those asked for, so that a near-tie seldom needs another look."""


def exact_nearest(
    queries: Vectors,
    k: int,
    parts: Sequence[Part],
    *,
    half: HalfIndex | None = None,
    allowed: IntArray | None = None,
    skip: Sequence[IntArray] | None = None,
) -> list[Found]:
    """Find what `exact_search` finds.

    A shortlist off which a case was left that might belong on it is lengthened.

    Args:
        queries: ``(N, D)`` of length 1.
        k: Rows per query.
        parts: The embeddings.
        half: The same in half precision, or None; a filtered search does not use it.
        allowed: Rows ``(m,)`` that may be found, ascending; None for all.
        skip: Per query, rows ``(s,)`` to leave out; None for none.
    """
    most = sum(map(len, parts)) if allowed is None else len(allowed)
    if most == 0:
        return [(np.zeros(0), np.zeros(0, np.int64)) for _ in queries]
    coarse = half if allowed is None else None
    error = coarse.error if coarse else rounding_error(queries.shape[1])
    width = k + SPARE + (max(map(len, skip)) if skip else 0)
    found: list[Found | None] = [None] * len(queries)
    waiting = list(range(len(queries)))
    while waiting:
        width = min(width, most)
        asking = queries if len(waiting) == len(queries) else queries[waiting]
        if coarse:
            scores, shortlists = coarse.shortlists(asking, width)
        else:
            scores, shortlists = flat_shortlists(asking, parts, width, allowed=allowed)
        unsure = []
        for query, score, rows in zip(waiting, scores, shortlists, strict=True):
            kept = rows if skip is None else rows[~np.isin(rows, skip[query])]
            best = similarity, _ = rank(queries[query], fetch_rows(parts, kept), kept, k)
            if width == most or (len(similarity) == k and similarity[-1] > score[-1] + error):
                found[query] = best
            else:
                unsure.append(query)
        waiting, width = unsure, 4 * width
    return found  # type: ignore[return-value]


def proposed_nearest(
    queries: Vectors,
    k: int,
    parts: Sequence[Part],
    index: ApproximateIndex,
    *,
    allowed: IntArray | None = None,
    skip: Sequence[IntArray] | None = None,
) -> list[Found]:
    """Find the best of what an index proposes, and of the cases added since it was built.

    A query for which that is too little, as where removed cases lay close together, is looked up
    exactly.

    Args:
        queries: ``(N, D)`` of length 1.
        k: Rows per query.
        parts: The embeddings.
        index: An index of the first rows.
        allowed: Rows ``(m,)`` that may be found, ascending; None for all.
        skip: Per query, rows ``(s,)`` to leave out; None for none.
    """
    cases = sum(map(len, parts))
    most = cases if allowed is None else len(allowed)
    longest = max(map(len, skip)) if skip else 0
    width = min(max(SHORTLIST, 4 * k) + longest, cases)
    proposed = index.search(queries, width, allowed=allowed)
    if index.covered < cases:
        newer = np.arange(index.covered, cases)
        if allowed is not None:
            newer = np.intersect1d(newer, allowed, assume_unique=True)
        width = min(k + SPARE + longest, len(newer))
        latest = flat_shortlists(queries, parts, width, allowed=newer)[1]
        proposed = np.concatenate([proposed, latest], axis=1)
    found = []
    for place, (query, line) in enumerate(zip(queries, proposed, strict=True)):
        rows = line[line >= 0]
        own = np.zeros(0, np.int64) if skip is None else skip[place]
        kept = rows if skip is None else rows[~np.isin(rows, own)]
        best = rank(query, fetch_rows(parts, kept), kept, k)
        if len(best[0]) < min(k, most - len(own)):
            best = exact_nearest(query[None], k, parts, allowed=allowed, skip=[own])[0]
        found.append(best)
    return found


def excluded_rows(
    records: CaseTable, left_out: Mapping[str, Exclusions | None], queries: int
) -> list[IntArray] | None:
    """Return, per query, the rows of the cases to leave out; None when none are.

    Args:
        records: The cases.
        left_out: By the column ``"lesion_id"`` or ``"image_id"`` what each query leaves out; None
            where that leaves out nothing.
        queries: How many.

    Raises:
        ValueError: If there are not as many entries as queries.
    """
    found: list[IntArray] | None = None
    for column, given in left_out.items():
        if given is None:
            continue
        if isinstance(given, str) or len(given) != queries:
            raise Refused("retrieve_search.exclude", column=column, queries=queries)
        names = [{entry} if isinstance(entry, str) else set(entry or ()) for entry in given]
        rows = records.rows_of(column, names)
        found = rows if found is None else list(map(np.union1d, found, rows))
    return found
