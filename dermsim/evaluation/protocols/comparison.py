"""Is one checkpoint better than another, or do its intervals merely lie higher?

Two intervals may overlap while the difference is certain, since the same lesions are easy or hard
for both. Every checkpoint is asked about the same photographs here, and each difference is
resampled with them, lesion by lesion (a paired bootstrap: Efron and Tibshirani, 1993, An
Introduction to the Bootstrap). What the checkpoints say together stands beside it: the mean of
their calibrated log-probabilities, which tells whether an ensemble would pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.core.vectors import softmax
from dermsim.evaluation.evaluate import overall_metrics
from dermsim.evaluation.protocols.protocol_cases import Cases, encode_cases, select
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow
from dermsim.evaluation.retrieval import Metric, rank_gallery

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim

FIGURES = {
    "balanced_accuracy": "balanced accuracy (argmax)",
    "accuracy": "accuracy (argmax)",
    "macro_f1": "macro F1 (argmax)",
    "mean_auc": "mean AUC",
    "melanoma_auc": "melanoma AUC",
    "malignancy_auc": "malignancy AUC",
    "expected_calibration_error": "expected calibration error",
    "precision_at_5": "retrieval P@5",
    "mean_average_precision": "retrieval mAP",
    "neighbor_balanced_accuracy_adjusted": "16-NN balanced accuracy (votes / class frequency)",
}
"""What is compared, and what it is called in the table."""

TOGETHER = "together"


def compare(
    engines: Mapping[str, DermSim],
    dataset: Dataset,
    *,
    split: str = "test",
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """Compare checkpoints with the first of them, on the same photographs.

    Args:
        engines: At least two, by name. Ensembles and single encoders of any kind, trained with the
            same diagnoses.
        dataset: Rows of the `load_ham10000` schema, with all lesions that they were trained on.
        split: ``"test"`` or ``"validation"`` of `grouped_splits`, or ``"all"`` for rows of another
            origin.
        resamples: Lesion-bootstrap resamples.
        seed: Their seed; every figure and difference meets the same resamples.

    Returns:
        A row for each of `FIGURES` that the diagnoses present allow. Its columns are the
        checkpoints, each but the first followed by its difference from the first (more is better,
        but for the calibration error), and what they say together.

    Raises:
        ValueError: If there are fewer than two checkpoints, they were trained with different
            diagnoses, the split is unknown, or one of them has learned from a row.
    """
    _check_comparable(engines, split)
    first = next(iter(engines))
    rows = select(dataset, engines[first].known, split=split)
    asked = {name: encode_cases(engine, rows, purpose=name) for name, engine in engines.items()}
    columns = _columns(engines, asked)
    bootstrap = Bootstrap(asked[first].lesion_ids, resamples, seed)
    found = tuple(
        TableRow(
            {"figure": title},
            {
                column: bootstrap.interval(metrics[figure])
                for column, metrics in columns.items()
                if figure in metrics
            },
        )
        for figure, title in FIGURES.items()
        if figure in columns[first]
    )
    return Table(
        "comparison",
        f"All are asked about the same {len(bootstrap):,} photographs of "
        f"{bootstrap.n_lesions:,} lesions ({split}), and a difference is resampled "
        f"with the two it is of. Intervals are 95 %, from {resamples:,} bootstrap resamples of "
        f"whole lesions; n counts images. {TOGETHER.capitalize()}: the mean of their calibrated "
        "log-probabilities.",
        found,
        {
            "fingerprints": {name: engine.fingerprint for name, engine in engines.items()},
            "seed": seed,
            "resamples": resamples,
        },
    )


def _check_comparable(engines: Mapping[str, DermSim], split: str) -> None:
    """Refuse checkpoints and rows of which no common question can be asked."""
    if len(engines) < 2:
        raise Refused("comparison.too_few")
    if TOGETHER in engines:
        raise Refused("comparison.name", together=TOGETHER)
    if split not in ("test", "validation", "all"):
        raise Refused("evaluation_checkpoint.split", split=split)
    first, *others = engines
    known = engines[first].known
    for name in others:
        if engines[name].known != known:
            raise Refused(
                "comparison.other_classes",
                first=first,
                known=list(known),
                name=name,
                name_known=list(engines[name].known),
            )


def _columns(
    engines: Mapping[str, DermSim], asked: Mapping[str, Cases]
) -> dict[str, dict[str, Metric]]:
    """Return what is measured in each column: checkpoints, differences, and all together."""
    first = next(iter(engines))
    true = asked[first].labels
    answers = {
        name: engine.calibration.probabilities(asked[name].encoding.logits)
        for name, engine in engines.items()
    }
    columns: dict[str, dict[str, Metric]] = {}
    for name, engine in engines.items():
        measured = overall_metrics(answers[name], true, engine.calibration)
        columns[name] = measured | _retrieval(engine, asked[name])
        if name != first:
            columns[f"{name} − {first}"] = _less(columns[name], columns[first])
    # the certain have log-probabilities of minus infinity for the rest, which no mean may hold
    logs = [np.log(np.maximum(found, np.finfo(np.float64).tiny)) for found in answers.values()]
    mean = softmax(np.mean(logs, axis=0))
    columns[TOGETHER] = overall_metrics(mean, true, engines[first].calibration)
    return columns


def _less(metrics: Mapping[str, Metric], reference: Mapping[str, Metric]) -> dict[str, Metric]:
    def difference(figure: str) -> Metric:
        return lambda rows: metrics[figure](rows) - reference[figure](rows)

    return {figure: difference(figure) for figure in metrics}


def _retrieval(engine: DermSim, asked: Cases) -> dict[str, Metric]:
    records = engine.gallery.records
    rankings = rank_gallery(
        asked.encoding.embeddings,
        asked.labels,
        asked.lesion_ids,
        gallery_embeddings=engine.gallery.embeddings,
        gallery_labels=[CODES.index(dx) for dx in records.values("dx")],
        gallery_lesions=records.values("lesion_id"),
    )
    return rankings.metrics()
