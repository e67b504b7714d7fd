"""Finds the pictures that are the same photograph, and joins them to components."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import l2_normalize
from dermsim.data.duplicates.looks import TURNS, VIEWS, Look, turned
from dermsim.data.duplicates.registration import DETAIL, overlap, squared
from dermsim.data.grouping import UnionFind

HAMMING = 6
"""Bits in which two perceptual hashes may differ for their pictures to be compared."""

NEIGHBORS = 20
"""Pictures with the most similar embeddings that each is compared with."""

SIMILAR = 0.7
"""Cosine of embeddings below which pictures are not compared."""

_CHUNK = 512


@dataclass(frozen=True)
class Pair:
    """Two pictures that are the same photograph, or one a part of the other.

    Attributes:
        rows: Their numbers, ascending.
        detail: Correlation of their detail once aligned; 1 for equal pixels.
        share: How much of the larger picture's area the smaller one shows, in (0, 1].
        turn: How the first was held to match, see `dermsim.data.duplicates.looks.turned`.
        hash_distance: Bits in which their hashes differ; None where an embedding found them.
        similarity: Cosine of their embeddings; None where there are none.
    """

    rows: tuple[int, int]
    detail: float
    share: float
    turn: int = 0
    hash_distance: int | None = None
    similarity: float | None = None


@dataclass(frozen=True)
class _Candidate:
    rows: tuple[int, int]
    turn: int = 0
    view: str = VIEWS[0]
    hash_distance: int | None = None


def find_pairs(
    looks: Sequence[Look],
    embeddings: npt.ArrayLike | None = None,
    *,
    neighbors: int = NEIGHBORS,
    at_least: float = DETAIL,
) -> list[Pair]:
    """Find the pairs of pictures that are the same photograph.

    Perceptual hashes find what was scaled, compressed, turned or cut to its centre; embeddings find
    what was cut elsewhere. Both only propose: `overlap` decides.

    Args:
        looks: N pictures.
        embeddings: ``(N, D)``; without them parts of a picture are found only where their centre is
            that of the whole.
        neighbors: How many similar embeddings each picture is compared with.
        at_least: Correlation of detail from which on a pair is the same.

    Returns:
        The pairs, those most alike first.

    Raises:
        ValueError: If the embeddings are not as many as the pictures, or `neighbors` or `at_least`
            make no sense.
    """
    if neighbors < 1 or not 0 < at_least <= 1:
        raise Refused("duplicates_search.settings", neighbors=neighbors, at_least=at_least)
    unit = None if embeddings is None else l2_normalize(embeddings)
    if unit is not None and len(unit) != len(looks):
        raise Refused("duplicates_search.embeddings", looks_count=len(looks), unit_count=len(unit))
    if not looks:
        return []
    candidates = [*_by_hash(looks)]
    if unit is not None:
        candidates += _by_embedding(unit, neighbors)
    found = {pair.rows: pair for pair in _equal(looks)}
    with ThreadPoolExecutor() as pool:
        for pair in pool.map(lambda candidate: _verify(looks, candidate, at_least), candidates):
            if pair is not None and pair.detail > found.get(pair.rows, _NOTHING).detail:
                found[pair.rows] = pair
    pairs = [_with_similarity(pair, unit) for pair in found.values()]
    return sorted(pairs, key=lambda pair: (-pair.detail, pair.rows))


_NOTHING = Pair((0, 0), -2.0, 0.0)


def components(count: int, pairs: Sequence[Pair]) -> list[list[int]]:
    """Join pairs to components: whatever is linked by a chain of pairs.

    Args:
        count: How many pictures there are.
        pairs: Of their numbers.

    Returns:
        The numbers in each component of two or more, ascending, components by their first.
    """
    sets = UnionFind(count)
    for pair in pairs:
        sets.union(*pair.rows)
    members: dict[int, list[int]] = defaultdict(list)
    for row in sorted({row for pair in pairs for row in pair.rows}):
        members[sets.find(row)].append(row)
    return [members[root] for root in sorted(members)]


def _equal(looks: Sequence[Look]) -> Iterator[Pair]:
    """Pair pictures whose pixels are all equal, each with the first."""
    first: dict[bytes, int] = {}
    for row, look in enumerate(looks):
        other = first.setdefault(look.digest, row)
        if other != row:
            yield Pair((other, row), 1.0, 1.0, hash_distance=0)


def _by_hash(looks: Sequence[Look]) -> Iterator[_Candidate]:
    """Pair pictures whose hashes are near, in any way to hold the first."""
    import faiss

    hashes = np.stack([look.hashes for look in looks])  # (N, 2, 8)
    for number, view in enumerate(VIEWS):
        index = faiss.IndexBinaryFlat(64)
        index.add(_as_bytes(hashes[:, number, 0]))
        for turn in range(TURNS):
            queries = _as_bytes(hashes[:, number, turn])
            limits, distances, rows = index.range_search(queries, HAMMING + 1)
            askers = np.repeat(
                np.arange(len(looks)), [int(n) for n in np.diff(limits.astype(np.int64))]
            )
            for a, b, distance in zip(
                askers.tolist(), rows.tolist(), distances.tolist(), strict=True
            ):
                if a < b:  # the other way round, the other is held in the opposite way
                    yield _Candidate((a, b), turn, view, distance)


def _as_bytes(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), 8)


def _by_embedding(unit: npt.NDArray[np.float32], neighbors: int) -> Iterator[_Candidate]:
    """Pair pictures of which one is among the other's nearest."""
    count = min(neighbors + 1, len(unit))
    pairs: set[tuple[int, int]] = set()
    for start in range(0, len(unit), _CHUNK):
        similarity = unit[start : start + _CHUNK] @ unit.T
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        for offset, others in enumerate(nearest.tolist()):
            row = start + offset
            pairs |= {
                (min(row, other), max(row, other))
                for other in others
                if other != row and similarity[offset, other] >= SIMILAR
            }
    for rows in sorted(pairs):
        yield _Candidate(rows)


def _verify(looks: Sequence[Look], candidate: _Candidate, at_least: float) -> Pair | None:
    """Lay the pictures of a candidate on each other."""
    first, second = candidate.rows
    one, other = turned(looks[first].grey, candidate.turn), looks[second].grey
    if candidate.view == "whole":  # one may have been squeezed
        one, other = squared(one), squared(other)
    found = overlap(one, other, centred=candidate.hash_distance is not None)
    if found is None or found.detail < at_least:
        return None
    return Pair(
        candidate.rows,
        min(found.detail, 1.0),
        found.share,
        candidate.turn,
        candidate.hash_distance,
    )


def _with_similarity(pair: Pair, unit: npt.NDArray[np.float32] | None) -> Pair:
    if unit is None:
        return pair
    a, b = pair.rows
    similarity = float(np.clip(unit[a].astype(np.float64) @ unit[b], -1.0, 1.0))
    return Pair(pair.rows, pair.detail, pair.share, pair.turn, pair.hash_distance, similarity)
