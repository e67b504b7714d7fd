"""Pictures with known concepts, and what a checkpoint says of them, none judged by its own fit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.data.concepts import concept_labels, load_schema, source_of
from dermsim.data.exam import refuse_exam
from dermsim.engine.concept_data import Seen, dermoscopic, group_rows, look_through, not_among
from dermsim.tasks.concepts.heads import ConceptHeads, FloatArray, deal_groups, fit_heads
from dermsim.tasks.concepts.states import states_asked, states_left_out

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim


@dataclass(frozen=True, eq=False)
class ConceptRows:
    """N pictures and what is said of K concepts in them.

    Attributes:
        source: The data set.
        refitted: Whether the heads were fitted again in folds, as they must be where the
            checkpoint's own were fitted to these pictures; else the checkpoint's own were asked.
        heads: K heads that may be shown.
        labels: ``(N, K)``: 1, 0, or -1 where nobody looked.
        log_odds: ``(N, K)`` calibrated, of fits without each row's group.
        said: ``(N, K)`` states, -1 where neither is said.
        groups: N names.
        counted: ``(N,)`` pictures that the encoder was not trained on.
        dx: ``(N,)`` indices into `CODES`, -1 where no diagnosis is given.
        seen: What the encoder gives of them.
    """

    source: str
    refitted: bool
    heads: ConceptHeads
    labels: npt.NDArray[np.int8]
    log_odds: FloatArray
    said: npt.NDArray[np.int8]
    groups: tuple[str, ...]
    counted: npt.NDArray[np.bool_]
    dx: npt.NDArray[np.int64]
    seen: Seen

    def __len__(self) -> int:
        """N."""
        return len(self.groups)


def concept_rows(
    engine: DermSim, rows: Dataset, *, learned: Collection[str] = frozenset(), seed: int = 0
) -> ConceptRows:
    """Ask a checkpoint about pictures whose concepts are known.

    Args:
        engine: The checkpoint, with concept heads.
        rows: As `dermsim.data.dataset.load_dataset` returns them, of one data set with concepts.
        learned: The image_ids of other data that the encoder was trained on.
        seed: Of the folds.

    Raises:
        ValueError: If the checkpoint has no concept heads, the data set labels none of the list or
            none that the heads know, or a row of data to be fitted to belongs to an exam.
    """
    part, source = engine.concepts_part(), source_of(rows)
    rows = dermoscopic(rows)
    concepts = [c for c in load_schema().labelled_by(source) if not c.measured]
    if not concepts:
        raise Refused("concept_rows.no_concept", source=source)
    refitted = source in part.sources
    if refitted:
        refuse_exam(rows["image_id"], source=source)
    seen = look_through(engine, rows, maps=False, looks=True, purpose=source)
    groups = group_rows(rows, seen)
    known = {*learned, *map(str, engine.gallery.records.values("image_id"))}
    counted = not_among(seen.image_ids, known)
    labels = concept_labels(rows, concepts, source=source)
    names = [concept.name for concept in concepts]
    if refitted:
        fitted = fit_heads(
            seen.depths,
            labels,
            names,
            source=source,
            groups=groups,
            measured=counted,
            seed=seed,
            resamples=100,
        )
        usable = {head.concept for head in part.usable.heads if head.source == source}
        kept = [k for k, head in enumerate(fitted.heads.heads) if head.concept in usable]
        heads, own = fitted.heads.take(kept), fitted.labels[:, kept]
        log_odds = fitted.left_out[:, kept]
        deals = deal_groups(fitted.labels, groups, folds=5, seed=seed)
        said = states_left_out(log_odds, own, deals)
    else:
        kept = [k for k, head in enumerate(part.usable.heads) if head.concept in names]
        heads = part.usable.take(kept)
        own = labels[:, [names.index(head.concept) for head in heads.heads]]
        if kept:
            log_odds = heads.calibrated(heads.scores(seen.depths))
            said = states_asked(heads, seen.depths)
    if not kept:
        raise Refused("concept_rows.no_head", source=source)
    dx = np.array([-1 if code is None else code for code in rows["dx"]], dtype=np.int64)
    return ConceptRows(
        source, refitted, heads, own, log_odds, said, tuple(groups), counted, dx, seen
    )
