"""How a calibration was fitted: on answers about lesions that each fit had left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import number_lesions
from dermsim.core.folds import Fold
from dermsim.core.labels import CODES
from dermsim.core.metrics import fit_temperature
from dermsim.core.refused import Refused
from dermsim.core.storage import check_keys
from dermsim.core.vectors import softmax
from dermsim.tasks.classify.operating import is_count, is_number


@dataclass(frozen=True)
class CrossFit:
    """The lesions a calibration was fitted to, and how they were dealt.

    Attributes:
        folds: In how many parts the lesions were dealt.
        seed: Of the dealing.
        lesions: By diagnosis code, how many lesions there were.
        class_bias: By diagnosis code, what the same lesions added to the classifier's logits; None
            for a classifier that was left as it was trained.
    """

    folds: int
    seed: int
    lesions: dict[str, int]
    class_bias: dict[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuse values that no fit can give."""
        if not is_count(self.folds) or self.folds < 2:
            raise Refused("cross_fit.folds", folds=self.folds)
        if not is_count(self.seed) or self.seed < 0:
            raise Refused("cross_fit.seed", seed=self.seed)
        for code, count in check_keys(self.lesions, set(CODES), name="cross_fit lesions").items():
            if not is_count(count) or count < 0:  # type: ignore[operator]
                raise Refused("cross_fit.lesions", code=code, count=count)
        if self.class_bias is None:
            return
        for code, bias in check_keys(self.class_bias, set(CODES), name="class_bias").items():
            if not is_number(bias) or not math.isfinite(bias):  # type: ignore[arg-type]
                raise Refused("cross_fit.bias", code=code, bias=bias)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> CrossFit:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or a value has the wrong type or range.
        """
        names = {part.name for part in fields(cls)}
        return cls(**check_keys(values, names, name="cross_fit"))  # type: ignore[arg-type]


def count_lesions(
    labels: npt.NDArray[np.int64], lesion_ids: Sequence[str | None]
) -> dict[str, int]:
    """Return how many lesions there are of each diagnosis, by its code.

    Args:
        labels: ``(N,)`` indices into `CODES`.
        lesion_ids: N lesions; None means a lesion of its own.
    """
    lesions = number_lesions(lesion_ids)
    return {code: len(np.unique(lesions[labels == label])) for label, code in enumerate(CODES)}


def left_out_probabilities(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], splits: Sequence[Fold]
) -> npt.NDArray[np.float64]:
    """Return what logits mean, each row at a temperature that was fitted without its lesion.

    Cross-conformal prediction (Vovk, 2015, https://doi.org/10.1007/s10472-013-9368-4) sets its
    thresholds by such answers: every lesion serves, and none is judged by a fit that knew it.

    Args:
        logits: ``(N, 7)``.
        labels: ``(N,)`` indices into `CODES`.
        splits: From `deal_lesions`.

    Returns:
        ``(N, 7)``, rows summing to 1.
    """
    probabilities = np.empty(logits.shape, dtype=np.float64)
    for kept, left_out in splits:
        temperature = fit_temperature(logits[kept], labels[kept])
        probabilities[left_out] = softmax(logits[left_out], temperature)
    return probabilities


def bias_by_code(bias: npt.ArrayLike | None) -> dict[str, float] | None:
    """Name the numbers of a class bias ``(7,)`` by diagnosis code; None stays None."""
    if bias is None:
        return None
    return dict(zip(CODES, np.asarray(bias, dtype=np.float64).tolist(), strict=True))


def bias_of(by_code: Mapping[str, float]) -> npt.NDArray[np.float32]:
    """Return a class bias ``(7,)`` in the order of `CODES`: `bias_by_code` the other way."""
    return np.array([by_code[code] for code in CODES], dtype=np.float32)
