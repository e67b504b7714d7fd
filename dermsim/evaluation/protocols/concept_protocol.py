"""Measures concepts: whether they are told, said rightly, and what they say of melanoma."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import LABEL2ID
from dermsim.core.metrics import class_auc
from dermsim.core.vectors import softmax
from dermsim.data.concepts import load_schema
from dermsim.evaluation.protocols.concept_rows import ConceptRows
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.tasks.concepts.bottleneck import checklist_points, hard_states

if TYPE_CHECKING:
    from dermsim.engine import DermSim

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

ALL = "all"
"""The row of all concepts together."""


def measure_concepts(engine: DermSim, asked: ConceptRows) -> Table:
    """Say of each concept how well it is told, and how often what is said of it is true.

    Args:
        engine: The checkpoint.
        asked: The pictures; those that the encoder was trained on do not count.
    """
    rows = []
    for place, head in enumerate(asked.heads.heads):
        known = np.flatnonzero((asked.labels[:, place] >= 0) & asked.counted)
        positive = asked.labels[known, place] == 1
        scores = asked.log_odds[known, place]
        bootstrap = _bootstrap(asked, known)
        figures = _said_figures(asked.said[known, place, None], positive[:, None], bootstrap)
        if positive.any() and not positive.all():
            auc = bootstrap.interval(lambda r, p=positive, s=scores: class_auc(p[r], s[r]))  # type: ignore[misc]
            figures = {"AUC": auc, **figures}
        notes: dict[str, str | float] = {"shown by": str(int(positive.sum()))}
        rows.append(TableRow({"concept": head.concept, "head of": head.source}, figures, notes))
    counted = np.flatnonzero(asked.counted)
    truth = asked.labels[counted] == 1
    said = np.where(asked.labels[counted] >= 0, asked.said[counted], -1)
    rows.append(
        TableRow(
            {"concept": ALL, "head of": ""},
            _said_figures(said, truth, _bootstrap(asked, counted)),
            {"shown by": str(int(truth.sum()))},
        )
    )
    how = (
        "heads and thresholds fitted again in folds, each picture judged by those without its group"
        if asked.refitted
        else "the checkpoint's own heads and thresholds, nothing fitted here"
    )
    summary = (
        f"Concepts in {asked.counted.sum():,} pictures of {asked.source}: {how}. Precision: of "
        "what is said, present or absent, the share that is true; hallucination: the rest. Recall: "
        "of the pictures that show a concept, those of which it is said."
    )
    return Table("concepts", summary, tuple(rows), {"fingerprint": engine.fingerprint})


def measure_melanoma(engine: DermSim, asked: ConceptRows) -> Table | None:
    """Compare melanoma from concepts with the checkpoint's own score, nothing fitted here.

    Args:
        engine: The checkpoint.
        asked: The pictures.

    Returns:
        None where no diagnosis is known, or the checkpoint has no score from concepts.
    """
    part = engine.concepts_part()
    known = np.flatnonzero((asked.dx >= 0) & asked.counted)
    melanoma = asked.dx[known] == LABEL2ID["mel"]
    if part.bottleneck is None or not melanoma.any() or melanoma.all():
        return None
    usable = part.usable
    log_odds = usable.calibrated(usable.scores(asked.seen.depths[known]))
    # heads that were fitted to these pictures must not answer about them
    keys = [head.key for head in usable.heads]
    for place, head in enumerate(asked.heads.heads):
        if asked.refitted and head.key in keys:
            log_odds[:, keys.index(head.key)] = asked.log_odds[known, place]
    read = log_odds[:, [keys.index(key) for key in part.bottleneck.inputs]]
    direct = softmax(asked.seen.logits[known], engine.calibration.temperature)
    scores: dict[str, FloatArray] = {
        "concepts, soft": part.bottleneck.score(read),
        "concepts, hard": hard_states(read) @ np.array(part.bottleneck.weight),
        "the checkpoint's own score": direct[:, LABEL2ID["mel"]],
    }
    points = checklist_points(log_odds, [head.concept for head in usable.heads], load_schema())
    if points is not None:
        scores["seven-point checklist"] = points
    bootstrap = _bootstrap(asked, known)
    rows = []
    own = scores["the checkpoint's own score"]
    for name, found in scores.items():
        auc = bootstrap.interval(lambda r, s=found: class_auc(melanoma[r], s[r]))  # type: ignore[misc]
        more = bootstrap.interval(
            lambda r, s=found: class_auc(melanoma[r], s[r]) - class_auc(melanoma[r], own[r])  # type: ignore[misc]
        )
        rows.append(TableRow({"score": name}, {"AUC": auc, "more than its own": more}))
    summary = (
        f"Melanoma in {len(known):,} pictures of {asked.source}, {int(melanoma.sum()):,} of them "
        f"melanomas. The score from concepts was fitted to {part.bottleneck.source}."
    )
    return Table(
        "melanoma from concepts", summary, tuple(rows), {"fingerprint": engine.fingerprint}
    )


def measured_regions(engine: DermSim) -> Table | None:
    """Lay out what was measured of regions when they were fitted; None where there are none."""
    part = engine.concepts_part()
    rows = []
    for own in part.structures.values():
        for concept, figures in own.figures.items():
            rows.append(
                TableRow(
                    {"concept": concept, "data set": own.source},
                    {
                        "dense head": figures.dense,
                        **{name: figures.controls[name] for name in figures.controls},
                    },
                    {
                        "other concept": figures.other,
                        "may point": "yes" if figures.may_point else "no",
                    },
                )
            )
    if not rows:
        return None
    summary = (
        "Area under the ROC curve of the pixels within a lesion, mean over pictures left out of "
        "the fit, beside a Gaussian in the middle, darkness, the strongest other concept's head "
        "and the presence head's class activation map. A structure may point where the dense head "
        "beats each of them with an interval clear of zero."
    )
    return Table("regions of concepts", summary, tuple(rows), {"fingerprint": engine.fingerprint})


def _said_figures(
    said: npt.NDArray[np.int8], truth: BoolArray, bootstrap: Bootstrap
) -> dict[str, Interval]:
    """Return precision, recall, F1 and hallucination of states ``(N, K)``, and how much is said."""
    spoken = said >= 0
    right = spoken & ((said == 1) == truth)
    shown = (said == 1) & truth

    def ratio(part: BoolArray, whole: BoolArray) -> Interval | None:
        if not whole.any():
            return None

        def share(rows: npt.NDArray[np.int64]) -> float:
            total = whole[rows].sum()
            return float(part[rows].sum() / total) if total else float("nan")

        return bootstrap.interval(share)

    def f1(rows: npt.NDArray[np.int64]) -> float:
        total = (said[rows] == 1).sum() + truth[rows].sum()
        return float(2 * shown[rows].sum() / total) if total else float("nan")

    found = {
        "said": ratio(spoken, np.ones_like(spoken)),
        "precision": ratio(right, spoken),
        "precision of present": ratio(shown, said == 1),
        "recall": ratio(shown, truth),
        "F1": bootstrap.interval(f1) if truth.any() else None,
        "hallucination": ratio(spoken & ~right, spoken),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def _bootstrap(asked: ConceptRows, rows: npt.NDArray[np.int64]) -> Bootstrap:
    return Bootstrap([asked.groups[row] for row in rows.tolist()])
