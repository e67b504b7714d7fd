"""Softmax regression: the log loss, its gradient, and corrections to scores that are held small.

What is fitted here has a handful of rows for some classes. So a fit begins with scores that are
good already, and what it learns is a correction, which a penalty holds to nothing. NumPy in, NumPy
out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def log_loss(
    scores: FloatArray, targets: IntArray, weights: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Return the log loss of a softmax, summed over rows, and its gradient.

    Args:
        scores: ``(N, C)`` before the softmax.
        targets: ``(N,)`` the true columns.
        weights: ``(N,)`` how much each row counts; None for 1 each.

    Returns:
        The sum of minus the log-probability of the truth, and its gradient by the scores,
        ``(N, C)``.
    """
    from scipy.special import log_softmax

    logs = log_softmax(scores, axis=1)
    truth = np.arange(len(targets)), targets
    lost, errors = -logs[truth], np.exp(logs)
    errors[truth] -= 1.0
    if weights is not None:
        lost = weights * lost
        errors *= weights[:, None]
    return float(lost.sum()), errors


def fit_corrections(
    inputs: FloatArray,
    scores: FloatArray,
    targets: IntArray,
    weights: FloatArray,
    *,
    pull: FloatArray,
    bias_pull: float = 0.0,
    tolerance: float = 1e-10,
) -> tuple[FloatArray, FloatArray]:
    """Fit a linear layer that is added to the last columns of scores, by L-BFGS.

    It minimises the weighted log loss plus half the squared weights and biases, each times its
    pull: a convex problem.

    Args:
        inputs: ``(N, D)`` what the layer reads.
        scores: ``(N, C)`` that it is added to.
        targets: ``(N,)`` the true columns.
        weights: ``(N,)`` how much each row counts.
        pull: ``(E,)`` how strongly the weights of each of the last E columns are held to nothing.
        bias_pull: The same for the biases.
        tolerance: Relative decrease of the loss at which to stop.

    Returns:
        Weights ``(E, D)`` and biases ``(E,)``.
    """
    from scipy.optimize import minimize

    learned, width = len(pull), inputs.shape[1]
    fixed = scores.shape[1] - learned

    def objective(point: FloatArray) -> tuple[float, FloatArray]:
        layer = point.reshape(learned, width + 1)
        weight, bias = layer[:, :-1], layer[:, -1]
        moved = scores.copy()
        moved[:, fixed:] += inputs @ weight.T + bias
        lost, errors = log_loss(moved, targets, weights)
        errors = errors[:, fixed:]
        slope = np.empty_like(layer)
        slope[:, :-1] = errors.T @ inputs + pull[:, None] * weight
        slope[:, -1] = errors.sum(axis=0) + bias_pull * bias
        held = (pull @ weight**2).sum() + bias_pull * bias @ bias
        return lost + held / 2, slope.ravel()

    found = minimize(
        objective,
        np.zeros(learned * (width + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 20000, "ftol": tolerance, "gtol": 1e-6},
    )
    layer = found.x.reshape(learned, width + 1)
    return layer[:, :-1], layer[:, -1]
