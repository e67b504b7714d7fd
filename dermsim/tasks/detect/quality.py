"""Is this a picture to give a label for? A gate in front of every label, made of pixels alone.

A small network reads `pixel_statistics` and says for each of `REASONS` how likely it is; what
exceeds the reason's threshold is a reason to withhold the verdict. It is fitted to pictures made of
training photographs (`dermsim.data.spoiled`), its thresholds to photographs of other lesions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys, read_arrays, save_arrays

FloatArray = npt.NDArray[np.float64]

REASONS = (
    "no_lesion",
    "lesion_small",
    "lesion_at_edge",
    "too_dark",
    "too_bright",
    "greyscale",
    "out_of_focus",
    "not_dermoscopy",
)
"""Why a picture is not one to judge; keys of `dermsim.engine.results.NOTICES`."""

_ARRAYS = {
    "mean": 1,
    "scale": 1,
    "hidden_weight": 2,
    "hidden_bias": 1,
    "reason_weight": 2,
    "reason_bias": 1,
    "thresholds": 1,
}

CLIP = 8.0
"""Standard deviations beyond which a statistic is taken to be no stranger: what lies far outside
of everything that was fitted must not outvote the rest."""


@dataclass(frozen=True, eq=False)
class QualityGate:
    """Says which pictures are not to be judged, and why.

    Attributes:
        mean: ``(K,)`` float32, of each statistic.
        scale: ``(K,)`` its standard deviation.
        hidden_weight: ``(K, H)``.
        hidden_bias: ``(H,)``.
        reason_weight: ``(H, R)``, R the number of `REASONS`.
        reason_bias: ``(R,)``.
        thresholds: ``(R,)`` probability above which a reason counts.
        side: S, pixels along each side of the pictures that it was fitted to.
        provenance: How it was fitted, plain values.
    """

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    hidden_weight: npt.NDArray[np.float32]
    hidden_bias: npt.NDArray[np.float32]
    reason_weight: npt.NDArray[np.float32]
    reason_bias: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float32]
    side: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        statistics, hidden, reasons = len(self.mean), len(self.hidden_bias), len(REASONS)
        shapes = {
            "mean": (statistics,),
            "scale": (statistics,),
            "hidden_weight": (statistics, hidden),
            "hidden_bias": (hidden,),
            "reason_weight": (hidden, reasons),
            "reason_bias": (reasons,),
            "thresholds": (reasons,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or 0 in shape:
                raise Refused(
                    "detect_quality.shape", name=name, array_shape=array.shape, shape=shape
                )
            if not np.isfinite(array).all():
                raise Refused("detect_quality.not_finite", name=name)
        if (self.scale <= 0).any():
            raise Refused("detect_quality.scale")

    def probabilities(self, statistics: npt.NDArray[np.floating]) -> FloatArray:
        """Return ``(N, R)``, how likely each reason is.

        Args:
            statistics: ``(N, K)`` of `pixel_statistics`.

        Raises:
            ValueError: If there are other statistics than it was fitted to.
        """
        rows = np.asarray(statistics, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise Refused("detect_quality.statistics", count=len(self.mean), shape=rows.shape)
        standard = np.clip((rows - self.mean) / self.scale, -CLIP, CLIP)
        hidden = np.maximum(standard @ self.hidden_weight + self.hidden_bias, 0)
        return 1 / (1 + np.exp(-np.clip(hidden @ self.reason_weight + self.reason_bias, -60, 60)))

    def beyond(self, statistics: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Return ``(N, R)``, which reasons count."""
        return np.asarray(self.probabilities(statistics) > self.thresholds)

    def reasons(self, statistics: npt.NDArray[np.floating]) -> list[tuple[str, ...]]:
        """Return why each picture is not one to judge, most likely first; empty when it is one.

        Args:
            statistics: ``(N, K)`` of `pixel_statistics`.
        """
        found = []
        for row in self.probabilities(statistics):
            order = np.argsort(-row, kind="stable")
            found.append(tuple(REASONS[r] for r in order if row[r] > self.thresholds[r]))
        return found

    def save(self, path: str | Path) -> None:
        """Write the gate into one ``.safetensors`` file, atomically."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        facts = {"reasons": list(REASONS), "side": self.side, "provenance": dict(self.provenance)}
        save_arrays(path, arrays, facts=facts)

    @classmethod
    def load(cls, path: str | Path, *, side: int | None = None) -> QualityGate:
        """Read what `save` wrote.

        Args:
            path: The file.
            side: Pixels along each side of what the encoder in use sees, or None to skip the
                comparison: sharpness means something else in other pixels.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, or the gate was fitted to other pixels.
        """
        name = Path(path).name
        arrays, facts = read_arrays(path)
        check_keys(
            facts, {"reasons", "side", "provenance"}, name=Phrase("storage.header", name=name)
        )
        check_keys(arrays, set(_ARRAYS), name=name)
        if facts["reasons"] != list(REASONS):
            raise Refused("detect_quality.other_version", name=name)
        for key, axes in _ARRAYS.items():
            if arrays[key].dtype != np.float32 or arrays[key].ndim != axes:
                raise Refused(
                    "detect_quality.array",
                    name=name,
                    key=key,
                    dtype=arrays[key].dtype,
                    shape=arrays[key].shape,
                )
        own, provenance = facts["side"], facts["provenance"]
        if type(own) is not int or not isinstance(provenance, dict):
            raise Refused("detect_quality.header", name=name)
        if side is not None and own != side:
            raise Refused("detect_quality.other_size", name=name, own=own, side=side)
        return cls(**arrays, side=own, provenance=provenance)  # type: ignore[arg-type]


def choose_thresholds(
    probabilities: FloatArray,
    labels: npt.NDArray[np.int64],
    budgets: Sequence[tuple[float, float]],
    *,
    floors: Sequence[float],
) -> npt.NDArray[np.float32]:
    """Choose thresholds by how many good photographs they may stop.

    Args:
        probabilities: ``(N, R)`` of good photographs that the gate was not fitted to.
        labels: ``(N,)`` their diagnoses: of none may many be stopped.
        budgets: For each reason the share of all photographs, and of each diagnosis, that may be
            stopped for it.
        floors: For each reason the lowest threshold.

    Returns:
        ``(R,)``, the lowest that keep to the budgets. A diagnosis of which so small a share is less
        than one photograph loses none.
    """
    chosen = []
    for column, (overall, each), floor in zip(probabilities.T, budgets, floors, strict=True):
        limits = [_limit(column, overall)]
        limits += [_limit(column[labels == label], each) for label in np.unique(labels)]
        chosen.append(max(floor, *limits))
    wanted = np.array(chosen)
    kept = wanted.astype(np.float32)
    # rounded down, a threshold would stop the very photograph that it was drawn at
    return np.where(kept < wanted, np.nextafter(kept, np.float32(np.inf)), kept)


def _limit(values: FloatArray, share: float) -> float:
    """Return the value that no more than a share exceeds."""
    allowed = min(int(share * len(values)), len(values) - 1)
    return float(np.sort(values)[::-1][allowed])
