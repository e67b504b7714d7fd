"""Fits melanoma from concepts alone, and measures it beside what it must be compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import LABEL2ID
from dermsim.core.metrics import class_auc
from dermsim.core.refused import Refused
from dermsim.core.vectors import softmax
from dermsim.data.concepts import load_schema
from dermsim.data.exam import refuse_exam
from dermsim.engine.concept_data import Seen, look_through
from dermsim.tasks.concepts import Bottleneck, Concepts, fit_bottleneck
from dermsim.tasks.concepts.bottleneck import checklist_points, hard_states
from dermsim.tasks.concepts.heads import ConceptHeads, fit_linear

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

DRAWS = 20
"""Random projections and shufflings that the controls average over."""

SOFT, HARD, DIRECT, LINEAR = "soft", "hard", "direct", "linear"
"""The bottleneck on log-odds; on yes and no alone; the checkpoint's own melanoma score; a linear
head on all features, fitted to the same rows."""

PROJECTIONS, SHUFFLED = "random projections", "shuffled concepts"
"""Controls: as many random directions of the features as there are concepts; heads whose concepts
were dealt out to the wrong pictures."""

CHECKLIST = "seven-point checklist"
"""The published weights, nothing fitted to a diagnosis."""


def fit_melanoma(
    engine: DermSim,
    part: Concepts,
    fit_to: Dataset,
    held_out: Dataset,
    *,
    source: str,
    labelled: tuple[FloatArray, npt.NDArray[np.int8]] | None = None,
    seed: int = 0,
) -> Concepts:
    """Fit the bottleneck to lesions that neither encoder nor heads were trained on.

    Args:
        engine: The checkpoint.
        part: Its concepts, with usable heads.
        fit_to: Rows of the `load_ham10000` schema, such as the validation split.
        held_out: Rows of other lesions, to measure on.
        source: Name of the data set.
        labelled: Features ``(N, G)`` and labels ``(N, K)`` that the heads were fitted to, for the
            control of shuffled concepts; without them it is left out.
        seed: Of the controls.

    Returns:
        The concepts with the bottleneck.

    Raises:
        ValueError: If no head is usable, a row belongs to an exam, a lesion is in both, or one of
            them holds no melanoma.
    """
    usable = part.usable
    if not len(usable):
        raise Refused("concept_bottleneck.no_head")
    refuse_exam([*fit_to["image_id"], *held_out["image_id"]], source=source)
    if both := set(fit_to["lesion_id"]) & set(held_out["lesion_id"]) - {None}:
        raise Refused("concept_bottleneck.leak", both=min(both))
    seen = look_through(engine, fit_to, maps=False, purpose="melanoma from concepts")
    asked = look_through(engine, held_out, maps=False, purpose="lesions held out")
    melanoma, truth = (_melanoma(rows) for rows in (fit_to, held_out))
    fitted = fit_bottleneck(
        usable.calibrated(usable.scores(seen.depths)), melanoma, usable, source=source
    )
    found = scores_of(engine, fitted, usable, seen, melanoma, asked)
    found |= _controls(usable, seen, melanoma, asked, labelled, seed=seed)
    bootstrap = Bootstrap(list(held_out["lesion_id"]))
    figures = {name: melanoma_auc(own, truth, bootstrap) for name, own in found.items()}
    return replace(part, bottleneck=replace(fitted, figures=figures))


def melanoma_auc(scores: FloatArray, truth: BoolArray, bootstrap: Bootstrap) -> Interval:
    """Return the AUC of scores ``(N,)``, or the mean AUC of several draws ``(R, N)``."""
    draws = np.atleast_2d(scores)
    return bootstrap.interval(
        lambda rows: float(np.mean([class_auc(truth[rows], own[rows]) for own in draws]))
    )


def scores_of(
    engine: DermSim,
    bottleneck: Bottleneck,
    usable: ConceptHeads,
    seen: Seen,
    melanoma: BoolArray,
    asked: Seen,
) -> dict[str, FloatArray]:
    """Return melanoma scores of rows by each way, those that learn fitted to `seen`."""
    fit_to, own = (usable.calibrated(usable.scores(part.depths)) for part in (seen, asked))
    weight, bias = fit_linear(hard_states(fit_to), melanoma, strength=1.0)
    linear, start = fit_linear(seen.depths, melanoma)
    temperature = engine.calibration.temperature
    found: dict[str, FloatArray] = {
        SOFT: bottleneck.score(own),
        HARD: hard_states(own) @ weight + bias,
        LINEAR: asked.depths @ linear + start,
        DIRECT: softmax(asked.logits, temperature)[:, LABEL2ID["mel"]],
    }
    points = checklist_points(own, [head.concept for head in usable.heads], load_schema())
    return found if points is None else {**found, CHECKLIST: points}


def _controls(
    usable: ConceptHeads,
    seen: Seen,
    melanoma: BoolArray,
    asked: Seen,
    labelled: tuple[FloatArray, npt.NDArray[np.int8]] | None,
    *,
    seed: int,
) -> dict[str, FloatArray]:
    rng = np.random.default_rng(seed)
    mean, spread = seen.depths.mean(axis=0), seen.depths.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    own, other = ((part.depths - mean) / spread for part in (seen, asked))

    def through(directions: FloatArray) -> FloatArray:
        inputs, outputs = own @ directions, other @ directions
        scale = inputs.std(axis=0)
        weight, bias = fit_linear(inputs / scale, melanoma, strength=1.0)
        return outputs / scale @ weight + bias

    shape = (own.shape[1], len(usable))
    found: dict[str, FloatArray] = {
        PROJECTIONS: np.stack([through(rng.normal(size=shape)) for _ in range(DRAWS)])
    }
    if labelled is not None:
        features, labels = labelled
        dealt = (_shuffled_heads(features, labels, spread, rng) for _ in range(DRAWS // 4))
        found[SHUFFLED] = np.stack([through(directions) for directions in dealt])
    return found


def _shuffled_heads(
    features: FloatArray,
    labels: npt.NDArray[np.int8],
    spread: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Fit heads to concepts dealt out to the wrong pictures, ``(G, K)`` of features / spread."""
    dealt = labels[rng.permutation(len(labels))]
    weights = []
    for column in dealt.T:
        rows = column >= 0
        weight, _ = fit_linear(features[rows], column[rows] == 1)
        weights.append(weight * spread)
    return np.stack(weights, axis=1)


def _melanoma(rows: Dataset) -> BoolArray:
    found = np.array(rows["dx"]) == LABEL2ID["mel"]
    if not found.any() or found.all():
        raise Refused("concept_bottleneck.one_sided")
    return found
