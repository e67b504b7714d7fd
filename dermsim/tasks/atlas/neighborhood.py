"""How each case sits among the cases of other lesions: among its like, on a border, or alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import number_lesions
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels, l2_normalize, vote_shares

NEAREST = 16
"""Nearest cases of other lesions that are looked at, as for the vote."""

CHUNK = 256
"""Cases compared with all others at a time: bounds the memory."""


def measure_neighborhood(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    lesion_ids: Sequence[str | None],
    *,
    names: Sequence[str],
) -> dict[str, npt.NDArray[np.generic]]:
    """Measure where each case stands.

    Args:
        embeddings: ``(N, D)``.
        labels: ``(N,)`` integers, places in `names`.
        lesion_ids: N lesions; None is a lesion of its own. Cases of one lesion do not count among
            each other's neighbours.
        names: The diagnoses.

    Returns:
        Arrays ``(N,)``: ``neighbor_dx``, the diagnosis that the 16 nearest cases of other lesions
        vote for (`dermsim.core.vectors.vote_shares`); ``margin`` in [0, 1], by how much it leads
        the next, small on a border between two; ``isolation``, one less the mean cosine of those
        cases, large for an outlier.

    Raises:
        ValueError: If shapes do not match, or a case has no neighbour of another lesion.
    """
    unit = l2_normalize(embeddings)
    own = check_labels(labels, rows=len(unit), num_classes=len(names))
    if len(lesion_ids) != len(unit):
        raise Refused(
            "neighborhood.lesion_ids", unit_count=len(unit), lesion_ids_count=len(lesion_ids)
        )
    lesions = number_lesions(lesion_ids)
    fewest = len(unit) - int(np.bincount(lesions).max())
    if fewest < 1:
        raise Refused("neighborhood.one_lesion")
    counts = np.bincount(own, minlength=len(names))
    voted, margin, isolation = [], [], []
    for first in range(0, len(unit), CHUNK):
        some = slice(first, first + CHUNK)
        similarity = unit[some] @ unit.T
        similarity[lesions[some, None] == lesions[None, :]] = -np.inf
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(NEAREST, fewest)]
        likeness = np.take_along_axis(similarity, nearest, axis=1)
        shares = vote_shares(likeness, own[nearest], counts)
        ordered = np.sort(shares, axis=1)
        voted.append(shares.argmax(axis=1))
        margin.append(ordered[:, -1] - ordered[:, -2] if len(names) > 1 else ordered[:, -1])
        isolation.append(1 - likeness.mean(axis=1))
    return {
        "neighbor_dx": np.asarray(names)[np.concatenate(voted)],
        "margin": np.concatenate(margin).astype(np.float32),
        "isolation": np.concatenate(isolation).astype(np.float32),
    }
