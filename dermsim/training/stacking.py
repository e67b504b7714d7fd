"""The meta-learner of an ensemble: how much each member is heeded, for each diagnosis.

Stacked generalisation (Wolpert, 1992, https://doi.org/10.1016/S0893-6080(05)80023-1): a linear
layer reads the members' log-probabilities side by side. It is fitted on validation, where rare
diagnoses have a handful of images, so it starts from the members' plain average and is held to it:
only what many images agree on moves it away. NumPy in, NumPy out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.folds import FOLDS, deal_lesions
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.core.softmax_regression import fit_corrections, log_loss
from dermsim.core.vectors import check_labels

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""How much the rows weigh against the penalty, scikit-learn's C; near 0 is the plain average."""


@dataclass(frozen=True, eq=False)
class Stack:
    """What makes one answer of the answers of M members.

    Attributes:
        weight: ``(7, 7 * M)`` float32, to multiply the members' log-probabilities with; the first
            7 columns are the first member's.
        bias: ``(7,)`` float32.
        out_of_fold: ``(N, 7)`` float32, the stacked logits of the rows it was fitted to, each by
            weights that were fitted without that row's lesion.
        strength: The one of `STRENGTHS` that was chosen.

    Raises:
        ValueError: If the shapes do not fit together, or a number is not finite.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    out_of_fold: npt.NDArray[np.float32]
    strength: float

    def __post_init__(self) -> None:
        """Refuse what is not a linear layer of seven outputs."""
        classes = len(CODES)
        shapes = (self.weight.shape, self.bias.shape, self.out_of_fold.shape[1:])
        width = self.weight.shape[-1]
        if width == 0 or width % classes or shapes != ((classes, width), (classes,), (classes,)):
            raise Refused(
                "stacking.parts",
                classes=classes,
                weight_shape=self.weight.shape,
                bias_shape=self.bias.shape,
                out_of_fold_shape=self.out_of_fold.shape,
            )
        if not all(np.isfinite(a).all() for a in (self.weight, self.bias, self.out_of_fold)):
            raise Refused("stacking.weights_not_finite")

    def logits(self, member_logits: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the stacked logits ``(N, 7)`` of the members' logits ``(M, N, 7)``.

        The mean of each row is taken out, which no probability notices; see `DermSimEnsembleModel`.

        Raises:
            ValueError: If the shape is another, M is not this stack's, or a number is not finite.
        """
        inputs = _side_by_side(member_logits)
        if inputs.shape[1] != self.weight.shape[1]:
            raise Refused(
                "stacking.members",
                members=self.weight.shape[1] // len(CODES),
                given=inputs.shape[1] // len(CODES),
            )
        return _centred(inputs @ self.weight.T.astype(np.float64) + self.bias)


def fit_stack(
    member_logits: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[str | None] | None,
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> Stack:
    """Fit the meta-learner on validation.

    It is a multinomial logistic regression on the members' log-probabilities, and what is penalised
    (L2) is not its weights but how far they are from the plain average's. With an infinite penalty
    the stacked logits are the members' mean log-probability, times the one number that makes it as
    sure as it is right. The strength of the penalty is the one with the least log loss over rows
    whose lesion was left out of the fit; then the weights are fitted once more to all rows.

    The members were made to heed rare diagnoses more than their number warrants, and a regression
    on validation would undo that: naevi, two images of three, would win. So what the average lacks
    of each diagnosis' log share is added to the stacked logits while they are fitted, and left out
    of what is returned (the logit adjustment of Menon et al., 2021,
    https://arxiv.org/abs/2007.07314, with its strength estimated). The stack keeps the members' own
    balance between diagnoses, and learns only whom to believe about what.

    A diagnosis with few rows, or none, is no error: the penalty keeps it near the average.

    Args:
        member_logits: ``(M, N, 7)`` raw logits of images that no member was trained on.
        labels: ``(N,)`` integers, indices into `LABELS`.
        groups: The lesion of each row: one lesion is never on both sides of a fold. None, for a row
            or in place of them all, means a lesion of its own.
        folds: In how many parts the lesions are dealt.
        seed: Another seed deals them differently.

    Raises:
        ValueError: If shapes or labels are wrong, a number is not finite, all rows are of one
            diagnosis, or there are too few rows or lesions for the folds.
    """
    inputs = _side_by_side(member_logits)
    targets = check_labels(labels, rows=len(inputs), num_classes=len(CODES))
    splits = deal_lesions(targets, groups, folds=folds, seed=seed)
    starts = [_start(inputs[kept], targets[kept]) for kept, _ in splits]
    losses, candidates = [], []
    for strength in STRENGTHS:
        loss, logits = 0.0, np.empty((len(inputs), len(CODES)))
        for (kept, left_out), start in zip(splits, starts, strict=True):
            weight, bias = _fit(inputs[kept], targets[kept], start, strength)
            logits[left_out] = inputs[left_out] @ weight.T + bias
            loss += log_loss(logits[left_out] + start.prior, targets[left_out])[0]
        losses.append(loss)
        candidates.append(logits)
    best = int(np.argmin(losses))  # of equals the one nearest to the average
    weight, bias = _fit(inputs, targets, _start(inputs, targets), STRENGTHS[best])
    return Stack(
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32),
        out_of_fold=_centred(candidates[best]),
        strength=STRENGTHS[best],
    )


