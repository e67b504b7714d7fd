"""Linear heads that say whether a concept is there, fitted so that no picture judges its own fit.

A head reads features that are frozen, standardised: what is stored are weights of raw features.
Every figure and threshold comes from scores of rows whose group the fit had left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.folds import deal_lesions
from dermsim.core.metrics import class_auc
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys
from dermsim.tasks.concepts.thresholds import Threshold, absent_below, present_from

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""The rows that a fit may see, and those that it may not."""

USABLE = 0.6
"""What the lower end of a head's AUC must reach for it to be shown."""

STRENGTH = 0.001
"""Inverse of the ridge penalty, over standardised features; chosen once, for all heads."""

FEWEST = 10
"""Groups that must show a concept, and groups that must not, for a head to be fitted."""


@dataclass(frozen=True)
class ConceptHead:
    """What is known of one head; its weights are a row of `ConceptHeads.weight`.

    Attributes:
        concept: Name in the list of concepts.
        source: The data set that labelled it.
        positives: Rows that show the concept.
        negatives: Rows that were looked at and do not.
        auc: On rows left out of the fit, with an interval over groups; rows that the encoder was
            trained on are not counted.
        present: From which probability on the concept is said to be there, None for never.
        absent: Below which probability it is said not to be there, None for never.
        slope: Of the calibration: probability = sigmoid(slope * score + offset).
        offset: Of the calibration.
    """

    concept: str
    source: str
    positives: int
    negatives: int
    auc: Interval
    present: Threshold | None
    absent: Threshold | None
    slope: float
    offset: float

    @property
    def key(self) -> str:
        """Name of concept and data set, as in ``"streaks@isic2018_attributes"``."""
        return f"{self.concept}@{self.source}"

    @property
    def usable(self) -> bool:
        """Whether the whole interval of the AUC lies above `USABLE`."""
        return self.auc.low >= USABLE

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, and whether it is usable."""
        return {**asdict(self), "auc": self.auc.to_dict(), "usable": self.usable}

    @classmethod
    def from_dict(cls, values: object) -> ConceptHead:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or says another thing than the rest.
        """
        names = {part.name for part in fields(cls)}
        known: dict[str, Any] = check_keys(
            values, names | {"usable"}, name=Phrase("concepts_heads.head")
        )
        usable = known.pop("usable")
        try:
            known["auc"] = Interval(**known["auc"])
            for side in ("present", "absent"):
                known[side] = known[side] and Threshold(**known[side])
            head = cls(**known)
        except TypeError as error:
            raise Refused("concepts_heads.damaged", error=error) from error
        if head.usable is not usable:
            raise Refused("concepts_heads.usable", key=head.key, usable=usable)
        return head


