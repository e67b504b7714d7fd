"""Is this photograph one of the past cases? By their perceptual hashes, whatever their embeddings.

An encoder gives many photographs nearly the same embedding, and a compressed copy another one: of
copies of training photographs every third was not among the 16 nearest. Hashes tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dermsim.tasks.retrieve.case_table import CaseTable

SAME = 24
"""Bits of 255 in which hashes of the same photograph differ at most. Of 400 training photographs,
smaller, turned, mirrored, brightened, blurred or compressed, all copies were within it; of 1,252
held-out ones only a photograph that HAM10000 holds twice (docs/measured.md)."""

COMPARED = 100_000
"""Cases compared at a time."""


def recognise(hashes: npt.NDArray[np.uint64], records: CaseTable) -> list[int | None]:
    """Find the case that each picture is a copy of.

    Args:
        hashes: ``(N, T, W)``, each picture's hashes, held in T ways.
        records: The cases, with the hashes of their photographs.

    Returns:
        N rows of the cases; None where no case is the same photograph, or none was ever looked at.
    """
    known, rows = records.hashes
    found: list[int | None] = []
    for held in hashes:
        best = (SAME + 1, -1)
        for start in range(0, len(known), COMPARED):
            part = known[start : start + COMPARED]
            bits = np.min([_differing(part, turn) for turn in held], axis=0)
            place = int(bits.argmin())
            best = min(best, (int(bits[place]), start + place))
        found.append(int(rows[best[1]]) if best[0] <= SAME else None)
    return found


def _differing(
    known: npt.NDArray[np.uint64], asked: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Count the bits ``(n,)`` in which hashes ``(n, W)`` differ from one ``(W,)``."""
    return np.bitwise_count(known ^ asked).sum(axis=1, dtype=np.int64)
