"""The figures this project reports; `dermsim.core.bootstrap` says how sure one may be of them.

Every metric is a plain NumPy function of a test set's rows, checked in the tests against
scikit-learn. They are written out here, rather than called there, because the bootstrap evaluates
each a thousand times: scikit-learn's checks cost more than the arithmetic. Labels are integers,
probabilities ``(N, C)``; a class without a row gives NaN, and the means over classes are means
over the classes that are present.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels, softmax

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


# -- classification: predictions ------------------------------------------------------------------


def confusion_matrix(labels: IntArray, predictions: IntArray, num_classes: int) -> FloatArray:
    """Count rows by true class (axis 0) and predicted class (axis 1): ``(C, C)`` float64."""
    cells = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.float64)


def accuracy(labels: IntArray, predictions: IntArray) -> float:
    """Return the share of predictions ``(N,)`` that equal their labels ``(N,)``."""
    return float(np.mean(labels == predictions))


def recall_per_class(labels: IntArray, predictions: IntArray, num_classes: int) -> FloatArray:
    """Return the recall ``(C,)`` of each class; NaN for a class without rows.

    Args:
        labels: ``(N,)`` integers.
        predictions: ``(N,)`` integers.
        num_classes: C.
    """
    return _ratio_per_class(labels, labels == predictions, num_classes)


def balanced_accuracy(labels: IntArray, predictions: IntArray, num_classes: int) -> float:
    """Return the mean recall over the classes present.

    For seven classes it is the score of ISIC 2018 Task 3.

    Args:
        labels: ``(N,)`` integers.
        predictions: ``(N,)`` integers.
        num_classes: How many classes there are.
    """
    return float(np.nanmean(recall_per_class(labels, predictions, num_classes)))


def macro_f1(labels: IntArray, predictions: IntArray, num_classes: int) -> float:
    """Return the mean over the classes present of the harmonic mean of precision and recall.

    Args:
        labels: ``(N,)`` integers.
        predictions: ``(N,)`` integers.
        num_classes: How many classes there are.
    """
    matrix = confusion_matrix(labels, predictions, num_classes)
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    present = true > 0
    return float(np.mean(2 * np.diag(matrix)[present] / (true + predicted)[present]))


# -- classification: probabilities ----------------------------------------------------------------


def class_auc(positive: BoolArray, scores: npt.NDArray[np.generic]) -> float:
    """Area under the ROC curve: how often a positive row outscores a negative one, ties half.

    The Mann-Whitney form (Hanley and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747).
    It depends on the order of the scores alone, so `score_ranks` may stand in for them.

    Args:
        positive: ``(N,)`` bool.
        scores: ``(N,)`` higher means more likely positive. Non-negative integers are counted
            rather than sorted, which is much faster.

    Returns:
        In [0, 1]; NaN when all rows are positive or none is.
    """
    ranks = scores if np.issubdtype(scores.dtype, np.integer) else score_ranks(scores)
    size = int(ranks.max()) + 1
    positives = np.bincount(ranks[positive], minlength=size)
    negatives = np.bincount(ranks[~positive], minlength=size)
    pairs = positives.sum() * negatives.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(negatives) - negatives
    return float((positives @ (below + negatives / 2)) / pairs)


def score_ranks(scores: npt.NDArray[np.generic]) -> IntArray:
    """Replace scores ``(N,)`` by their dense ranks from 0, equal scores sharing one."""
    return np.unique(scores, return_inverse=True)[1].astype(np.int64)


def mean_auc(labels: IntArray, scores: npt.NDArray[np.generic]) -> float:
    """One-versus-rest AUC, averaged over the classes for which it is defined.

    Args:
        labels: ``(N,)`` integers.
        scores: ``(N, C)``, column c higher for rows more likely of class c.
    """
    areas = [class_auc(labels == c, scores[:, c]) for c in range(scores.shape[1])]
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")


def expected_calibration_error(
    labels: IntArray, probabilities: FloatArray, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence.

    Guo et al., 2017, https://arxiv.org/abs/1706.04599. Confidence is the largest probability of a
    row; a bin holds ``(low, high]``.

    Args:
        labels: ``(N,)`` integers.
        probabilities: ``(N, C)``.
        bins: Number of bins over [0, 1].

    Returns:
        In [0, 1]; 0 means that of the rows called with confidence p, a share p is right.
    """
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == labels) - confidence
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(bin_of, weights=gap)).sum() / len(labels))