@dataclass(frozen=True, eq=False)
class ConceptHeads:
    """Heads fitted to one encoder.

    Attributes:
        heads: K heads.
        weight: ``(K, F)`` float32, of raw features.
        bias: ``(K,)`` float32.
    """

    heads: tuple[ConceptHead, ...]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse weights that are not of these heads."""
        if self.weight.shape[:1] != (len(self.heads),) or self.bias.shape != (len(self.heads),):
            raise Refused(
                "concepts_heads.shape",
                count=len(self.heads),
                weight_shape=self.weight.shape,
                bias_shape=self.bias.shape,
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise Refused("concepts_heads.not_finite")

    def __len__(self) -> int:
        """Return K."""
        return len(self.heads)

    def scores(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Return ``(N, K)`` raw scores of features ``(N, F)``; higher means likelier there.

        Raises:
            ValueError: If the features are of another encoder.
        """
        if features.ndim != 2 or features.shape[1] != self.weight.shape[1]:
            raise Refused(
                "concepts_heads.other_encoder",
                expected=self.weight.shape[1],
                dimensions=features.shape[-1],
            )
        return features.astype(np.float64) @ self.weight.T.astype(np.float64) + self.bias

    def calibrated(self, scores: FloatArray) -> FloatArray:
        """Return ``(N, K)`` log-odds that are calibrated, of raw scores."""
        slope = np.array([head.slope for head in self.heads])
        offset = np.array([head.offset for head in self.heads])
        return scores * slope + offset

    def probabilities(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Return ``(N, K)`` calibrated probabilities that each concept is there."""
        return sigmoid(self.calibrated(self.scores(features)))

    def take(self, rows: Sequence[int]) -> ConceptHeads:
        """Return some of the heads."""
        places = list(rows)
        return ConceptHeads(
            tuple(self.heads[row] for row in places), self.weight[places], self.bias[places]
        )

    def without(self, source: str) -> ConceptHeads:
        """Return the heads of all other data sets."""
        return self.take([row for row, head in enumerate(self.heads) if head.source != source])

    def join(self, other: ConceptHeads) -> ConceptHeads:
        """Put heads of the same encoder together.

        Raises:
            ValueError: If they take other features, or one is there twice.
        """
        if len(self) and len(other) and self.weight.shape[1] != other.weight.shape[1]:
            raise Refused("concepts_heads.two_encoders")
        keys = [head.key for head in (*self.heads, *other.heads)]
        if len(set(keys)) < len(keys):
            raise Refused("concepts_heads.twice")
        some = [heads for heads in (self, other) if len(heads)]
        if not some:
            return self
        return ConceptHeads(
            tuple(head for heads in some for head in heads.heads),
            np.concatenate([heads.weight for heads in some]),
            np.concatenate([heads.bias for heads in some]),
        )


@dataclass(frozen=True, eq=False)
class FittedHeads:
    """Heads, and what they say of the rows they were fitted to when those are left out.

    Attributes:
        heads: Fitted to all rows.
        left_out: ``(N, K)`` calibrated log-odds, each row by a fit without its group.
        labels: ``(N, K)`` what they were fitted to.
        skipped: By concept, why no head could be fitted.
    """

    heads: ConceptHeads
    left_out: FloatArray
    labels: npt.NDArray[np.int8]
    skipped: dict[str, Phrase]


def fit_heads(
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int8],
    concepts: Sequence[str],
    *,
    source: str,
    groups: Sequence[str],
    measured: BoolArray | None = None,
    folds: int = 5,
    seed: int = 0,
    resamples: int = 1000,
) -> FittedHeads:
    """Fit one head for each concept that enough groups show.

    Args:
        features: ``(N, F)`` frozen features.
        labels: ``(N, K)``: 1 seen, 0 not seen, -1 where nobody looked.
        concepts: K names.
        source: Name of the data set.
        groups: What no fold may cut, for each row.
        measured: ``(N,)`` rows that figures and thresholds may rest on; None for all. Rows that the
            encoder was trained on are not among them.
        folds: In how many parts the groups are dealt.
        seed: Of the dealing.
        resamples: Of the intervals.

    Raises:
        ValueError: If shapes do not fit, or no concept can be fitted.
    """
    if labels.shape != (len(features), len(concepts)) or len(groups) != len(features):
        raise Refused(
            "concepts_heads.rows",
            features_count=len(features),
            shape=labels.shape,
            groups_count=len(groups),
        )
    counted = np.ones(len(features), dtype=bool) if measured is None else measured
    skipped = {
        concept: reason
        for concept, column in zip(concepts, labels.T, strict=True)
        if (reason := _too_few(column, groups, counted))
    }
    kept = [place for place, concept in enumerate(concepts) if concept not in skipped]
    if not kept:
        reason = next(iter(skipped.values()), Phrase("concepts_heads.none_there"))
        raise Refused("concepts_heads.none_fitted", source=source, reason=reason)
    deals = deal_groups(labels[:, kept], groups, folds=folds, seed=seed)
    heads, weights, biases = [], [], []
    left_out = np.zeros((len(features), len(kept)))
    for column, place in enumerate(kept):
        seen = labels[:, place]
        scores, weight, bias = _cross_fit(features, seen, deals)
        draft = _measure(scores, seen, counted, groups, resamples=resamples)
        heads.append(replace(draft, concept=concepts[place], source=source))
        left_out[:, column] = scores * draft.slope + draft.offset
        weights.append(weight)
        biases.append(bias)
    fitted = ConceptHeads(tuple(heads), np.stack(weights), np.array(biases, dtype=np.float32))
    return FittedHeads(fitted, left_out, labels[:, kept], skipped)


def fit_linear(
    features: npt.NDArray[np.floating], positive: BoolArray, *, strength: float = STRENGTH
) -> tuple[npt.NDArray[np.float32], float]:
    """Fit a ridge-penalised logistic regression, both sides weighing alike.

    Args:
        features: ``(N, F)``, standardised here.
        positive: ``(N,)`` bool, of both kinds.
        strength: Inverse of the penalty.

    Returns:
        Weights ``(F,)`` float32 and bias, of the features as they came.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=500)
    model.fit((features - mean) / spread, positive)
    weight = (model.coef_[0] / spread).astype(np.float32)
    return weight, float(model.intercept_[0] - (model.coef_[0] / spread) @ mean)


