"""A model's answers on a test set become figures with intervals, gathered in a `Report`.

The engine gives probabilities and embeddings; this module measures them. It knows neither images
nor the encoder. The same arrays and seed give the same report.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from dermsim.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.metrics import (
    DECIMALS,
    BoolArray,
    FloatArray,
    IntArray,
    Interval,
    average_precision,
    balanced_accuracy,
    class_auc,
    expected_calibration_error,
    lesion_bootstrap,
    macro_f1,
    macro_mean,
    mean_auc,
    precision_at_k,
    score_ranks,
)
from dermsim.report import DECISION_RULE, Report
from dermsim.tasks.classify import Calibration
from dermsim.tasks.retrieve import Gallery
from dermsim.vectors import check_embeddings, check_labels, l2_normalize

__all__ = ["Report", "evaluate", "evaluate_classification", "evaluate_retrieval"]

DEPTHS = (1, 5, 10)
"""Depths k at which the precision of retrieval is measured."""

CHUNK = 128
"""Queries ranked at a time: bounds the memory of (queries, gallery) arrays."""


@dataclass(frozen=True)
class _Bootstrap:
    """The test set's lesions and how often to resample them."""

    lesion_ids: Sequence[str | None]
    resamples: int
    seed: int

    def __call__(
        self, metric: Callable[[IntArray], float], *, among: BoolArray | None = None
    ) -> Interval:
        """Return the interval of a metric of rows, or of the rows among which it is asked."""
        rows = np.arange(len(self.lesion_ids)) if among is None else np.flatnonzero(among)
        return lesion_bootstrap(
            lambda drawn: metric(rows[drawn]),
            [self.lesion_ids[row] for row in rows.tolist()],
            resamples=self.resamples,
            seed=self.seed,
        )

    def mean(self, values: npt.NDArray[np.generic], *, among: BoolArray | None = None) -> Interval:
        """Return the interval of the mean of a value per row."""
        return self(lambda rows: float(values[rows].mean()), among=among)


