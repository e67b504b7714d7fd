"""Fits where the lesion is, on the frozen encoder's maps, from dermatologists' outlines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.refused import Refused
from dermsim.data.exam import refuse_exam
from dermsim.engine.concept_data import GRID, Outlines, Seen, look_through, regions_on_grid
from dermsim.tasks.concepts import Concepts, DenseHead, Outline
from dermsim.tasks.concepts.dense import on_grid
from dermsim.tasks.concepts.lesion import dice, lesion_of, overlap
from dermsim.training.dense import Schedule, ask, fit_dense, outline_loss

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

OUTLINE_PLAN = Schedule(hidden=16, epochs=6)
"""How the outline is fitted."""

MOST_OUTLINES = 2500
"""Pictures that the outline is fitted to, drawn at random of more."""


def fit_outline(
    engine: DermSim,
    train: Dataset,
    held_out: Dataset,
    outline: Outlines,
    *,
    source: str,
    plan: Schedule = OUTLINE_PLAN,
    most: int = MOST_OUTLINES,
    seed: int = 0,
) -> Concepts:
    """Fit where the lesion is, and measure it on lesions held out.

    Args:
        engine: The checkpoint.
        train: Rows to fit to.
        held_out: Rows of other lesions.
        outline: Looks the dermatologists' outlines up.
        source: Name of the data set.
        plan: How to fit.
        most: Pictures to fit to at most.
        seed: Of their choice.

    Returns:
        The checkpoint's concepts with the new outline.

    Raises:
        ValueError: If a row belongs to an exam, or a lesion is in both.
    """
    refuse_exam([*train["image_id"], *held_out["image_id"]], source=source)
    if both := set(train["lesion_id"]) & set(held_out["lesion_id"]) - {None}:
        raise Refused("concept_bottleneck.leak", both=min(both))
    if len(train) > most:
        chosen = np.random.default_rng(seed).choice(len(train), most, replace=False)
        train = train.select(np.sort(chosen).tolist())
    seen = look_through(engine, train, maps=True, purpose="outlines to fit to")
    head = fit_dense(
        seen.maps,
        np.arange(len(seen)),
        outline_loss(regions_on_grid(engine, train, outline)),
        outputs=1,
        grid=GRID,
        plan=plan,
    )
    asked = look_through(engine, held_out, maps=True, purpose="lesions held out")
    figures = _outline_figures(engine, head, asked, held_out, outline)
    part = engine.concept_part or Concepts(engine.fingerprint)
    return replace(part, outline=Outline(source, head, **figures))


def _outline_figures(
    engine: DermSim, head: DenseHead, seen: Seen, rows: Dataset, outline: Outlines
) -> dict[str, Any]:
    """Compare with outlines in as many pixels as the encoder sees."""
    side = engine.processor.crop_size["height"]
    truth = regions_on_grid(engine, rows, outline, grid=side) >= 0.5
    alike, shared = [], []
    for log_odds, own in zip(ask(head, seen.maps)[:, 0], truth, strict=True):
        kept = lesion_of(log_odds)
        drawn = (on_grid(log_odds, side) > 0) & (on_grid(kept.astype(np.float32), side) > 0.25)
        alike.append(dice(drawn, own))
        shared.append(overlap(drawn, own))
    bootstrap = Bootstrap(list(rows["lesion_id"]))
    found = {"dice": np.array(alike), "overlap": np.array(shared)}
    return {
        name: bootstrap.interval(lambda some, own=own: float(own[some].mean()))  # type: ignore[misc]
        for name, own in found.items()
    }
