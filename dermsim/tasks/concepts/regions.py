"""Whether a head may point at a place, by figures on pictures that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.metrics import class_auc
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys
from dermsim.tasks.concepts.dense import Maps, on_grid

FloatMaps = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

CONTROLS = ("gaussian", "darkness", "other", "cam")
"""What a region is always measured beside: a Gaussian in the middle of the square, how dark each
place is, the dense head of another concept, and the map of the presence head."""

FEWEST_CELLS = 5
"""Cells that a structure must have in a lesion, and that must be without it, to be ranked."""

FEWEST_PICTURES = 10
"""Pictures that figures about regions need."""


@dataclass(frozen=True)
class RegionFigures:
    """How well a dense head ranks the pixels of a lesion, and what else does.

    All are the area under the ROC curve within the lesion, averaged over pictures left out.

    Attributes:
        dense: Of the dense head.
        controls: Of each of `CONTROLS`.
        gains: Dense head minus control on the same pictures.
        threshold: Log-odds from which on a cell belongs to the region.
        other: Name of the concept whose head is the control ``other``.
    """

    dense: Interval
    controls: Mapping[str, Interval]
    gains: Mapping[str, Interval]
    threshold: float
    other: str

    @property
    def may_point(self) -> bool:
        """Whether the dense head beats every control with an interval clear of zero."""
        return all(gain.low > 0 for gain in self.gains.values())

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, and whether the head may point."""
        plain = {name: own.to_dict() for name, own in self.controls.items()}
        gains = {name: own.to_dict() for name, own in self.gains.items()}
        found = {**asdict(self), "dense": self.dense.to_dict(), "controls": plain, "gains": gains}
        return {**found, "may_point": self.may_point}

    @classmethod
    def from_dict(cls, values: object) -> RegionFigures:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or a control is.
        """
        names = {part.name for part in fields(cls)}
        known: dict[str, Any] = check_keys(
            values, names | {"may_point"}, name=Phrase("concepts_regions.figures")
        )
        told = known.pop("may_point")
        known["dense"] = Interval(**known["dense"])
        for name in ("controls", "gains"):
            own = check_keys(
                known[name], set(CONTROLS), name=Phrase("concepts_regions.of", name=name)
            )
            known[name] = {key: Interval(**value) for key, value in own.items()}  # type: ignore[arg-type]
        found = cls(**known)
        if found.may_point is not told:
            raise Refused("concepts_regions.may_point", told=told)
        return found


def pixel_auc(scores: FloatMaps, regions: FloatMaps, lesions: BoolArray) -> npt.NDArray[np.float64]:
    """Rank the cells of each lesion, and say how well those of a structure come first.

    Args:
        scores: ``(N, g, g)``.
        regions: ``(N, g, g)`` how much of each cell the structure covers, in [0, 1].
        lesions: ``(N, g, g)`` bool.

    Returns:
        ``(N,)`` areas under the ROC curve; NaN where too few cells are with or without it.
    """
    found = np.full(len(scores), np.nan)
    for row, lesion in enumerate(lesions):
        truth = regions[row][lesion] >= 0.5
        if FEWEST_CELLS <= truth.sum() <= len(truth) - FEWEST_CELLS:
            found[row] = class_auc(truth, scores[row][lesion])
    return found


def presence_maps(
    weight: npt.NDArray[np.floating],
    maps: Maps,
    last: npt.NDArray[np.floating],
    grid: int,
) -> npt.NDArray[np.float32]:
    """Draw the class activation maps of a presence head: what it says of where, if anything.

    Args:
        weight: ``(G,)`` of the head: of pooled features, then of the stages' means.
        maps: Of N pictures.
        last: ``(N, F, h, w)``, what was pooled.
        grid: Cells along each side.

    Returns:
        ``(N, grid, grid)``; what the head makes of spreads has no place, and is left out.
    """
    own, start = np.asarray(weight, dtype=np.float32), last.shape[1]
    found = on_grid(np.einsum("c,ncij->nij", own[:start], last.astype(np.float32)), grid).copy()
    for stage in maps:
        part = own[start : start + stage.shape[1]]
        found += on_grid(np.einsum("c,ncij->nij", part, stage.astype(np.float32)), grid)
        start += stage.shape[1]
    return found


def centre_map(grid: int) -> npt.NDArray[np.float32]:
    """Return how near each cell is to the middle; any Gaussian there ranks cells alike."""
    place = (np.arange(grid) + 0.5) / grid - 0.5
    return -(place[:, None] ** 2 + place[None, :] ** 2).astype(np.float32)


def measure_regions(
    dense: FloatMaps,
    controls: Mapping[str, FloatMaps],
    regions: FloatMaps,
    lesions: BoolArray,
    *,
    groups: Sequence[str],
    other: str,
    resamples: int = 1000,
) -> RegionFigures | None:
    """Measure a dense head on pictures left out, beside its controls.

    Args:
        dense: ``(N, g, g)`` its log-odds.
        controls: The same of each of `CONTROLS`.
        regions: ``(N, g, g)`` in [0, 1], the truth; N pictures that show the structure.
        lesions: ``(N, g, g)`` bool.
        groups: N names; whole groups are drawn.
        other: The concept whose head is the control ``other``.
        resamples: Of the intervals.

    Returns:
        None where fewer than `FEWEST_PICTURES` can be ranked.
    """
    areas = {name: pixel_auc(own, regions, lesions) for name, own in controls.items()}
    areas["dense"] = pixel_auc(dense, regions, lesions)
    known = np.isfinite(areas["dense"])
    if known.sum() < FEWEST_PICTURES:
        return None
    areas = {name: own[known] for name, own in areas.items()}
    kept = [group for group, ranked in zip(groups, known, strict=True) if ranked]
    bootstrap = Bootstrap(kept, resamples=resamples)

    def interval(values: npt.NDArray[np.float64]) -> Interval:
        return bootstrap.interval(lambda rows: float(values[rows].mean()))

    return RegionFigures(
        dense=interval(areas["dense"]),
        controls={name: interval(areas[name]) for name in CONTROLS},
        gains={name: interval(areas["dense"] - areas[name]) for name in CONTROLS},
        threshold=best_cut(dense, regions, lesions),
        other=other,
    )


def best_cut(dense: FloatMaps, regions: FloatMaps, lesions: BoolArray) -> float:
    """Return the log-odds at which regions overlap the truth best, averaged over pictures."""
    inside = np.concatenate([own[lesion] for own, lesion in zip(dense, lesions, strict=True)])
    cuts = np.unique(np.quantile(inside, np.linspace(0.05, 0.95, 19)))
    truth = (regions >= 0.5) & lesions
    total = truth.sum(axis=(1, 2))
    means = []
    for cut in cuts:
        drawn = (dense >= cut) & lesions
        both = (drawn & truth).sum(axis=(1, 2))
        either = drawn.sum(axis=(1, 2)) + total - both
        means.append(float(np.mean(both / np.maximum(either, 1))))
    return float(cuts[int(np.argmax(means))])