def evaluate_classification(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    lesion_ids: Sequence[str | None],
    *,
    calibration: Calibration,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Measure calibrated probabilities.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses. Some of the seven may be absent.
        lesion_ids: N lesions; None where not known.
        calibration: For prediction sets and operating points, fitted on validation.
        resamples: Lesion-bootstrap resamples.
        seed: Their seed.

    Returns:
        Figures by name. Those of an absent class, and those that compare with an absent class,
        are left out.

    Raises:
        ValueError: If shapes do not match, a label is out of range or there are no rows.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    included = calibration.included(values)  # checks them, too
    true = check_labels(labels, rows=len(values), num_classes=len(CODES))
    _check_lesions(lesion_ids, len(values))
    bootstrap = _Bootstrap(lesion_ids, resamples, seed)
    predicted = values.argmax(axis=1)
    hits = predicted == true
    present = {code: true == label for code, label in LABEL2ID.items() if (true == label).any()}
    classes = len(CODES)
    found = {
        "balanced_accuracy": bootstrap(lambda i: balanced_accuracy(true[i], predicted[i], classes)),
        "accuracy": bootstrap.mean(hits),
        "macro_f1": bootstrap(lambda i: macro_f1(true[i], predicted[i], classes)),
    }
    found |= {f"recall_{code}": bootstrap.mean(hits, among=rows) for code, rows in present.items()}
    found |= _areas(values, true, calibration, bootstrap)
    found["expected_calibration_error"] = bootstrap(
        lambda i: expected_calibration_error(true[i], values[i])
    )
    covered = included[np.arange(len(true)), true]
    for code, rows in present.items():
        found[f"coverage_{code}"] = bootstrap.mean(covered, among=rows)
    found["mean_set_size"] = bootstrap.mean(included.sum(axis=1))
    return found | _operating_points(values, true, calibration, bootstrap)


def _areas(
    probabilities: FloatArray, true: IntArray, calibration: Calibration, bootstrap: _Bootstrap
) -> dict[str, Interval]:
    """Measure the areas under ROC curves that the classes present allow."""
    # ranks once, so that each resample counts instead of sorting
    ranks = np.stack([score_ranks(column) for column in probabilities.T], axis=1)
    malignancy = score_ranks(calibration.malignancy(probabilities))
    melanoma, malignant = true == LABEL2ID["mel"], _malignant(true)
    mel_ranks = ranks[:, LABEL2ID["mel"]]
    found = {}
    if len(np.unique(true)) > 1:
        found["mean_auc"] = bootstrap(lambda i: mean_auc(true[i], ranks[i]))
    if melanoma.any() and not melanoma.all():
        found["melanoma_auc"] = bootstrap(lambda i: class_auc(melanoma[i], mel_ranks[i]))
    if malignant.any() and not malignant.all():
        found["malignancy_auc"] = bootstrap(lambda i: class_auc(malignant[i], malignancy[i]))
    return found


def _operating_points(
    probabilities: FloatArray, true: IntArray, calibration: Calibration, bootstrap: _Bootstrap
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
    query_lesions: Sequence[str | None],
    *,
    gallery_embeddings: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    gallery_lesions: Sequence[str | None],
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Measure how often similar cases share the query's diagnosis.

    Every query ranks the whole gallery by cosine similarity, cases of its own lesion left out; a
    case is relevant when it has the query's diagnosis. Figures are means over the classes of the
    queries, so that the naevi do not decide them, and stand beside what a random ranking gets.

    Args:
        query_embeddings: ``(N, D)`` of held-out images.
        query_labels: ``(N,)`` integers.
        query_lesions: N lesions; None where not known.
        gallery_embeddings: ``(M, D)``.
        gallery_labels: ``(M,)`` integers.
        gallery_lesions: M lesions; None where not known.
        resamples: Lesion-bootstrap resamples.
        seed: Their seed.

    Returns:
        ``precision_at_1/5/10``, ``mean_average_precision`` and ``precision_chance``.

    Raises:
        ValueError: If shapes do not match, or the gallery is too small to fill ten places.
    """
    gallery = l2_normalize(gallery_embeddings).astype(np.float64)
    queries = l2_normalize(check_embeddings(query_embeddings, dim=gallery.shape[1]))
    wanted = check_labels(query_labels, rows=len(queries), num_classes=len(CODES))
    stored = check_labels(gallery_labels, rows=len(gallery), num_classes=len(CODES))
    _check_lesions(query_lesions, len(queries))
    _check_lesions(gallery_lesions, len(gallery))
    own = _same_lesion(query_lesions, gallery_lesions)
    if own.shape[1] - own.sum(axis=1).max() < max(DEPTHS):
        raise ValueError(f"the gallery needs at least {max(DEPTHS)} cases of other lesions.")
    parts = [
        _rank_gallery(
            queries[i : i + CHUNK], wanted[i : i + CHUNK], gallery, stored, own[i : i + CHUNK]
        )
        for i in range(0, len(queries), CHUNK)
    ]
    bootstrap = _Bootstrap(query_lesions, resamples, seed)
    per_query = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: _macro(bootstrap, scores, wanted) for name, scores in per_query.items()}


def _macro(bootstrap: _Bootstrap, scores: FloatArray, labels: IntArray) -> Interval:
    return bootstrap(lambda i: macro_mean(scores[i], labels[i], len(CODES)))


def _rank_gallery(
    queries: npt.NDArray[np.float32],
    wanted: IntArray,
    gallery: FloatArray,
    stored: IntArray,
    own: BoolArray,
) -> dict[str, FloatArray]:
    """Return each figure per query: arrays ``(n,)``."""
    similarity = queries.astype(np.float64) @ gallery.T
    similarity[own] = -np.inf  # last, and never relevant
    relevant = (wanted[:, None] == stored[None, :]) & ~own
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranked = np.take_along_axis(relevant, order, axis=1)
    found = {f"precision_at_{k}": precision_at_k(ranked, k) for k in DEPTHS}
    found["mean_average_precision"] = average_precision(ranked)
    found["precision_chance"] = relevant.sum(axis=1) / (~own).sum(axis=1)
    return found


def _same_lesion(queries: Sequence[str | None], gallery: Sequence[str | None]) -> BoolArray:
    """Return ``(N, M)`` bool; lesions that are not known match none."""
    numbers = {lesion: i for i, lesion in enumerate(sorted({g for g in gallery if g is not None}))}
    left = np.array([numbers.get(lesion, -1) if lesion is not None else -1 for lesion in queries])
    right = np.array([numbers[lesion] if lesion is not None else -2 for lesion in gallery])
    return left[:, None] == right[None, :]


def _check_lesions(lesion_ids: Sequence[str | None], rows: int) -> None:
    if len(lesion_ids) != rows or rows == 0:
        raise ValueError(f"{rows} rows came with {len(lesion_ids)} lesion_ids; need one for each.")


def evaluate(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    embeddings: npt.ArrayLike,
    lesion_ids: Sequence[str | None],
    calibration: Calibration,
    gallery: Gallery,
    dataset: str,
    split: str,
    resamples: int = 1000,
    seed: int = 0,
) -> Report:
    """Measure a model on a test set: classification, and retrieval from its gallery.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses.
        embeddings: ``(N, D)``.
        lesion_ids: N lesions; None where not known.
        calibration: Fitted on validation.
        gallery: Of training cases, made by the same encoder.
        dataset: What the data are called in the report.
        split: What the part is called.
        resamples: Lesion-bootstrap resamples.
        seed: Their seed.

    Raises:
        ValueError: If shapes do not match, or the gallery holds another diagnosis than the seven.
    """
    true = check_labels(labels, rows=len(lesion_ids), num_classes=len(CODES))
    strange = {str(record["dx"]) for record in gallery.records} - set(CODES)
    if strange:
        raise ValueError(f"the gallery holds {sorted(strange)}, none of the diagnoses {CODES}.")
    metrics = evaluate_classification(
        probabilities, true, lesion_ids, calibration=calibration, resamples=resamples, seed=seed
    )
    metrics |= evaluate_retrieval(
        embeddings,
        true,
        lesion_ids,
        gallery_embeddings=gallery.embeddings,
        gallery_labels=[LABEL2ID[str(record["dx"])] for record in gallery.records],
        gallery_lesions=[record["lesion_id"] for record in gallery.records],  # type: ignore[misc]
        resamples=resamples,
        seed=seed,
    )
    known = [lesion for lesion in lesion_ids if lesion is not None]
    return Report(
        dataset=dataset,
        split=split,
        n_images=len(true),
        n_lesions=len(set(known)) + len(true) - len(known),
        class_counts={code: int((true == label).sum()) for code, label in LABEL2ID.items()},
        decision_rule=DECISION_RULE,
        coverage_target=round(1.0 - calibration.alpha, DECIMALS),
        metrics=metrics,
        resamples=resamples,
        seed=seed,
        fingerprint=gallery.fingerprint,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    packages = ("dermsim", "numpy", "torch", "timm", "transformers")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