def fit_sigmoid(scores: FloatArray, positive: BoolArray) -> tuple[float, float]:
    """Fit slope and offset that make scores log-odds (Platt 1999).

    The targets are Platt's, so that a perfect score does not ask for an infinite slope.

    Args:
        scores: ``(N,)``, of rows that the scorer was not fitted to.
        positive: ``(N,)`` bool.
    """
    from scipy.optimize import minimize

    yes, no = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (yes + 1) / (yes + 2), 1 / (no + 2))
    scale = float(scores.std()) or 1.0
    middle = float(scores.mean())
    unit = (scores - middle) / scale

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        logit = unit * point[0] + point[1]
        value = float((np.logaddexp(0, logit) - target * logit).mean())
        error = sigmoid(logit) - target
        return value, np.array([(error * unit).mean(), error.mean()])

    # never downwards: a head that is no better than chance must not be turned round by it
    bounds = [(1e-3, None), (None, None)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    slope, offset = found.x
    return float(slope / scale), float(offset - slope * middle / scale)


def deal_groups(
    labels: npt.NDArray[np.int8], groups: Sequence[str], *, folds: int, seed: int
) -> list[Fold]:
    """Deal groups into folds, near-stratified by the rarest concept each row shows.

    Args:
        labels: ``(N, K)``.
        groups: N names.
        folds: How many.
        seed: Another seed deals them differently.

    Returns:
        Of each fold the rows that a fit may see and those that it may not.
    """
    shown = labels == 1
    order = np.argsort(shown.sum(axis=0), kind="stable")
    rarest = np.where(shown[:, order].any(axis=1), shown[:, order].argmax(axis=1), labels.shape[1])
    return deal_lesions(rarest.astype(np.int64), list(groups), folds=folds, seed=seed)


def sigmoid(values: npt.NDArray[np.floating]) -> FloatArray:
    """Return 1 / (1 + exp(-values)), for values of any shape, without overflow."""
    return 0.5 + 0.5 * np.tanh(np.asarray(values, dtype=np.float64) / 2)


def _too_few(
    column: npt.NDArray[np.int8], groups: Sequence[str], counted: BoolArray
) -> Phrase | None:
    names = np.asarray(groups, dtype=object)
    for state, key in ((1, "concepts_heads.few_with"), (0, "concepts_heads.few_without")):
        found = len(set(names[(column == state) & counted]))
        if found < FEWEST:
            return Phrase(key, count=found, fewest=FEWEST)
    return None


def _cross_fit(
    features: npt.NDArray[np.floating],
    seen: npt.NDArray[np.int8],
    deals: Sequence[Fold],
) -> tuple[FloatArray, npt.NDArray[np.float32], float]:
    """Score each row without its group, and fit to all; rows without a label are scored, too."""
    scores = np.zeros(len(features))
    for kept, out in deals:
        rows = kept[seen[kept] >= 0]
        weight, bias = fit_linear(features[rows], seen[rows] == 1)
        scores[out] = features[out] @ weight + bias
    rows = np.flatnonzero(seen >= 0)
    weight, bias = fit_linear(features[rows], seen[rows] == 1)
    return scores, weight, bias


def _measure(
    scores: FloatArray,
    seen: npt.NDArray[np.int8],
    counted: BoolArray,
    groups: Sequence[str],
    *,
    resamples: int,
) -> ConceptHead:
    rows = np.flatnonzero((seen >= 0) & counted)
    positive, own = seen[rows] == 1, scores[rows]
    bootstrap = Bootstrap([groups[row] for row in rows.tolist()], resamples=resamples)
    auc = bootstrap.interval(lambda some: class_auc(positive[some], own[some]))
    slope, offset = fit_sigmoid(own, positive)
    probability = sigmoid(own * slope + offset)
    return ConceptHead(
        concept="",
        source="",
        positives=int((seen == 1).sum()),
        negatives=int((seen == 0).sum()),
        auc=auc,
        present=present_from(probability, positive),
        absent=absent_below(probability, positive),
        slope=slope,
        offset=offset,
    )
