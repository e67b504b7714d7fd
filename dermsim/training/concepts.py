"""Fits what a checkpoint knows of concepts: heads, regions, and the lesion's outline.

The encoder stays as it is. Groups of pictures, by patient, lesion and near-duplicates, are never
cut by a fold, and pictures that the encoder was trained on count in no figure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.concept_schema import Concept
from dermsim.core.metrics import class_auc
from dermsim.data.concepts import concept_labels, load_schema, source_of
from dermsim.data.exam import refuse_exam
from dermsim.data.sources import isic2018_attributes
from dermsim.data.sources.registry import ADAPTERS, find_adapter
from dermsim.engine.concept_data import (
    GRID,
    Outlines,
    Seen,
    dermoscopic,
    group_rows,
    look_through,
    not_among,
    regions_on_grid,
)
from dermsim.tasks.concepts import (
    Concepts,
    DenseHead,
    Outline,
    RegionFigures,
    Structures,
    Transfer,
    fit_heads,
)
from dermsim.tasks.concepts.cases import CaseConcepts
from dermsim.tasks.concepts.heads import ConceptHeads, FittedHeads, deal_groups
from dermsim.tasks.concepts.lesion import dice, lesion_of, overlap
from dermsim.tasks.concepts.regions import CONTROLS, centre_map, measure_regions, presence_maps
from dermsim.training.dense import Schedule, fit_dense, outline_loss, structure_loss

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

OUTLINE_PLAN = Schedule(hidden=16, epochs=6)
"""How the outline is fitted."""

STRUCTURE_PLAN = Schedule(hidden=16, epochs=4, weight_decay=1e-2)
"""How regions are fitted."""

MOST_OUTLINES = 2500
"""Pictures that the outline is fitted to, drawn at random of more."""

CHUNK = 64
"""Pictures that a dense head is asked about at a time."""


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
        raise ValueError(f"the lesion {min(both)} is in what is fitted and in what is held out.")
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
    from dermsim.tasks.concepts.dense import on_grid

    truth = regions_on_grid(engine, rows, outline, grid=side) >= 0.5
    alike, shared = [], []
    for start in range(0, len(seen), CHUNK):
        part = slice(start, start + CHUNK)
        for log_odds, own in zip(
            head([m[part] for m in seen.maps])[:, 0], truth[part], strict=True
        ):
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


def fit_concepts(
    engine: DermSim,
    rows: Dataset,
    *,
    regions: Sequence[tuple[str, Outlines]] = (),
    learned: Collection[str] = frozenset(),
    folds: int = 5,
    seed: int = 0,
    resamples: int = 1000,
    plan: Schedule = STRUCTURE_PLAN,
) -> tuple[Concepts, FittedHeads, Seen]:
    """Fit heads for the concepts of a data set, and regions where it outlines them.

    Args:
        engine: The checkpoint.
        rows: As `dermsim.data.dataset.load_dataset` returns them, of one data set.
        regions: Pairs of a concept's name and what looks its outlines up.
        learned: The image_ids of other data that the encoder was trained on; the pictures of its
            gallery are known.
        folds: In how many parts the groups are dealt.
        seed: Of the dealing.
        resamples: Of the intervals.
        plan: How regions are fitted.

    Returns:
        The checkpoint's concepts with the new ones, what the heads say of the rows left out, and
        what the encoder gives of them.

    Raises:
        ValueError: If a row belongs to an exam, the data set labels no concept of the list, or
            regions are asked for and the checkpoint cannot outline lesions.
    """
    part, source, concepts = _to_fit(engine, rows, regions=bool(regions))
    rows = dermoscopic(rows)
    seen = look_through(engine, rows, maps=bool(regions), looks=True, purpose=source)
    groups = group_rows(rows, seen)
    known = {*learned, *map(str, engine.gallery.records.values("image_id"))}
    measured = not_among(seen.image_ids, known)
    labels = concept_labels(rows, concepts, source=source)
    names = [concept.name for concept in concepts]
    fitted = fit_heads(
        seen.depths,
        labels,
        names,
        source=source,
        groups=groups,
        measured=measured,
        folds=folds,
        seed=seed,
        resamples=resamples,
    )
    structures = None
    if regions:
        deals = deal_groups(labels, groups, folds=folds, seed=seed)
        structures = _fit_regions(
            engine, part, rows, seen, regions, fitted, deals, groups, measured, source, plan
        )
    provenance = _provenance(source, rows, groups, measured, fitted, folds=folds, seed=seed)
    transfers = _transfers(
        part.heads.without(source), seen, labels, names, groups, measured, source
    )
    grown = part.with_source(
        fitted.heads, provenance, source=source, structures=structures, transfers=transfers
    )
    return grown, fitted, seen


def _to_fit(
    engine: DermSim, rows: Dataset, *, regions: bool
) -> tuple[Concepts, str, list[Concept]]:
    """Return what there is already, the data set, and the concepts that it labels, or refuse."""
    source = source_of(rows)
    concepts = [c for c in load_schema().labelled_by(source) if not c.measured]
    if not concepts:
        raise ValueError(f"{source} labels no concept of the list: choose a data set that does.")
    part = engine.concept_part or Concepts(engine.fingerprint)
    if regions and part.outline is None:
        raise ValueError(
            "regions are measured within the lesion, which this checkpoint cannot outline: run "
            "dermsim concepts outline first."
        )
    refuse_exam(rows["image_id"], source=source)
    return part, source, concepts


def look_through_cases(engine: DermSim, part: Concepts, rows: Dataset) -> Concepts:
    """Ask the usable heads about the cases of the gallery.

    Args:
        engine: The checkpoint.
        part: Its concepts.
        rows: Pictures of its cases, with ``image_id``; others are left out.

    Returns:
        The concepts with what the heads say of the cases.

    Raises:
        ValueError: If none of the pictures is of a case.
    """
    cases = set(map(str, engine.gallery.records.values("image_id")))
    kept = [row for row, image_id in enumerate(rows["image_id"]) if str(image_id) in cases]
    if not kept:
        raise ValueError("none of the pictures is of a case in the checkpoint's gallery.")
    seen = look_through(engine, rows.select(kept), maps=False, purpose="cases of the gallery")
    usable = part.usable
    log_odds = usable.calibrated(usable.scores(seen.depths)).astype(np.float16)
    keys = tuple(head.key for head in usable.heads)
    return replace(part, cases=CaseConcepts(seen.image_ids, keys, log_odds))


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


def _provenance(
    source: str,
    rows: Dataset,
    groups: Sequence[str],
    measured: npt.NDArray[np.bool_],
    fitted: FittedHeads,
    *,
    folds: int,
    seed: int,
) -> dict[str, Any]:
    adapter = next((adapter for adapter in ADAPTERS if adapter.name == source), None)
    return {
        "title": adapter.title if adapter else source,
        "licence": adapter.licence if adapter else None,
        "pictures": len(rows),
        "groups": len(set(groups)),
        "seen_by_the_encoder": int((~measured).sum()),
        "folds": folds,
        "seed": seed,
        "skipped": dict(fitted.skipped),
    }


def _transfers(
    others: ConceptHeads,
    seen: Seen,
    labels: npt.NDArray[np.int8],
    names: Sequence[str],
    groups: Sequence[str],
    measured: npt.NDArray[np.bool_],
    source: str,
) -> tuple[Transfer, ...]:
    """Ask the heads of other data sets about these rows, for the names that both use."""
    found = []
    scores = others.scores(seen.depths) if len(others) else np.zeros((len(seen), 0))
    for column, head in enumerate(others.heads):
        if head.concept not in names:
            continue
        truth = labels[:, list(names).index(head.concept)]
        asked = np.flatnonzero((truth >= 0) & measured)
        positive, own = truth[asked] == 1, scores[asked, column]
        if not (positive.any() and (~positive).any()):
            continue
        bootstrap = Bootstrap([groups[row] for row in asked.tolist()])
        auc = bootstrap.interval(
            lambda some, positive=positive, own=own: class_auc(positive[some], own[some])  # type: ignore[misc]
        )
        found.append(Transfer(head.concept, head.source, source, auc))
    return tuple(found)


def _fit_regions(
    engine: DermSim,
    part: Concepts,
    rows: Dataset,
    seen: Seen,
    regions: Sequence[tuple[str, Outlines]],
    fitted: FittedHeads,
    deals: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    groups: Sequence[str],
    measured: npt.NDArray[np.bool_],
    source: str,
    plan: Schedule,
) -> Structures:
    """Fit dense heads in folds to measure them, and to all rows to keep them."""
    assert part.outline is not None
    names = tuple(name for name, _ in regions)
    truth = np.stack([regions_on_grid(engine, rows, own) for _, own in regions], axis=1)
    log_odds = _ask(part.outline.head, seen, np.arange(len(seen)))[:, 0]
    lesions = np.stack([lesion_of(own) for own in log_odds])
    loss = structure_loss(truth, lesions)
    options: dict[str, Any] = {"outputs": len(names), "grid": GRID, "plan": plan}
    left_out = np.zeros_like(truth)
    for kept, out in deals:
        left_out[out] = _ask(fit_dense(seen.maps, kept, loss, **options), seen, out)
    head = fit_dense(seen.maps, np.arange(len(seen)), loss, **options)
    figures = {}
    for place, name in enumerate(names):
        found = _measure_structure(
            place, names, left_out, truth, lesions, seen, fitted, groups, measured
        )
        if found is not None:
            figures[name] = found
    return Structures(source, names, head, figures)


def _measure_structure(
    place: int,
    names: Sequence[str],
    left_out: npt.NDArray[np.float32],
    truth: npt.NDArray[np.float32],
    lesions: npt.NDArray[np.bool_],
    seen: Seen,
    fitted: FittedHeads,
    groups: Sequence[str],
    measured: npt.NDArray[np.bool_],
) -> RegionFigures | None:
    """Measure one structure on the pictures that show it, beside the controls."""
    shown = np.flatnonzero(truth[:, place].any(axis=(1, 2)) & measured)
    heads = [head.concept for head in fitted.heads.heads]
    if names[place] not in heads or len(shown) == 0:
        return None
    weight = fitted.heads.weight[heads.index(names[place])]
    own = dict(groups=[groups[row] for row in shown.tolist()])
    cam = presence_maps(weight, [m[shown] for m in seen.maps], seen.last[shown], GRID)
    controls = {
        "gaussian": np.broadcast_to(centre_map(GRID), cam.shape),
        "darkness": seen.darkness[shown],
        "cam": cam,
    }
    assert {*controls, "other"} == set(CONTROLS)
    # the strongest of the other concepts' heads is the control
    tried = {}
    for rival, name in enumerate(names):
        if rival == place:
            continue
        tried[name] = measure_regions(
            left_out[shown, place],
            {**controls, "other": left_out[shown, rival]},
            truth[shown, place],
            lesions[shown],
            other=name,
            **own,  # type: ignore[arg-type]
        )
    known = [figures for figures in tried.values() if figures is not None]
    return min(known, key=lambda figures: figures.gains["other"].value, default=None)


def _ask(head: DenseHead, seen: Seen, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return what a dense head gives of some pictures, ``(M, K, g, g)``."""
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return np.concatenate([head([stage[chunk] for stage in seen.maps]) for chunk in chunks])