def entropy(probabilities: npt.ArrayLike) -> FloatArray:
    """How undecided each row is, in bits: 0 when one class has all, log2(C) when all are equal.

    Args:
        probabilities: ``(N, C)``.

    Returns:
        ``(N,)``.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    bits = np.log2(values, out=np.zeros_like(values), where=values > 0)
    return np.maximum(-(values * bits).sum(axis=1), 0.0)


def fpr_at_tpr(positive: BoolArray, scores: npt.NDArray[np.generic], tpr: float = 0.95) -> float:
    """Share of the negative rows that pass where a share `tpr` of the positive rows does.

    The false positive rate at 95 % true positives of work on unfamiliar images, where the familiar
    are the positive ones (Liang et al., 2018, https://arxiv.org/abs/1706.02690).

    Args:
        positive: ``(N,)`` bool.
        scores: ``(N,)`` higher means more likely positive.
        tpr: Share of the positive rows that must pass, in (0, 1].

    Returns:
        In [0, 1]; NaN when all rows are positive or none is.
    """
    passing, others = np.sort(scores[positive])[::-1], scores[~positive]
    if len(passing) == 0 or len(others) == 0:
        return float("nan")
    # the lowest score with which enough pass; rounded first, since 0.95 * 20 must be 19
    lowest = passing[int(np.ceil(round(tpr * len(passing), 9))) - 1]
    return float(np.mean(others >= lowest))


def _ratio_per_class(
    labels: IntArray, hits: npt.NDArray[np.generic], num_classes: int
) -> FloatArray:
    counts = np.bincount(labels, minlength=num_classes).astype(np.float64)
    sums = np.bincount(labels, weights=hits.astype(np.float64), minlength=num_classes)
    return np.divide(sums, counts, out=np.full(num_classes, np.nan), where=counts > 0)


# -- retrieval ------------------------------------------------------------------------------------


def precision_at_k(relevance: BoolArray, k: int) -> FloatArray:
    """Share of relevant cases among the first k, for each query.

    Args:
        relevance: ``(N, M)`` bool, row n's gallery cases in ranked order, True where the case has
            the query's diagnosis.
        k: How many of them the user sees.

    Returns:
        ``(N,)`` in [0, 1].

    Raises:
        ValueError: If k is not within 1..M.
    """
    if not 1 <= k <= relevance.shape[1]:
        raise Refused("metrics.k", dimensions=relevance.shape[1], k=k)
    return relevance[:, :k].mean(axis=1)


def average_precision(relevance: BoolArray) -> FloatArray:
    """Mean, over the relevant cases of a query, of the precision at the place each is found.

    Args:
        relevance: ``(N, M)`` bool in ranked order, over the whole gallery.

    Returns:
        ``(N,)`` in [0, 1]; 0 for a query with no relevant case.
    """
    places = np.arange(1, relevance.shape[1] + 1)
    precision = np.cumsum(relevance, axis=1) / places
    found = relevance.sum(axis=1)
    return (precision * relevance).sum(axis=1) / np.maximum(found, 1)


def macro_mean(values: FloatArray, labels: IntArray, num_classes: int) -> float:
    """Return the mean over classes of the mean value of each class's rows.

    A class of many rows counts as much as a class of few.

    Args:
        values: ``(N,)`` floats.
        labels: ``(N,)`` integers.
        num_classes: How many classes there are.
    """
    return float(np.nanmean(_ratio_per_class(labels, values, num_classes)))


# -- calibration ----------------------------------------------------------------------------------


def fit_temperature(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, class_balanced: bool = False
) -> float:
    """Temperature that minimises the negative log-likelihood of the labels.

    One number divides all logits; it moves no argmax (Guo et al., 2017,
    https://arxiv.org/abs/1706.04599). The loss is convex in ``1 / T``, so that the bounded search
    over ``log T`` finds its one minimum.

    Args:
        logits: ``(N, C)``.
        labels: ``(N,)`` integers.
        class_balanced: Weigh each class present equally, whatever its number of rows.

    Returns:
        T in [0.001, 1000].

    Raises:
        ValueError: If there are no rows, or shapes or labels are wrong.
    """
    from scipy.optimize import minimize_scalar

    raw = np.asarray(logits)
    if raw.ndim != 2 or len(raw) == 0:
        raise Refused("metrics.logits", shape=raw.shape)
    targets = check_labels(labels, rows=len(raw), num_classes=raw.shape[1])
    weights = 1.0 / np.bincount(targets)[targets] if class_balanced else np.ones(len(targets))

    def loss(log_temperature: float) -> float:
        chosen = softmax(raw, float(np.exp(log_temperature)))[np.arange(len(targets)), targets]
        return float(np.average(-np.log(np.maximum(chosen, 1e-300)), weights=weights))

    limit = float(np.log(1000.0))
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
