"""Fits where structures are within the lesion, and measures it beside every control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.data.sources import isic2018_attributes
from dermsim.data.sources.registry import find_adapter
from dermsim.engine.concept_data import GRID, Outlines, Seen, regions_on_grid
from dermsim.tasks.concepts import Concepts, RegionFigures, Structures
from dermsim.tasks.concepts.heads import FittedHeads, Fold
from dermsim.tasks.concepts.lesion import lesion_of
from dermsim.tasks.concepts.regions import CONTROLS, centre_map, measure_regions, presence_maps
from dermsim.training.dense import Schedule, ask, fit_dense, structure_loss

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

STRUCTURE_PLAN = Schedule(hidden=16, epochs=4, weight_decay=1e-2)
"""How regions are fitted."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures of one data set, and what is known of them.

    Attributes:
        source: Name of the data set.
        rows: N rows.
        seen: What the encoder gives of them.
        groups: N names of what no fold may cut.
        measured: ``(N,)`` pictures that figures may rest on.
        names: K concepts.
        labels: ``(N, K)``: 1, 0, or -1 where nobody looked.
    """

    source: str
    rows: Dataset
    seen: Seen
    groups: Sequence[str]
    measured: npt.NDArray[np.bool_]
    names: Sequence[str]
    labels: npt.NDArray[np.int8]


def outlines_of(path: str) -> list[tuple[str, Outlines]]:
    """Find what looks up the outlines of each structure, where a data set draws them.

    Args:
        path: The data set's folder.

    Returns:
        Pairs of a concept's name and what looks its outlines up; none for other data sets.
    """
    if find_adapter(path) is not isic2018_attributes.ADAPTER:
        return []
    drawn = isic2018_attributes.AttributeOutlines(path)

    def lookup(concept: str) -> Outlines:
        return lambda image_id: drawn.region(image_id, concept)

    return [(concept, lookup(concept)) for concept in isic2018_attributes.CONCEPTS]


def fit_regions(
    engine: DermSim,
    part: Concepts,
    known: Labelled,
    regions: Sequence[tuple[str, Outlines]],
    fitted: FittedHeads,
    *,
    deals: Sequence[Fold],
    plan: Schedule,
) -> Structures:
    """Fit dense heads in folds to measure them, and to all rows to keep them.

    Args:
        engine: The checkpoint.
        part: Its concepts, with an outline.
        known: The pictures.
        regions: Pairs of a concept's name and what looks its outlines up.
        fitted: The presence heads, whose activation maps are a control.
        deals: The folds.
        plan: How to fit.
    """
    assert part.outline is not None
    names, seen = tuple(name for name, _ in regions), known.seen
    truth = np.stack([regions_on_grid(engine, known.rows, own) for _, own in regions], axis=1)
    lesions = np.stack([lesion_of(own) for own in ask(part.outline.head, seen.maps)[:, 0]])
    loss = structure_loss(truth, lesions)
    options: dict[str, Any] = {"outputs": len(names), "grid": GRID, "plan": plan}
    left_out = np.zeros_like(truth)
    for kept, out in deals:
        left_out[out] = ask(fit_dense(seen.maps, kept, loss, **options), seen.maps, out)
    head = fit_dense(seen.maps, np.arange(len(seen)), loss, **options)
    found = {
        name: _measure(place, names, left_out, truth, lesions, known, fitted)
        for place, name in enumerate(names)
    }
    figures = {name: own for name, own in found.items() if own is not None}
    return Structures(known.source, names, head, figures)


def _measure(
    place: int,
    names: Sequence[str],
    left_out: npt.NDArray[np.float32],
    truth: npt.NDArray[np.float32],
    lesions: npt.NDArray[np.bool_],
    known: Labelled,
    fitted: FittedHeads,
) -> RegionFigures | None:
    """Measure one structure on the pictures that show it, beside the controls."""
    shown = np.flatnonzero(truth[:, place].any(axis=(1, 2)) & known.measured)
    heads = [head.concept for head in fitted.heads.heads]
    if names[place] not in heads or len(shown) == 0:
        return None
    seen, weight = known.seen, fitted.heads.weight[heads.index(names[place])]
    cam = presence_maps(weight, [stage[shown] for stage in seen.maps], seen.last[shown], GRID)
    controls: dict[str, npt.NDArray[np.floating]] = {
        "gaussian": np.broadcast_to(centre_map(GRID), cam.shape),
        "darkness": seen.darkness[shown],
        "cam": cam,
    }
    assert {*controls, "other"} == set(CONTROLS)
    # the strongest of the other concepts' heads is the control
    tried = [
        measure_regions(
            left_out[shown, place],
            {**controls, "other": left_out[shown, rival]},
            truth[shown, place],
            lesions[shown],
            groups=[known.groups[row] for row in shown.tolist()],
            other=name,
        )
        for rival, name in enumerate(names)
        if rival != place
    ]
    measured = [figures for figures in tried if figures is not None]
    return min(measured, key=lambda figures: figures.gains["other"].value, default=None)
