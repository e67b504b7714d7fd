"""Fits heads for the concepts of a data set, and asks them about the gallery's cases.

The encoder stays as it is. Groups of pictures, by patient, lesion and near-duplicates, are never
cut by a fold, and pictures that the encoder was trained on count in no figure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.concept_schema import Concept
from dermsim.core.metrics import class_auc
from dermsim.core.refused import Refused
from dermsim.data.concepts import concept_labels, load_schema, source_of
from dermsim.data.exam import refuse_exam
from dermsim.data.sources.registry import ADAPTERS
from dermsim.engine.concept_data import (
    Outlines,
    Seen,
    dermoscopic,
    group_rows,
    look_through,
    not_among,
)
from dermsim.tasks.concepts import Concepts, Transfer, fit_heads
from dermsim.tasks.concepts.cases import CaseConcepts
from dermsim.tasks.concepts.heads import ConceptHeads, FittedHeads, deal_groups
from dermsim.training.concept_regions import STRUCTURE_PLAN, Labelled, fit_regions
from dermsim.training.dense import Schedule

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim


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
    known = _look(engine, rows, concepts, source=source, maps=bool(regions), learned=learned)
    fitted = fit_heads(
        known.seen.depths,
        known.labels,
        known.names,
        source=source,
        groups=known.groups,
        measured=known.measured,
        folds=folds,
        seed=seed,
        resamples=resamples,
    )
    structures = None
    if regions:
        deals = deal_groups(known.labels, known.groups, folds=folds, seed=seed)
        structures = fit_regions(engine, part, known, regions, fitted, deals=deals, plan=plan)
    grown = part.with_source(
        fitted.heads,
        _provenance(known, fitted, folds=folds, seed=seed),
        source=source,
        structures=structures,
        transfers=_transfers(part.heads.without(source), known),
    )
    return grown, fitted, known.seen


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
        raise Refused("training_concepts.no_case")
    seen = look_through(engine, rows.select(kept), maps=False, purpose="cases of the gallery")
    usable = part.usable
    log_odds = usable.calibrated(usable.scores(seen.depths)).astype(np.float16)
    keys = tuple(head.key for head in usable.heads)
    return replace(part, cases=CaseConcepts(seen.image_ids, keys, log_odds))


def _to_fit(
    engine: DermSim, rows: Dataset, *, regions: bool
) -> tuple[Concepts, str, list[Concept]]:
    """Return what there is already, the data set, and the concepts that it labels, or refuse."""
    source = source_of(rows)
    concepts = [c for c in load_schema().labelled_by(source) if not c.measured]
    if not concepts:
        raise Refused("concept_rows.no_concept", source=source)
    part = engine.concept_part or Concepts(engine.fingerprint)
    if regions and part.outline is None:
        raise Refused("training_concepts.no_outlines")
    refuse_exam(rows["image_id"], source=source)
    return part, source, concepts


def _look(
    engine: DermSim,
    rows: Dataset,
    concepts: Sequence[Concept],
    *,
    source: str,
    maps: bool,
    learned: Collection[str],
) -> Labelled:
    """Run the encoder over the dermoscopic pictures, and find what belongs together."""
    rows = dermoscopic(rows)
    seen = look_through(engine, rows, maps=maps, looks=True, purpose=source)
    known = {*learned, *map(str, engine.gallery.records.values("image_id"))}
    return Labelled(
        source,
        rows,
        seen,
        group_rows(rows, seen),
        not_among(seen.image_ids, known),
        [concept.name for concept in concepts],
        concept_labels(rows, concepts, source=source),
    )


def _provenance(known: Labelled, fitted: FittedHeads, *, folds: int, seed: int) -> dict[str, Any]:
    adapter = next((adapter for adapter in ADAPTERS if adapter.name == known.source), None)
    return {
        "title": adapter.title if adapter else known.source,
        "licence": adapter.licence if adapter else None,
        "pictures": len(known.rows),
        "groups": len(set(known.groups)),
        "seen_by_the_encoder": int((~known.measured).sum()),
        "folds": folds,
        "seed": seed,
        "skipped": {concept: str(reason) for concept, reason in fitted.skipped.items()},
    }


def _transfers(others: ConceptHeads, known: Labelled) -> tuple[Transfer, ...]:
    """Ask the heads of other data sets about these rows, for the names that both use."""
    found = []
    for place, head in enumerate(others.heads):
        if head.concept not in known.names:
            continue
        truth = known.labels[:, list(known.names).index(head.concept)]
        asked = np.flatnonzero((truth >= 0) & known.measured)
        positive = truth[asked] == 1
        if not (positive.any() and (~positive).any()):
            continue
        own = others.take([place]).scores(known.seen.depths[asked])[:, 0]
        bootstrap = Bootstrap([known.groups[row] for row in asked.tolist()])
        auc = bootstrap.interval(
            lambda some, positive=positive, own=own: class_auc(positive[some], own[some])  # type: ignore[misc]
        )
        found.append(Transfer(head.concept, head.source, known.source, auc))
    return tuple(found)
