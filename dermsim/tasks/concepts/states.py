"""States said of pictures, each with thresholds that were set without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dermsim.tasks.concepts.heads import ConceptHeads, FloatArray, Fold, sigmoid
from dermsim.tasks.concepts.thresholds import Threshold, absent_below, present_from

UNSAID = -1
"""What stands for a concept of which neither state may be said."""


def states_left_out(
    left_out: FloatArray, labels: npt.NDArray[np.int8], deals: Sequence[Fold]
) -> npt.NDArray[np.int8]:
    """Say what is said of each picture by thresholds set on the other folds.

    Args:
        left_out: ``(N, K)`` calibrated log-odds, each row by a fit without its group.
        labels: ``(N, K)``: 1, 0, or -1 where nobody looked.
        deals: The folds.

    Returns:
        ``(N, K)`` int8: 1 present, 0 absent, `UNSAID`.
    """
    probability = sigmoid(left_out)
    said = np.full(labels.shape, UNSAID, dtype=np.int8)
    for kept, out in deals:
        for column in range(labels.shape[1]):
            rows = kept[labels[kept, column] >= 0]
            known, truth = probability[rows, column], labels[rows, column] == 1
            limits = present_from(known, truth), absent_below(known, truth)
            _say(said, out, column, probability, limits)
    return said


def states_asked(heads: ConceptHeads, features: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """Say what heads say of pictures that they were not fitted to, by their own thresholds.

    Args:
        heads: K heads.
        features: ``(N, G)``.

    Returns:
        As `states_left_out`.
    """
    probability = heads.probabilities(features)
    said = np.full(probability.shape, UNSAID, dtype=np.int8)
    everything = np.arange(len(features))
    for column, head in enumerate(heads.heads):
        _say(said, everything, column, probability, (head.present, head.absent))
    return said


def _say(
    said: npt.NDArray[np.int8],
    rows: npt.NDArray[np.int64],
    column: int,
    probability: FloatArray,
    limits: tuple[Threshold | None, Threshold | None],
) -> None:
    """Write the states of some rows of a column."""
    own, (present, absent) = probability[rows, column], limits
    if present is not None:
        said[rows[own >= present.probability], column] = 1
    if absent is not None:
        below = own < absent.probability
        if present is not None:
            below &= own < present.probability
        said[rows[below], column] = 0
