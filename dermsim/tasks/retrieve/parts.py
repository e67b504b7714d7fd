"""The pieces that a gallery's embeddings lie in: in memory, or in files of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

GATHERED = 65_536
"""Rows copied at a time where they do not lie side by side: bounds the memory of a search."""


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a gallery's embeddings.

    Attributes:
        vectors: ``(m, D)`` float32, rows of length 1, in memory or memory-mapped.
        kept: Rows of `vectors` that are still in the gallery, ascending; None for all.
        path: File that holds exactly `vectors`, or None while there is none.
    """

    vectors: Vectors
    kept: IntArray | None = None
    path: Path | None = None

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.vectors) if self.kept is None else len(self.kept)

    @property
    def whole(self) -> Vectors:
        """All embeddings ``(n, D)``, read into memory if some of the part were removed."""
        return self.vectors if self.kept is None else self.vectors[self.kept]

    def fetch(self, rows: IntArray) -> Vectors:
        """Read the embeddings ``(n, D)`` of some rows."""
        return self.vectors[rows if self.kept is None else self.kept[rows]]

    def without(self, removed: npt.NDArray[np.bool_]) -> Part:
        """Return the part without the rows marked in ``(n,)`` bool; itself when none is."""
        if not removed.any():
            return self
        if not isinstance(self.vectors, np.memmap):
            return Part(self.vectors[~removed])
        kept = np.arange(len(self.vectors)) if self.kept is None else self.kept
        return replace(self, kept=kept[~removed])


def fetch_rows(parts: Sequence[Part], rows: IntArray) -> Vectors:
    """Read the embeddings ``(n, D)`` of some rows ``(n,)`` of parts that follow each other."""
    if len(parts) == 1:
        return parts[0].fetch(rows)
    starts = np.cumsum([0, *map(len, parts)])
    found = np.empty((len(rows), parts[0].vectors.shape[1]), dtype=np.float32)
    place = np.searchsorted(starts, rows, side="right") - 1
    for number in np.unique(place):
        own = place == number
        found[own] = parts[number].fetch(rows[own] - starts[number])
    return found


def pieces(
    parts: Sequence[Part], *, allowed: IntArray | None = None
) -> Iterator[tuple[Vectors, IntArray | int]]:
    """Go through the embeddings, without copying those that lie side by side.

    Args:
        parts: Parts that follow each other.
        allowed: Rows ``(m,)`` to go through, ascending; None for all.

    Yields:
        Embeddings ``(n, D)`` with their rows ``(n,)``, or with the number of the first row where
        they follow each other.
    """
    start = 0
    for part in parts:
        if allowed is None and part.kept is None:
            yield part.vectors, start
        else:
            inside = np.arange(len(part))
            if allowed is not None:
                low, high = np.searchsorted(allowed, [start, start + len(part)])
                inside = allowed[low:high] - start
            for first in range(0, len(inside), GATHERED):
                rows = inside[first : first + GATHERED]
                yield part.fetch(rows), rows + start
        start += len(part)
