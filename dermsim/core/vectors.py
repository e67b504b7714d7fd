"""Arrays of embeddings: checks, directions and likeness.

Everything downstream of the encoder speaks NumPy ``(N, D)``. What two tasks need of such arrays
lives here, so that the tasks need not know each other. NumPy only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused


def check_embeddings(
    x: npt.ArrayLike, *, dim: int | None = None, name: str = "embeddings"
) -> npt.NDArray[np.float32]:
    """Return `x` as float32 ``(N, D)`` or refuse it.

    Args:
        x: Array-like of shape ``(N, D)``. N may be 0, D may not.
        dim: The D that is required, or None for any.
        name: What to call the array in an error.

    Returns:
        ``(N, D)`` float32, C-contiguous; the input itself when it is that already.

    Raises:
        ValueError: If the array is not numeric, not two-dimensional, has another D, or holds NaN
            or infinity.
    """
    try:
        array = np.ascontiguousarray(x, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise Refused("vectors.not_numbers", name=name, error=error) from error
    # ascontiguousarray lifts a scalar to one dimension, which the next check still refuses
    if array.ndim != 2 or array.shape[1] == 0:
        raise Refused("vectors.shape", name=name, shape=np.shape(x))
    if dim is not None and array.shape[1] != dim:
        raise Refused("vectors.dimensions", name=name, dimensions=array.shape[1], expected=dim)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise Refused("vectors.not_finite", name=name, row=row)
    return array


def check_labels(labels: npt.ArrayLike, *, rows: int, num_classes: int) -> npt.NDArray[np.int64]:
    """Return `labels` as int64 ``(N,)`` or refuse them.

    Args:
        labels: ``(N,)`` integers in ``[0, num_classes)``.
        rows: The N that is required.
        num_classes: Number of classes.

    Raises:
        ValueError: If the shape, the type or a value is wrong.
    """
    array = np.asarray(labels)
    if array.shape != (rows,):
        raise Refused("vectors.labels_shape", rows=rows, shape=array.shape)
    if rows and not np.issubdtype(array.dtype, np.integer):
        raise Refused("vectors.labels_dtype", dtype=array.dtype)
    array = array.astype(np.int64)
    wrong = array[(array < 0) | (array >= num_classes)]
    if wrong.size:
        raise Refused("vectors.label_outside", label=wrong[0], last=num_classes - 1)
    return array


def l2_normalize(
    x: npt.ArrayLike, *, dim: int | None = None, name: str = "embeddings"
) -> npt.NDArray[np.float32]:
    """Scale every row to length 1.

    Args:
        x: ``(N, D)``.
        dim: The D that is required, or None for any.
        name: What to call the array in an error.

    Returns:
        ``(N, D)`` float32; the division is done in float64.

    Raises:
        ValueError: If a row is zero and so has no direction, or `x` is not a valid ``(N, D)``.
    """
    array = check_embeddings(x, dim=dim, name=name).astype(np.float64)
    lengths = np.sqrt((array * array).sum(axis=1, keepdims=True))
    if not lengths.all():
        row = int(np.flatnonzero(lengths == 0)[0])
        raise Refused("vectors.zero", name=name, row=row)
    return (array / lengths).astype(np.float32)


def cosine_similarity(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Cosine of the angle between every row of `a` and every row of `b`.

    Args:
        a: ``(N, D)``.
        b: ``(M, D)``.

    Returns:
        ``(N, M)`` float32 in [-1, 1].

    Raises:
        ValueError: If the dimensions differ or a row is zero.
    """
    left = l2_normalize(a)
    right = l2_normalize(check_embeddings(b, dim=left.shape[1]))
    return np.clip(left @ right.T, -1.0, 1.0)


