"""How readily a classifier names each diagnosis, set right on validation.

What a diagnosis is ranked by can be good while it is hardly ever named: pictures mixed in training,
weights averaged after it and squares of another size all move some logits against others. One
number added to each logit puts that right, and changes neither the embedding nor the ranking of
photographs by a logit. NumPy in, NumPy out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.core.folds import deal_lesions, most_folds
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.core.softmax_regression import log_loss
from dermsim.core.vectors import check_labels


def add_left_out_bias(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    lesion_ids: Sequence[str | None] | None,
    *,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Add to each row of logits the bias that was fitted without the row's lesion.

    What is fitted to a lesion answers it too well. So the calibration is to see these logits, not
    those with the one bias that all lesions chose together.

    Args:
        logits: ``(N, 7)`` of photographs that the encoder was not trained on, without a bias.
        labels: ``(N,)`` integers.
        lesion_ids: The lesion of each row, as for `deal_lesions`.
        seed: Another seed deals the lesions differently.

    Returns:
        ``(N, 7)``.

    Raises:
        ValueError: As for `fit_class_bias` and `deal_lesions`.
    """
    raw = np.asarray(logits, dtype=np.float32)
    targets = check_labels(labels, rows=len(raw), num_classes=len(CODES))
    added = np.empty_like(raw)
    folds = most_folds(targets, lesion_ids)
    for kept, left_out in deal_lesions(targets, lesion_ids, folds=folds, seed=seed):
        added[left_out] = fit_class_bias(raw[kept], targets[kept])
    return raw + added


def fit_class_bias(
    logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    balance: float = 0.75,
    penalty: float = 0.01,
) -> npt.NDArray[np.float32]:
    """Fit what to add to the logits, by bias-corrected temperature scaling.

    A temperature and a bias for each class minimise the log loss (Alexandari, Kundaje and Shrikumar
    2020, https://arxiv.org/abs/1901.06852); the temperature is left to the calibration. Rare
    diagnoses count for more than their number, as in training, or the fit would name them no more.

    Args:
        logits: ``(N, 7)`` of photographs that the encoder was not trained on.
        labels: ``(N,)`` integers.
        balance: 0 counts photographs alike, 1 the diagnoses present, 0.5 by square root. The
            default gave, left-out lesions of validation asked, the highest areas under ROC curves
            and the lowest calibration error that cost no balanced accuracy (docs/experiments.md).
        penalty: Weight of the squared biases beside the mean log loss. It holds the bias of a
            diagnosis with a handful of photographs near 0, and keeps that of an absent one, which
            the loss would have without end, finite.

    Returns:
        ``(7,)`` with mean 0.

    Raises:
        ValueError: If there are no rows, or shapes or labels are wrong, or a number is not finite.
    """
    from scipy.optimize import minimize

    raw = np.asarray(logits, dtype=np.float64)
    if raw.ndim != 2 or raw.shape[1] != len(CODES) or len(raw) == 0:
        raise Refused("class_bias.shape", count=len(CODES), shape=raw.shape)
    if not np.isfinite(raw).all():
        raise Refused("class_bias.not_finite")
    targets = check_labels(labels, rows=len(raw), num_classes=len(CODES))
    weights = np.bincount(targets).astype(np.float64)[targets] ** -balance
    weights /= weights.sum()

    def objective(point: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        sharpness, bias = np.exp(point[0]), point[1:]
        lost, errors = log_loss(sharpness * raw + bias, targets, weights)
        slope = np.concatenate(
            [[sharpness * (errors * raw).sum()], errors.sum(axis=0) + 2 * penalty * bias]
        )
        return float(lost + penalty * bias @ bias), slope

    bounds = [(-5.0, 5.0), *[(None, None)] * len(CODES)]
    start = np.zeros(1 + len(CODES))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    bias = found[1:] / np.exp(found[0])  # of logits as they come, not sharpened ones
    return (bias - bias.mean()).astype(np.float32)
