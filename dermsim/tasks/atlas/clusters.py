"""Groups of cases that lie close together, and whether they are groups of one diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels, l2_normalize

IntArray = npt.NDArray[np.int64]

SMALLEST = 15
"""Fewest points of a cluster on the map, or a twentieth of all where there are few."""


@dataclass(frozen=True)
class Cluster:
    """One group of cases.

    Attributes:
        cluster: Its number.
        size: How many cases it has.
        dx: Their commonest diagnosis.
        purity: The share of them that have it.
    """

    cluster: int
    size: int
    dx: str
    purity: float


@dataclass(frozen=True)
class ClusterScores:
    """How well clusters agree with diagnoses.

    Attributes:
        outside: Share of cases in no cluster; the other figures are of the rest.
        silhouette: Of the clusters, by cosine between embeddings, in [-1, 1].
        adjusted_rand: Agreement with the diagnoses beyond chance, at most 1 (Hubert and Arabie,
            1985, https://doi.org/10.1007/BF01908075).
        mutual_information: The same in bits shared, normalised to [0, 1] (Vinh et al., 2010,
            https://jmlr.org/papers/v11/vinh10a.html).
        purity: Share of cases that have their cluster's commonest diagnosis.
        clusters: Each cluster, the largest first.
    """

    outside: float
    silhouette: float
    adjusted_rand: float
    mutual_information: float
    purity: float
    clusters: tuple[Cluster, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return asdict(self)


def find_clusters(
    coordinates: npt.NDArray[np.float32],
    embeddings: npt.ArrayLike,
    *,
    groups: int,
    seed: int = 0,
) -> tuple[IntArray, IntArray]:
    """Find clusters in two ways.

    HDBSCAN (Campello et al., 2013, https://doi.org/10.1007/978-3-642-37456-2_14) finds what is seen
    as an island on the map, and leaves out what lies between. k-means parts the embeddings
    themselves, all of them, into as many groups as there are diagnoses.

    Args:
        coordinates: ``(N, 2)`` of the map.
        embeddings: ``(N, D)``.
        groups: How many groups k-means makes, at most N.
        seed: Of k-means.

    Returns:
        Clusters on the map ``(N,)``, -1 for none, and groups ``(N,)``; the largest is 0.
    """
    from sklearn.cluster import HDBSCAN, KMeans

    unit = l2_normalize(embeddings)
    smallest = max(2, min(SMALLEST, len(unit) // 20))
    islands = HDBSCAN(min_cluster_size=smallest, copy=True).fit_predict(coordinates)
    means = KMeans(min(groups, len(unit)), n_init=10, random_state=seed)
    return _largest_first(islands), _largest_first(means.fit_predict(unit))


def _largest_first(clusters: npt.NDArray[np.integer]) -> IntArray:
    """Number clusters by size; -1 stays."""
    numbers, sizes = np.unique(clusters[clusters >= 0], return_counts=True)
    rank = np.empty(len(numbers) + 1, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(numbers))
    rank[-1] = -1  # where -1 looks it up
    return rank[clusters]


def score_clusters(
    clusters: npt.ArrayLike, dx: Sequence[str], embeddings: npt.ArrayLike
) -> ClusterScores:
    """Compare clusters with the diagnoses of their cases.

    Args:
        clusters: ``(N,)`` integers, -1 for none.
        dx: N diagnosis codes.
        embeddings: ``(N, D)``.

    Raises:
        ValueError: If shapes do not match, or no case is in a cluster.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    numbers = np.asarray(clusters)
    if numbers.shape != (len(dx),):
        raise Refused("clusters.shape", count=len(dx), shape=numbers.shape)
    inside = numbers >= 0
    if not inside.any():
        raise Refused("clusters.no_cluster")
    kept, own = numbers[inside], np.asarray(dx)[inside]
    found = []
    for number in np.unique(kept):
        names, counts = np.unique(own[kept == number], return_counts=True)
        best = int(counts.argmax())
        size = int(counts.sum())
        found.append(Cluster(int(number), size, str(names[best]), float(counts[best] / size)))
    found.sort(key=lambda cluster: (-cluster.size, cluster.cluster))
    return ClusterScores(
        outside=float(1 - inside.mean()),
        silhouette=silhouette(l2_normalize(embeddings)[inside], kept),
        adjusted_rand=float(adjusted_rand_score(own, kept)),
        mutual_information=float(normalized_mutual_info_score(own, kept)),
        purity=sum(cluster.size * cluster.purity for cluster in found) / len(kept),
        clusters=tuple(found),
    )


def silhouette(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean silhouette (Rousseeuw, 1987, https://doi.org/10.1016/0377-0427(87)90125-7) by cosine.

    The mean cosine distance from a point to a group is one less its product with the group's mean,
    so that no two points need be compared.

    Args:
        embeddings: ``(N, D)``.
        labels: ``(N,)`` integers, the group of each.

    Returns:
        In [-1, 1]: how much closer a point is to its own group than to the next; 0 for a point
        alone in its group, NaN when there is only one group.
    """
    unit = l2_normalize(embeddings).astype(np.float64)
    names, group = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) < 2:
        return float("nan")
    check_labels(group, rows=len(unit), num_classes=len(names))
    sizes = np.bincount(group)
    sums = np.zeros((len(names), unit.shape[1]))
    np.add.at(sums, group, unit)
    distance = 1 - unit @ (sums / sizes[:, None]).T  # (N, C)
    rows = np.arange(len(unit))
    others = sizes[group] - 1
    # a point is at no distance from itself, and does not count among its group
    within = distance[rows, group] * sizes[group] / np.maximum(others, 1)
    distance[rows, group] = np.inf
    nearest = distance.min(axis=1)
    scale = np.maximum(np.maximum(within, nearest), np.finfo(np.float64).tiny)
    return float(np.where(others > 0, (nearest - within) / scale, 0.0).mean())
