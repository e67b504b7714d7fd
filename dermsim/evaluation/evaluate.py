"""A model's answers on a test set become figures with intervals, gathered in a `Report`.

The engine gives probabilities and embeddings; this module measures them. It knows neither images
nor the encoder. The same arrays and seed give the same report.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import DECIMALS, Bootstrap, Interval
from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.core.metrics import (
    BoolArray,
    FloatArray,
    IntArray,
    accuracy,
    balanced_accuracy,
    class_auc,
    expected_calibration_error,
    macro_f1,
    macro_mean,
    mean_auc,
    score_ranks,
)
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels
from dermsim.evaluation.report import DECISION_RULE, Report
from dermsim.evaluation.retrieval import Metric, rank_gallery
from dermsim.tasks.classify import Calibration, ThresholdFigures
from dermsim.tasks.classify.reached import Origin
from dermsim.tasks.retrieve import Gallery

__all__ = [
    "Report",
    "evaluate",
    "evaluate_classification",
    "evaluate_retrieval",
    "join_reports",
    "overall_metrics",
]


def evaluate_classification(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    calibration: Calibration,
) -> dict[str, Interval]:
    """Measure calibrated probabilities.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses. Some of the seven may be absent.
        bootstrap: The N lesions and how they are resampled.
        calibration: For prediction sets and operating points, fitted on validation.

    Returns:
        Figures by name. Those of an absent class, and those that compare with an absent class,
        are left out.

    Raises:
        ValueError: If shapes do not match, a label is out of range or there are no rows.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    included = calibration.included(values)  # checks them, too
    true = check_labels(labels, rows=len(values), num_classes=len(CODES))
    _check_lesions(bootstrap, len(values))
    hits = values.argmax(axis=1) == true
    present = {code: true == label for code, label in LABEL2ID.items() if (true == label).any()}
    measured = overall_metrics(values, true, calibration)
    overall = {name: bootstrap.interval(metric) for name, metric in measured.items()}
    found = {name: overall.pop(name) for name in ("balanced_accuracy", "accuracy", "macro_f1")}
    found |= {f"recall_{code}": bootstrap.mean(hits, among=rows) for code, rows in present.items()}
    found |= overall
    covered = included[np.arange(len(true)), true]
    for code, rows in present.items():
        found[f"coverage_{code}"] = bootstrap.mean(covered, among=rows)
    found["mean_set_size"] = bootstrap.mean(included.sum(axis=1))
    return found | _operating_points(values, true, calibration, bootstrap)


def overall_metrics(
    probabilities: FloatArray, true: IntArray, calibration: Calibration
) -> dict[str, Metric]:
    """Return the figures of all diagnoses at once, each a function of the rows it is asked of.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        true: ``(N,)`` the true diagnoses, at least one. Some of the seven may be absent.
        calibration: Says which of them are malignant.

    Returns:
        Balanced accuracy, accuracy, macro F1, the areas under ROC curves that the classes present
        allow, and the expected calibration error, by name.
    """
    predicted, classes = probabilities.argmax(axis=1), len(CODES)
    # ranks once, so that each resample counts instead of sorting
    ranks = np.stack([score_ranks(column) for column in probabilities.T], axis=1)
    malignancy = score_ranks(calibration.malignancy(probabilities))
    melanoma, malignant = true == LABEL2ID["mel"], _malignant(true)
    mel_ranks = ranks[:, LABEL2ID["mel"]]
    found: dict[str, Metric] = {
        "balanced_accuracy": lambda i: balanced_accuracy(true[i], predicted[i], classes),
        "accuracy": lambda i: accuracy(true[i], predicted[i]),
        "macro_f1": lambda i: macro_f1(true[i], predicted[i], classes),
    }
    if len(np.unique(true)) > 1:
        found["mean_auc"] = lambda i: mean_auc(true[i], ranks[i])
    if melanoma.any() and not melanoma.all():
        found["melanoma_auc"] = lambda i: class_auc(melanoma[i], mel_ranks[i])
    if malignant.any() and not malignant.all():
        found["malignancy_auc"] = lambda i: class_auc(malignant[i], malignancy[i])
    found["expected_calibration_error"] = lambda i: expected_calibration_error(
        true[i], probabilities[i]
    )
    return found


def _operating_points(
    probabilities: FloatArray, true: IntArray, calibration: Calibration, bootstrap: Bootstrap
) -> dict[str, Interval]:
    """Measure what the thresholds fitted on validation achieve here."""
    malignant = _malignant(true)
    found = {}
    for point in calibration.operating_points:
        called = calibration.is_malignant(probabilities, operating_point=point)
        if malignant.any():
            found[f"sensitivity_at_{point}"] = bootstrap.mean(called, among=malignant)
        if not malignant.all():
            found[f"specificity_at_{point}"] = bootstrap.mean(~called, among=~malignant)
    return found


def _malignant(labels: IntArray) -> BoolArray:
    return np.isin(labels, [LABEL2ID[code] for code in MALIGNANT])


