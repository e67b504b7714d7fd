"""Asks for whom a model works: the same figures within each sex, age band and site.

A figure over all photographs can hide a group for which it does not hold. Groups are small, so a
figure is given only where it rests on enough lesions, and always with its interval and n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.core.metrics import (
    BoolArray,
    FloatArray,
    IntArray,
    balanced_accuracy,
    class_auc,
    score_ranks,
)
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels
from dermsim.evaluation.report import Subgroup
from dermsim.tasks.classify import Calibration

if TYPE_CHECKING:
    from datasets import Dataset

AGE_BANDS = (30, 45, 60, 75)
"""Ages in years at which a new band begins; HAM10000 gives ages in steps of five."""

NOT_KNOWN = "not known"
"""The group of those whose fact the source does not tell."""

MIN_LESIONS = 10
"""Lesions that each side of a figure must have: diagnoses, malignant, benign."""


def age_band(age: float | None) -> str:
    """Name the band that an age in years falls in, such as ``"45 to 59"``."""
    if age is None or np.isnan(age):
        return NOT_KNOWN
    first, last = AGE_BANDS[0], AGE_BANDS[-1]
    if age < first:
        return f"under {first}"
    for low, high in pairwise(AGE_BANDS):
        if age < high:
            return f"{low} to {high - 1}"
    return f"{last} and over"


def groups_of(dataset: Dataset) -> dict[str, list[str]]:
    """Say which group every row belongs to.

    Args:
        dataset: N rows of the `load_ham10000` schema.

    Returns:
        For ``sex``, ``age`` and ``localization`` the N names of the rows' groups, in the source's
        own words, ages as bands.
    """
    words = {
        fact: [NOT_KNOWN if value in (None, "unknown") else str(value) for value in dataset[fact]]
        for fact in ("sex", "localization")
    }
    ages = [age_band(age) for age in dataset["age"]]
    return {"sex": words["sex"], "age": ages, "localization": words["localization"]}


def evaluate_subgroups(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    groups: Mapping[str, Sequence[str]],
    calibration: Calibration,
) -> tuple[Subgroup, ...]:
    """Measure calibrated probabilities within each group of photographs.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses.
        bootstrap: The N lesions and how they are resampled.
        groups: By fact, the N names of the rows' groups, as from `groups_of`.
        calibration: For the operating point ``balanced``, fitted on validation.

    Returns:
        The groups of each fact in alphabetical order, ages ascending, those not known last. A fact
        that is known of nobody has none. A group has ``balanced_accuracy`` over its diagnoses of at
        least `MIN_LESIONS` lesions, when there are two; ``sensitivity`` when as many of its lesions
        are malignant, ``specificity`` when as many are benign, and ``malignancy_auc`` when both.

    Raises:
        ValueError: If shapes do not match or a label is out of range.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    called = calibration.is_malignant(values)  # checks them, too
    true = check_labels(labels, rows=len(values), num_classes=len(CODES))
    lengths = {len(bootstrap), *map(len, groups.values())}
    if lengths != {len(values)}:
        raise Refused("subgroups.lesion_ids", count=len(values), lengths=sorted(lengths))
    malignancy = score_ranks(calibration.malignancy(values))
    found = []
    for fact, names in groups.items():
        members = np.array(names)
        known = sorted(set(names) - {NOT_KNOWN}, key=_in_order)
        for name in [*known, NOT_KNOWN] if known else []:
            rows = np.flatnonzero(members == name)
            if len(rows) == 0:
                continue
            group = _Group(
                true[rows],
                values[rows].argmax(axis=1),
                called[rows],
                malignancy[rows],
                bootstrap.take(rows),
            )
            found.append(group.measure(fact, name))
    return tuple(found)


def _in_order(name: str) -> tuple[bool, str]:
    """Sort by name, but ``"under 30"`` before the bands that begin with a number."""
    return not name.startswith("under "), name


class _Group:
    """The rows of one group and what the model said of them."""

    def __init__(
        self,
        true: IntArray,
        predicted: IntArray,
        called: BoolArray,
        malignancy: IntArray,
        bootstrap: Bootstrap,
    ) -> None:
        self.true = true
        self.predicted = predicted
        self.called = called
        self.malignancy = malignancy
        self.bootstrap = bootstrap

    def measure(self, fact: str, name: str) -> Subgroup:
        """Return the figures that rest on enough lesions."""
        interval, mean = self.bootstrap.interval, self.bootstrap.mean
        malignant = np.isin(self.true, [LABEL2ID[code] for code in MALIGNANT])
        ill, well = np.flatnonzero(malignant), np.flatnonzero(~malignant)
        enough_ill, enough_well = self._enough(ill), self._enough(well)
        diagnoses = [
            label for label in range(len(CODES)) if self._enough(np.flatnonzero(self.true == label))
        ]
        found = {}
        if len(diagnoses) > 1:
            rows = np.flatnonzero(np.isin(self.true, diagnoses))
            found["balanced_accuracy"] = interval(
                lambda i: balanced_accuracy(self.true[i], self.predicted[i], len(CODES)), among=rows
            )
        if enough_ill and enough_well:
            found["malignancy_auc"] = interval(
                lambda i: class_auc(malignant[i], self.malignancy[i])
            )
        hits: FloatArray = (self.called == malignant).astype(np.float64)
        if enough_ill:
            found["sensitivity"] = mean(hits, among=ill)
        if enough_well:
            found["specificity"] = mean(hits, among=well)
        return Subgroup(
            fact=fact,
            name=name,
            n_images=len(self.true),
            n_lesions=self.bootstrap.n_lesions,
            class_counts={code: int((self.true == c).sum()) for code, c in LABEL2ID.items()},
            diagnoses=tuple(CODES[label] for label in diagnoses),
            metrics=found,
        )

    def _enough(self, rows: IntArray) -> bool:
        return self.bootstrap.take(rows).n_lesions >= MIN_LESIONS