@dataclass(frozen=True, eq=False)
class _Start:
    """Where a fit sets out from, and is held to.

    Attributes:
        weight: ``(7, 7 * M)``, the plain average times one number.
        prior: ``(7,)``, what it lacks of the log share of each diagnosis.
    """

    weight: FloatArray
    prior: FloatArray


def _start(inputs: FloatArray, targets: IntArray) -> _Start:
    """Fit two numbers: how sure the average should be, and how much of the log shares it lacks.

    The latter is in [0, 1]: members trained on diagnoses as frequent as they are lack nothing,
    members trained on all of them equally often lack all. An absent diagnosis counts as one row.
    """
    from scipy.optimize import minimize

    classes, width = len(CODES), inputs.shape[1]
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    log_shares = np.log(counts / counts.sum())
    average = np.tile(np.eye(classes), width // classes) * (classes / width)
    answers = inputs @ average.T
    found = minimize(
        lambda point: (
            log_loss(point[0] * answers + point[1] * log_shares, targets)[0] / len(targets)
        ),
        np.array([1.0, 0.5]),
        method="L-BFGS-B",
        bounds=[(0.0, 10.0), (0.0, 1.0)],  # members that are never wrong could not be too sure
    )
    return _Start(found.x[0] * average, found.x[1] * log_shares)


def _fit(
    inputs: FloatArray, targets: IntArray, start: _Start, strength: float
) -> tuple[FloatArray, FloatArray]:
    """Minimise the mean log loss plus the penalty.

    With C the strength, Δ the distance of the weights from the start's and b the bias, the penalty
    is (‖Δ‖² + ‖b‖²) / (2 C N): scikit-learn's objective divided by C N.

    Args:
        inputs: ``(N, 7 * M)`` log-probabilities.
        targets: ``(N,)``.
        start: Its prior is added to the logits before the loss.
        strength: C.

    Returns:
        The weights ``(7, 7 * M)`` and the bias ``(7,)``.
    """
    rows, classes = len(inputs), len(start.prior)
    penalty = 1.0 / (strength * rows)
    weight, bias = fit_corrections(
        inputs,
        inputs @ start.weight.T + start.prior,
        targets,
        np.full(rows, 1.0 / rows),
        pull=np.full(classes, penalty),
        bias_pull=penalty,
    )
    return start.weight + weight, bias


def _side_by_side(member_logits: npt.ArrayLike) -> FloatArray:
    """Turn logits ``(M, N, 7)`` into log-probabilities ``(N, 7 * M)``."""
    from scipy.special import log_softmax

    logits = np.asarray(member_logits, dtype=np.float64)
    if logits.ndim != 3 or logits.shape[2] != len(CODES) or 0 in logits.shape:
        raise Refused("stacking.shape", count=len(CODES), shape=logits.shape)
    if not np.isfinite(logits).all():
        raise Refused("stacking.not_finite")
    return np.concatenate(list(log_softmax(logits, axis=-1)), axis=1)


def _centred(logits: FloatArray) -> npt.NDArray[np.float32]:
    return (logits - logits.mean(axis=1, keepdims=True)).astype(np.float32)