def evaluate_retrieval(
    query_embeddings: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    gallery_lesions: Sequence[str | None],
) -> dict[str, Interval]:
    """Measure how often similar cases share the query's diagnosis.

    See `dermsim.evaluation.retrieval`. Figures are means over the classes of the queries, so that
    the naevi do not decide them, and stand beside what a random ranking gets.

    Args:
        query_embeddings: ``(N, D)`` of held-out images.
        query_labels: ``(N,)`` integers.
        bootstrap: The queries' N lesions and how they are resampled.
        gallery_embeddings: ``(M, D)``.
        gallery_labels: ``(M,)`` integers.
        gallery_lesions: M lesions; None where not known.

    Returns:
        ``precision_at_1/5/10``, ``mean_average_precision``, ``majority_vote_at_5``, what the 16
        nearest vote (``neighbor_balanced_accuracy``, the same ``_adjusted`` to how common each
        diagnosis is, ``neighbor_malignancy_auc``), and ``precision_chance``.

    Raises:
        ValueError: If shapes do not match, or the gallery is too small to fill ten places.
    """
    rankings = rank_gallery(
        query_embeddings,
        query_labels,
        bootstrap.lesion_ids,
        gallery_embeddings=gallery_embeddings,
        gallery_labels=gallery_labels,
        gallery_lesions=gallery_lesions,
    )
    found = {name: bootstrap.interval(metric) for name, metric in rankings.metrics().items()}
    labels, shares = rankings.labels, rankings.by_chance
    chance = bootstrap.interval(lambda i: macro_mean(shares[i], labels[i], len(CODES)))
    return found | {"precision_chance": chance}


def _check_lesions(bootstrap: Bootstrap, rows: int) -> None:
    if len(bootstrap) != rows or rows == 0:
        raise Refused("evaluate.lesion_ids", rows=rows, count=len(bootstrap))


def evaluate(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    embeddings: npt.ArrayLike,
    bootstrap: Bootstrap,
    calibration: Calibration,
    gallery: Gallery,
    dataset: str,
    split: str,
) -> Report:
    """Measure a model on a test set: classification, and retrieval from its gallery.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses.
        embeddings: ``(N, D)``.
        bootstrap: The N lesions and how they are resampled.
        calibration: Fitted on validation.
        gallery: Of training cases, made by the same encoder.
        dataset: What the data are called in the report.
        split: What the part is called.

    Raises:
        ValueError: If shapes do not match, or the gallery holds another diagnosis than the seven.
    """
    true = check_labels(labels, rows=len(bootstrap), num_classes=len(CODES))
    metrics = evaluate_classification(probabilities, true, bootstrap, calibration=calibration)
    metrics |= _retrieval(embeddings, true, bootstrap, gallery)
    reached = threshold_figures(
        probabilities,
        true,
        bootstrap,
        calibration=calibration,
        origin="elsewhere" if split == "all" else "held_out",
        dataset=dataset,
    )
    return Report(
        dataset=dataset,
        split=split,
        n_images=len(true),
        n_lesions=bootstrap.n_lesions,
        class_counts={code: int((true == label).sum()) for code, label in LABEL2ID.items()},
        decision_rule=DECISION_RULE,
        coverage_target=round(1.0 - calibration.alpha, DECIMALS),
        metrics=metrics,
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        fingerprint=gallery.fingerprint,
        versions=_versions(),
        thresholds=reached,
    )


def _retrieval(
    embeddings: npt.ArrayLike, true: npt.NDArray[np.int64], bootstrap: Bootstrap, gallery: Gallery
) -> dict[str, Interval]:
    """Measure retrieval from a gallery of the seven diagnoses."""
    strange = {str(record["dx"]) for record in gallery.records} - set(CODES)
    if strange:
        raise Refused("evaluate.gallery_classes", strange=sorted(strange), codes=CODES)
    return evaluate_retrieval(
        embeddings,
        true,
        bootstrap,
        gallery_embeddings=gallery.embeddings,
        gallery_labels=[LABEL2ID[str(record["dx"])] for record in gallery.records],
        gallery_lesions=[record["lesion_id"] for record in gallery.records],  # type: ignore[misc]
    )


def join_reports(earlier: Report, later: Report) -> Report:
    """Make one report of two of the same checkpoint and photographs, measured in two goes.

    Args:
        earlier: Perhaps with corruptions, data of another origin or explanations that the later one
            lacks.
        later: Whose figures are taken where both have them: they must be the same.

    Raises:
        ValueError: If the reports are not of the same, or a figure that both have differs.
    """
    ours, theirs = later.to_dict(), earlier.to_dict()
    for name in ours.keys() & theirs.keys() - {"metrics", "thresholds"}:
        if ours[name] != theirs[name]:
            raise Refused("evaluate.not_of_the_same", name=name)
    shared = earlier.metrics.keys() & later.metrics.keys()
    for name in sorted(shared):
        if earlier.metrics[name].to_dict() != later.metrics[name].to_dict():
            raise Refused("evaluate.disagree", name=name)
    return replace(
        later,
        metrics=earlier.metrics | later.metrics,
        shift=later.shift or earlier.shift,
        explanations=later.explanations or earlier.explanations,
        thresholds=_join_thresholds(earlier, later),
    )


def _join_thresholds(earlier: Report, later: Report) -> tuple[ThresholdFigures, ...]:
    """Keep of each origin what the later report has of it, or else the earlier."""
    kept = {found.origin: found for found in (*earlier.thresholds, *later.thresholds)}
    return tuple(kept.values())


def threshold_figures(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    calibration: Calibration,
    origin: Origin,
    dataset: str,
) -> tuple[ThresholdFigures, ...]:
    """Measure every malignancy threshold that a checkpoint offers.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses.
        bootstrap: The N lesions and how they are resampled.
        calibration: Offers the thresholds.
        origin: Kind of the photographs.
        dataset: What they are called.

    Returns:
        One; none when the photographs are all benign or all malignant.
    """
    malignant = _malignant(np.asarray(labels))
    if malignant.all() or not malignant.any():
        return ()
    points, curve = calibration.operating_points.values(), calibration.malignancy_curve
    thresholds = [point.threshold for point in points] if curve is None else curve.thresholds
    return (
        ThresholdFigures.measure(
            calibration.malignancy(probabilities),
            malignant,
            bootstrap,
            thresholds=thresholds,
            origin=origin,
            dataset=dataset,
        ),
    )


def _versions() -> dict[str, str]:
    packages = ("dermsim", "numpy", "torch", "timm", "transformers")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
