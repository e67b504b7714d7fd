"""From logits to something one may say aloud: probabilities, a set of diagnoses, benign or not.

Logits ``(N, 7)`` come from the encoder's linear head. A `Calibration`, fitted once on validation
and shipped in the checkpoint folder as ``calibration.json``, turns them into probabilities that
mean what they say, into a set of diagnoses that keeps its promise for every class, and into a
decision about malignancy at a stated sensitivity. Sets and decisions are fitted to answers about
lesions that the fit had left out. NumPy in, NumPy out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dermsim.core.folds import deal_lesions, most_folds
from dermsim.core.labels import CODES, MALIGNANT
from dermsim.core.metrics import fit_temperature
from dermsim.core.refused import Refused
from dermsim.core.storage import check_keys
from dermsim.core.vectors import check_embeddings, check_labels, softmax
from dermsim.tasks.classify.coverage import covering_score
from dermsim.tasks.classify.cross_fit import (
    CrossFit,
    bias_by_code,
    count_lesions,
    left_out_probabilities,
)
from dermsim.tasks.classify.kept_calibration import KeptCalibration
from dermsim.tasks.classify.operating import (
    POINTS,
    MalignancyCurve,
    OperatingPoint,
    check_both,
    check_share,
    check_threshold,
    choose_points,
    is_number,
)

LEVELS = ("0.80", "0.90", "0.95")
"""Coverages that prediction sets are calibrated for beside the default one."""


@dataclass(frozen=True)
class Calibration(KeptCalibration):
    """What validation taught us about reading the logits.

    Attributes:
        temperature: Divisor of the logits (Guo et al., 2017, https://arxiv.org/abs/1706.04599).
        alpha: Share of each class that a prediction set may miss.
        set_thresholds: By diagnosis code, the largest nonconformity ``1 - p`` with which the code
            still belongs to the prediction set; 1 means always.
        operating_points: ``"balanced"`` and ``"sensitivity_95"``, fitted on validation.
        levels: Thresholds like `set_thresholds` for each of `LEVELS`; empty in a checkpoint that
            was calibrated for its default coverage alone.
        malignancy_curve: What every threshold on malignancy achieved on validation; None in a
            checkpoint that was calibrated for its operating points alone.
        cross_fit: How lesions were left out of the fit; None where that is not known.

    Examples:
        >>> calibration = engine.calibration
        >>> probabilities = calibration.probabilities([[0, 0, 1, 0, 3, 2, 0]])
        >>> calibration.prediction_sets(probabilities)
        [('mel',)]
    """

    temperature: float
    alpha: float
    set_thresholds: dict[str, float]
    operating_points: dict[str, OperatingPoint]
    levels: dict[str, dict[str, float]] = field(default_factory=dict)
    malignancy_curve: MalignancyCurve | None = None
    cross_fit: CrossFit | None = None

    def __post_init__(self) -> None:
        """Refuse values that no fit can give."""
        if not is_number(self.temperature) or not 0 < self.temperature < np.inf:
            raise Refused("calibration.temperature", temperature=self.temperature)
        _check_alpha(self.alpha)
        check_keys(self.operating_points, set(POINTS), name="operating_points")
        if self.levels != {}:
            check_keys(self.levels, set(LEVELS), name="levels")
        for thresholds in (self.set_thresholds, *self.levels.values()):
            check_keys(thresholds, set(CODES), name="set_thresholds")
            for code, value in thresholds.items():
                check_share(f"set threshold of {code}", value)
        if self.malignancy_curve is not None:
            self._check_curve(self.malignancy_curve)

    def _check_curve(self, curve: MalignancyCurve) -> None:
        for name, point in self.operating_points.items():
            there = curve.at(point.threshold)
            if point.threshold not in curve.thresholds or not (
                math.isclose(point.sensitivity, there.sensitivity, abs_tol=1e-9)
                and math.isclose(point.specificity, there.specificity, abs_tol=1e-9)
            ):
                raise Refused("calibration.off_curve", name=name)

    @classmethod
    def fit(
        cls,
        logits: npt.ArrayLike,
        labels: npt.ArrayLike,
        lesion_ids: Sequence[str | None] | None = None,
        *,
        alpha: float = 0.1,
        class_bias: npt.ArrayLike | None = None,
        seed: int = 0,
    ) -> Calibration:
        """Fit temperature, set thresholds and operating points on validation.

        Set thresholds, operating points and the malignancy curve rest on answers about lesions that
        the temperature was fitted without (`left_out_probabilities`), counted by lesion
        (`covering_score`). The temperature itself is then fitted to all.

        Args:
            logits: ``(N, 7)`` raw logits of images the model was not trained on. Where these images
                shaped the classifier, as they do a class bias, each row must come from a fit
                without its lesion.
            labels: ``(N,)`` integers, indices into `LABELS`.
            lesion_ids: The lesion of each image; None, for an image or in place of them all, means
                a lesion of its own.
            alpha: Share of each class that a prediction set may miss.
            class_bias: ``(7,)``, what these images added to the classifier's logits, to be kept
                beside what is fitted here; None for nothing.
            seed: Another seed deals the lesions differently into folds.

        Raises:
            ValueError: If shapes, labels or `alpha` are wrong, if the images are all benign or
                all malignant, or if no diagnosis has two of them.

        Examples:
            >>> import numpy as np
            >>> from dermsim import Calibration
            >>> labels = np.arange(140) % 7
            >>> noise = np.random.default_rng(0).normal(size=(140, 7))
            >>> 0 < Calibration.fit(2 * np.eye(7)[labels] + noise, labels).temperature < 2
            True
        """
        _check_alpha(alpha)
        raw = _check_logits(logits)
        targets = check_labels(labels, rows=len(raw), num_classes=len(CODES))
        temperature = fit_temperature(raw, targets)
        ids = [None] * len(raw) if lesion_ids is None else list(lesion_ids)
        malignant = _is_malignant(targets)
        check_both(malignant)
        folds = most_folds(targets, ids)
        splits = deal_lesions(targets, ids, folds=folds, seed=seed)
        unseen = left_out_probabilities(raw, targets, splits)
        curve = MalignancyCurve.fit(_malignancy(unseen), malignant)
        return cls(
            temperature=temperature,
            alpha=alpha,
            set_thresholds=_set_thresholds(unseen, targets, ids, 1.0 - alpha),
            operating_points=choose_points(curve, _malignancy(unseen), malignant, ids),
            levels={level: _set_thresholds(unseen, targets, ids, float(level)) for level in LEVELS},
            malignancy_curve=curve,
            cross_fit=CrossFit(folds, seed, count_lesions(targets, ids), bias_by_code(class_bias)),
        )

    def probabilities(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities ``(N, 7)``, rows summing to 1, from raw logits.

        Examples:
            >>> (row,) = engine.calibration.probabilities([[0, 0, 0, 0, 2, 1, 0]])
            >>> row.shape, float(row.sum().round(6))
            ((7,), 1.0)
        """
        return softmax(_check_logits(logits), self.temperature)

    def included(
        self, probabilities: npt.ArrayLike, *, level: str | None = None
    ) -> npt.NDArray[np.bool_]:
        """Say which diagnoses cannot be excluded.

        A code is in the set when ``1 - p`` does not exceed its threshold; the most probable code
        always is, so that no set is empty.

        Args:
            probabilities: ``(N, 7)`` from `probabilities`.
            level: Coverage, one of `LEVELS`; None for the default, ``1 - alpha``.

        Returns:
            ``(N, 7)`` bool.

        Raises:
            ValueError: If the checkpoint was not calibrated for that coverage.

        Examples:
            >>> engine.calibration.included([[0, 0, 0, 0, 0.6, 0.4, 0]]).tolist()
            [[False, False, False, False, True, True, False]]
        """
        values = _check_probabilities(probabilities)
        if level is not None and level not in self.levels:
            if self.levels:
                raise Refused("calibration.coverage", level=level, known=list(self.levels))
            default = 1 - self.alpha
            raise Refused("calibration.one_coverage", level=level, default=default)
        chosen = self.set_thresholds if level is None else self.levels[level]
        thresholds = np.array([chosen[code] for code in CODES])
        members = 1.0 - values <= thresholds
        members[np.arange(len(values)), values.argmax(axis=1)] = True
        return members

    def prediction_sets(
        self, probabilities: npt.ArrayLike, *, level: str | None = None
    ) -> list[tuple[str, ...]]:
        """Return the codes that cannot be excluded, most probable first, one tuple per row.

        Class-conditional split conformal prediction (Sadinle, Lei and Wasserman, 2019,
        https://arxiv.org/abs/1609.00451): of each class, at least ``1 - alpha`` of the images of
        exchangeable lesions have their own diagnosis in their set, on average over validation sets.
        A guarantee over all images together would be kept by the naevi alone while missing
        melanomas.

        Args:
            probabilities: ``(N, 7)`` from `probabilities`.
            level: Coverage, one of `LEVELS`; None for the default, ``1 - alpha``.

        Raises:
            ValueError: If the checkpoint was not calibrated for that coverage.

        Examples:
            >>> engine.calibration.prediction_sets([[0, 0, 0, 0, 0.6, 0.4, 0]])
            [('mel', 'nv')]
        """
        values = _check_probabilities(probabilities)
        return [
            tuple(CODES[c] for c in np.argsort(-row, kind="stable") if member[c])
            for row, member in zip(values, self.included(values, level=level), strict=True)
        ]

    def malignancy(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return ``(N,)`` summed probability of akiec, bcc and mel, in [0, 1].

        Examples:
            >>> engine.calibration.malignancy([[0.1, 0.2, 0, 0, 0.3, 0.4, 0]]).round(2).tolist()
            [0.6]
        """
        return _malignancy(_check_probabilities(probabilities))

    def is_malignant(
        self, probabilities: npt.ArrayLike, *, operating_point: str | float = POINTS[0]
    ) -> npt.NDArray[np.bool_]:
        """Say whether malignancy reaches an operating point.

        Args:
            probabilities: ``(N, 7)`` from `probabilities`.
            operating_point: ``"balanced"`` weighs missed malignancies and false alarms equally;
                ``"sensitivity_95"`` is to catch 95 % of malignant images yet to come. A number is a
                threshold of one's own.

        Returns:
            ``(N,)`` bool.

        Raises:
            ValueError: If there is no operating point of that name, or a number is outside [0, 1].

        Examples:
            >>> calibration, row = engine.calibration, [[0, 0, 0, 0, 0.2, 0.8, 0]]
            >>> calibration.is_malignant(row).tolist()
            [False]
            >>> calibration.is_malignant(row, operating_point="sensitivity_95").tolist()
            [True]
        """
        return self.malignancy(probabilities) >= self.threshold(operating_point)

    def threshold(self, operating_point: str | float = POINTS[0]) -> float:
        """Return the malignancy from which an image is called malignant.

        Args:
            operating_point: Name of a point, or a threshold in [0, 1].

        Raises:
            ValueError: If there is no operating point of that name, or a number is outside [0, 1].

        Examples:
            >>> round(engine.calibration.threshold("sensitivity_95"), 2)
            0.11
        """
        if isinstance(operating_point, str):
            return self._named(operating_point).threshold
        return check_threshold(operating_point)

    def operating_point(self, choice: str | float = POINTS[0]) -> OperatingPoint:
        """Return an operating point with what it achieved on validation.

        Args:
            choice: Name of a point, or a threshold in [0, 1].

        Raises:
            ValueError: If there is no point of that name, a number is outside [0, 1], or it is
                none of the points and the checkpoint has no `malignancy_curve` to read it from.

        Examples:
            >>> point = engine.calibration.operating_point("sensitivity_95")
            >>> round(point.sensitivity, 2), round(point.specificity, 2)
            (0.97, 0.64)
        """
        if isinstance(choice, str):
            return self._named(choice)
        threshold = check_threshold(choice)
        for point in self.operating_points.values():
            if point.threshold == threshold:
                return point
        if self.malignancy_curve is None:
            raise Refused(
                "calibration.threshold",
                threshold=threshold,
                operating_points=list(self.operating_points),
            )
        return self.malignancy_curve.at(threshold)

    def _named(self, name: str) -> OperatingPoint:
        if name not in self.operating_points:
            raise Refused(
                "calibration.operating_point",
                name=name,
                operating_points=sorted(self.operating_points),
            )
        return self.operating_points[name]


def _check_alpha(alpha: float) -> None:
    if not is_number(alpha) or not 0 < alpha < 1:
        raise Refused("calibration.alpha", alpha=alpha)


def _check_logits(logits: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return check_embeddings(logits, dim=len(CODES), name="logits")


def _check_probabilities(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(CODES):
        raise Refused("calibration.shape", count=len(CODES), shape=values.shape)
    if not (np.abs(values.sum(axis=1) - 1) < 1e-3).all() or (values < 0).any():
        raise Refused("label_errors.probabilities")
    return values


def _malignancy(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    columns = [CODES.index(code) for code in MALIGNANT]
    return np.minimum(probabilities[:, columns].sum(axis=1), 1.0)


def _is_malignant(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.isin(labels, [CODES.index(code) for code in MALIGNANT])


def _set_thresholds(
    probabilities: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    lesion_ids: Sequence[str | None],
    share: float,
) -> dict[str, float]:
    """Return, per code, the ``1 - p`` that a share of its photographs do not exceed."""
    thresholds = {}
    for label, code in enumerate(CODES):
        rows = np.flatnonzero(labels == label)
        ids = [lesion_ids[row] for row in rows.tolist()]
        found = covering_score(1.0 - probabilities[rows, label], ids, share) if len(rows) else None
        # too few lesions to promise anything: the code then belongs to every set
        thresholds[code] = 1.0 if found is None else found
    return thresholds