def centroids(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, num_classes: int
) -> npt.NDArray[np.float32]:
    """Mean direction of each class: the nearest-class-mean prototypes.

    Rows are normalised, averaged per class, and the averages normalised again (Snell et al., 2017,
    https://arxiv.org/abs/1703.05175, on the unit sphere).

    Args:
        embeddings: ``(N, D)``.
        labels: ``(N,)`` integers in ``[0, num_classes)``.
        num_classes: Number of classes C.

    Returns:
        ``(C, D)`` float32, rows of length 1.

    Raises:
        ValueError: If a class has no row, or its rows cancel out.
    """
    unit = l2_normalize(embeddings)
    targets = check_labels(labels, rows=len(unit), num_classes=num_classes)
    counts = np.bincount(targets, minlength=num_classes)
    if (counts == 0).any():
        missing = np.flatnonzero(counts == 0).tolist()
        raise Refused("vectors.no_class", missing=missing)
    sums = np.zeros((num_classes, unit.shape[1]), dtype=np.float64)
    np.add.at(sums, targets, unit)
    means = sums / counts[:, None]
    # float32 rows cancel to about 1e-8, and the direction of such a remainder is noise
    if (cancelled := np.linalg.norm(means, axis=1) < 1e-6).any():
        raise Refused("vectors.cancelled", classes=np.flatnonzero(cancelled).tolist())
    return l2_normalize(means)


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Softmax of ``logits / temperature`` over the last axis, in float64.

    Args:
        logits: ``(N, C)``.
        temperature: Positive divisor; above 1 flattens, below 1 sharpens.

    Returns:
        ``(N, C)`` float64, rows summing to 1.

    Raises:
        ValueError: If the temperature is not positive and finite, or `logits` is not ``(N, C)``.
    """
    if not 0 < temperature < np.inf:
        raise Refused("vectors.temperature", temperature=temperature)
    scaled = check_embeddings(logits, name="logits").astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def neighbor_vote(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[object],
    *,
    num_classes: int,
    k: int = 16,
    temperature: float = 0.07,
) -> npt.NDArray[np.int64]:
    """Label every row by its most similar rows of other groups.

    A vote counts ``exp(cosine / temperature)``, as in Wu et al. 2018 (instance discrimination,
    https://arxiv.org/abs/1805.01978), divided by how often its class occurs, so that the common
    class does not win every draw; ties go to the lower label.

    Args:
        embeddings: ``(N, D)``; compared by cosine.
        labels: ``(N,)`` integers.
        groups: N; rows of the same group do not vote for each other.
        num_classes: How many labels there are.
        k: How many rows vote.
        temperature: How much more the nearest of them count; above 0.

    Returns:
        ``(N,)`` int64.

    Raises:
        ValueError: If shapes do not match.
    """
    unit = l2_normalize(embeddings)
    true = check_labels(labels, rows=len(unit), num_classes=num_classes)
    if len(groups) != len(unit):
        raise Refused("vectors.groups", unit_count=len(unit), groups_count=len(groups))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    own = np.array([numbers[group] for group in groups])
    similarity = unit @ unit.T
    similarity[own[:, None] == own[None, :]] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    # one of the same group, drawn where there are too few others, counts exp(-inf) = 0
    strength = np.exp((np.take_along_axis(similarity, nearest, axis=1) - 1) / temperature)
    counts = np.bincount(true, minlength=num_classes)
    worth = 1 / np.maximum(counts, 1)
    votes = np.zeros((len(unit), num_classes))
    rows = np.arange(len(unit))[:, None].repeat(nearest.shape[1], axis=1)
    np.add.at(votes, (rows, true[nearest]), worth[true[nearest]] * strength)
    return votes.argmax(axis=1)


def spread(labels: npt.ArrayLike, size: int) -> npt.NDArray[np.int64]:
    """Choose rows evenly over the classes, and within each evenly over its rows.

    Args:
        labels: ``(N,)`` integers.
        size: How many rows at most. What a small class leaves of its share goes to the others.

    Returns:
        Sorted row numbers; all of them when there are no more than `size`.
    """
    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    quota, left = np.zeros(len(classes), dtype=np.int64), size
    for place, c in enumerate(np.argsort(counts, kind="stable")):
        quota[c] = min(counts[c], left // (len(classes) - place))
        left -= quota[c]
    chosen = [
        np.flatnonzero(labels == c)[np.linspace(0, n - 1, q).round().astype(np.int64)]
        for c, n, q in zip(classes, counts, quota, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def vote_shares(
    similarity: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    *,
    temperature: float = 0.07,
) -> npt.NDArray[np.float64]:
    """Turn the nearest cases of each query into probabilities of the classes.

    A case counts ``exp((s - s_1) / temperature)``, where s is its similarity and s_1 that of the
    nearest (Wu et al., 2018, https://arxiv.org/abs/1805.01978); one further vote goes to the
    classes as they occur in the gallery, so that no few neighbours, however alike, make certain.

    Args:
        similarity: ``(N, K)`` cosines, descending.
        labels: ``(N, K)`` integers, the neighbours' classes.
        counts: ``(C,)``, cases of each class in the gallery.
        temperature: How much more the nearest count; above 0.

    Returns:
        ``(N, C)`` float64, rows summing to 1.
    """
    prior = counts / counts.sum()
    votes = np.tile(prior, (len(labels), 1))
    strength = np.exp((similarity - similarity[:, :1]) / temperature)
    rows = np.arange(len(labels))[:, None].repeat(labels.shape[1], axis=1)
    np.add.at(votes, (rows, labels), strength)
    return votes / votes.sum(axis=1, keepdims=True)
