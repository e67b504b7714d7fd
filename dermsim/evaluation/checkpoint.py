"""Examines a checkpoint on photographs it has not learned from; what comes out is a `Report`.

The released figures are of the held-out lesions as they are. Two further examinations ask what is
left of them in the world: the same photographs corrupted, and photographs of another origin. Of an
encoder that takes facts, a third asks what it is worth to know the patient.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.metrics import (
    FloatArray,
    IntArray,
    balanced_accuracy,
    class_auc,
    macro_mean,
    score_ranks,
)
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels
from dermsim.data.facts import facts_of
from dermsim.data.splits import grouped_splits, without
from dermsim.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from dermsim.evaluation.evaluate import (
    evaluate,
    evaluate_classification,
    threshold_figures,
)
from dermsim.evaluation.held_out import refuse_learned
from dermsim.evaluation.report import Shift
from dermsim.evaluation.subgroups import evaluate_subgroups, groups_of
from dermsim.models.encode import encode, weigh_facts
from dermsim.tasks.classify import POINTS

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim
    from dermsim.evaluation.explanations.settings import Asked
    from dermsim.evaluation.report import Report
    from dermsim.tasks.classify import Calibration

CELLS = {f"corrupted_{kind}_{s}": (kind, s) for kind in CORRUPTIONS for s in STRENGTHS}
"""Every corruption at every strength, by the name of its figure."""

SHIFT_FIGURES = (
    *("balanced_accuracy", "melanoma_auc", "malignancy_auc"),
    *(f"{name}_at_{point}" for point in POINTS for name in ("sensitivity", "specificity")),
)
"""What is asked of data of another origin as it is of the test split."""

FACTS_FIGURES = ("balanced_accuracy", "melanoma_auc", "mean_auc")
"""What is asked again of an encoder that takes facts, when it is given them."""

AHEAD = 8
"""Photographs whose corrupted versions are made ahead of the encoder, in threads."""

CHUNK = 64
"""Photographs after whose versions only the predictions are kept."""


def evaluate_checkpoint(
    engine: DermSim,
    dataset: Dataset,
    *,
    split: str = "test",
    name: str = "HAM10000",
    corruptions: bool = False,
    shift: Dataset | None = None,
    shift_name: str = "another origin",
    explanations: Asked | None = None,
) -> Report:
    """Measure a checkpoint on rows it has not learned from.

    Diagnoses that it was trained without are left out everywhere: it can give none of them. All
    are measured together and by sex, age band and site, as far as the rows know them. An encoder
    that takes facts is measured without them, as any other, and then with those of the rows.

    Args:
        engine: The checkpoint.
        dataset: Rows of the `load_ham10000` schema.
        split: ``"test"`` for the held-out lesions of `grouped_splits`, which is what the released
            figures are of, ``"validation"``, or ``"all"`` for a data set of another origin.
        name: What the data are called in the report.
        corruptions: Measure the same photographs under every corruption at every strength, too.
        shift: Rows of another origin whose labels were never trained on, to measure as well.
        shift_name: What those are called in the report.
        explanations: What to measure of explanations, and against which outlines; None to leave
            them out.

    Raises:
        ValueError: If the split is unknown; if the rows or `shift` hold a case of the checkpoint's
            gallery or a picture of its lesion; if explanations are to be measured without
            validation, or a photograph has no outline.
    """
    _check_split(split, explanations)
    unknown = set(CODES).difference(engine.known)
    if shift is not None:
        refuse_learned(engine.gallery, shift, name=shift_name)
    rows = without(dataset if split == "all" else grouped_splits(dataset)[split], unknown)
    refuse_learned(engine.gallery, rows)
    encoding = encode(engine.model, engine.processor, rows["image"])
    probabilities = engine.calibration.probabilities(encoding.logits)
    report = _plain(engine, rows, probabilities, encoding.embeddings, dataset=name, split=split)
    if engine.calibration_facts is not None:
        report = _with_facts(report, engine, rows, encoding.logits)
    if corruptions:
        report = _with_corruptions(report, engine, rows, probabilities)
    if explanations is not None:
        from dermsim.evaluation.explanations.measure import with_explanations

        validation = without(grouped_splits(dataset)["validation"], unknown)
        report = with_explanations(report, engine, rows, validation, explanations)
    if shift is not None:
        report = _with_shift(report, engine, without(shift, unknown), shift_name)
    return report


def _plain(
    engine: DermSim,
    rows: Dataset,
    probabilities: FloatArray,
    embeddings: npt.NDArray[np.float32],
    *,
    dataset: str,
    split: str,
) -> Report:
    """Report on rows as they are: on all of them, and on each subgroup."""
    labels, bootstrap = np.array(rows["dx"]), Bootstrap(list(rows["lesion_id"]))
    report = evaluate(
        probabilities,
        labels,
        embeddings=embeddings,
        bootstrap=bootstrap,
        calibration=engine.calibration,
        gallery=engine.gallery,
        dataset=dataset,
        split=split,
    )
    groups = evaluate_subgroups(
        probabilities, labels, bootstrap, groups=groups_of(rows), calibration=engine.calibration
    )
    return replace(report, subgroups=groups)


def _check_split(split: str, explanations: Asked | None) -> None:
    if split not in ("validation", "test", "all"):
        raise Refused("evaluation_checkpoint.split", split=split)
    if explanations is not None and split == "all":
        raise Refused("evaluation_checkpoint.explanations_split")


def origin_name(source: str) -> str:
    """Name a source for reports: by its challenge, or by the folder, file or Hub id."""
    name = Path(source).name
    year = re.match(r"isic[-_ ]?(201[6-9]|2020)", name.lower())
    return f"ISIC {year[1]}" if year else name


# -- the same photographs, corrupted --------------------------------------------------------------


def predict_corrupted(engine: DermSim, rows: Dataset) -> dict[str, IntArray]:
    """Classify every photograph under every corruption at every strength.

    A photograph's accidents depend on its image_id alone, so that every checkpoint meets the same.

    Args:
        engine: The checkpoint.
        rows: N rows of the `load_ham10000` schema.

    Returns:
        For each of `CELLS` the most probable diagnoses, ``(N,)``, as indices into `CODES`.
    """
    stream = _corrupted(rows)
    predicted = []
    for start in range(0, len(rows), CHUNK):
        versions = islice(stream, min(CHUNK, len(rows) - start) * len(CELLS))
        logits = encode(engine.model, engine.processor, versions).logits
        predicted.append(engine.calibration.probabilities(logits).argmax(axis=1))
    table = np.concatenate(predicted).reshape(len(rows), len(CELLS))
    return dict(zip(CELLS, table.T, strict=True))


def _corrupted(rows: Dataset) -> Iterator[Image.Image]:
    """Yield the versions of the first photograph in the order of `CELLS`, of the second, and on.

    Each photograph is decoded once and few are in memory at any time.
    """

    def versions(image: Image.Image, image_id: str) -> list[Image.Image]:
        seed = zlib.crc32(image_id.encode())
        return [corrupt(image, kind, strength=s, seed=seed) for kind, s in CELLS.values()]

    waiting: deque[Future[list[Image.Image]]] = deque()
    with ThreadPoolExecutor() as pool:
        for row in tqdm(rows, desc="corruptions", unit="picture", disable=None):
            waiting.append(pool.submit(versions, row["image"], row["image_id"]))
            if len(waiting) > AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def evaluate_corruptions(
    predictions: Mapping[str, npt.ArrayLike],
    labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    clean: npt.ArrayLike,
) -> dict[str, Interval]:
    """Measure what corruptions leave of the balanced accuracy.

    All cells have the same rows, so the mean over cells of the balanced accuracy is that of each
    row's share of cells in which it is right; resampling rows then resamples all cells jointly,
    and the drop is paired with the same rows uncorrupted.

    Args:
        predictions: By the name of a cell, predicted diagnoses ``(N,)`` under that corruption.
        labels: ``(N,)`` integers, the true diagnoses.
        bootstrap: The N lesions and how they are resampled.
        clean: ``(N,)`` predicted diagnoses of the uncorrupted images.

    Returns:
        ``corrupted_balanced_accuracy``, ``corruption_drop`` (clean less corrupted) and the
        balanced accuracy of each cell.

    Raises:
        ValueError: If shapes do not match or a label is out of range.
    """
    rows = len(bootstrap)
    true = check_labels(labels, rows=rows, num_classes=len(CODES))

    def right(predicted: npt.ArrayLike) -> FloatArray:
        found = check_labels(predicted, rows=rows, num_classes=len(CODES))
        return (found == true).astype(np.float64)

    hits = {name: right(predicted) for name, predicted in predictions.items()}
    share = np.mean(list(hits.values()), axis=0)
    measured = {
        "corrupted_balanced_accuracy": share,
        "corruption_drop": right(clean) - share,
        **hits,
    }

    def interval(values: FloatArray) -> Interval:
        return bootstrap.interval(lambda i: macro_mean(values[i], true[i], len(CODES)))

    return {name: interval(values) for name, values in measured.items()}


def _with_corruptions(
    report: Report, engine: DermSim, rows: Dataset, probabilities: FloatArray
) -> Report:
    found = evaluate_corruptions(
        predict_corrupted(engine, rows),
        np.array(rows["dx"]),
        Bootstrap(list(rows["lesion_id"]), report.resamples, report.seed),
        clean=probabilities.argmax(axis=1),
    )
    return replace(report, metrics=report.metrics | found)


# -- photographs of another origin ----------------------------------------------------------------


def evaluate_shift(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    calibration: Calibration,
) -> dict[str, Interval]:
    """Measure calibrated probabilities of photographs of another origin.

    Args:
        probabilities: ``(N, 7)`` from `Calibration.probabilities`.
        labels: ``(N,)`` integers, the true diagnoses. Some of the seven may be absent.
        bootstrap: The N lesions and how they are resampled.
        calibration: Fitted on validation, of the origin that the encoder was trained on.

    Returns:
        ``shift_balanced_accuracy`` (the most probable of all seven diagnoses, averaged over those
        present), ``shift_melanoma_auc``, ``shift_malignancy_auc``, ``shift_keratosis_auc``
        (``bkl`` against the rest) and the rest of `SHIFT_FIGURES`; a figure that lacks one of its
        two sides is left out.

    Raises:
        ValueError: If shapes do not match, a label is out of range or there are no rows.
    """
    measured = evaluate_classification(probabilities, labels, bootstrap, calibration=calibration)
    found = {f"shift_{name}": measured[name] for name in SHIFT_FIGURES if name in measured}
    keratosis = np.asarray(labels) == LABEL2ID["bkl"]
    if keratosis.any() and not keratosis.all():
        ranks = score_ranks(np.asarray(probabilities)[:, LABEL2ID["bkl"]])
        found["shift_keratosis_auc"] = bootstrap.interval(
            lambda i: class_auc(keratosis[i], ranks[i])
        )
    return found


def _with_shift(report: Report, engine: DermSim, rows: Dataset, name: str) -> Report:
    logits = encode(engine.model, engine.processor, rows["image"]).logits
    labels, probabilities = np.array(rows["dx"]), engine.calibration.probabilities(logits)
    bootstrap = Bootstrap(list(rows["lesion_id"]), report.resamples, report.seed)
    found = evaluate_shift(probabilities, labels, bootstrap, calibration=engine.calibration)
    reached = threshold_figures(
        probabilities,
        labels,
        bootstrap,
        calibration=engine.calibration,
        origin="elsewhere",
        dataset=name,
    )
    counts = np.bincount(labels, minlength=len(CODES)).tolist()
    origin = Shift(dataset=name, class_counts=dict(zip(CODES, counts, strict=True)))
    return replace(
        report,
        metrics=report.metrics | found,
        shift=origin,
        thresholds=(*report.thresholds, *reached),
    )


# -- what it is worth to know the patient ---------------------------------------------------------


def evaluate_facts(
    informed: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    bootstrap: Bootstrap,
    *,
    calibration: Calibration,
) -> dict[str, Interval]:
    """Measure what facts about the patient add.

    Args:
        informed: ``(N, 7)`` calibrated probabilities with facts.
        probabilities: ``(N, 7)`` calibrated probabilities of the same images without.
        labels: ``(N,)`` integers, the true diagnoses.
        bootstrap: The N lesions and how they are resampled.
        calibration: Fitted on validation with facts.

    Returns:
        Each of `FACTS_FIGURES` that the classes present allow, its name ending in ``_with_facts``,
        and ``facts_gain_balanced_accuracy``, with facts less without on the same resamples.

    Raises:
        ValueError: If shapes do not match, a label is out of range or there are no rows.
    """
    measured = evaluate_classification(informed, labels, bootstrap, calibration=calibration)
    found = {f"{name}_with_facts": measured[name] for name in FACTS_FIGURES if name in measured}
    true, classes = np.asarray(labels), len(CODES)
    told, blind = (np.asarray(p).argmax(axis=1) for p in (informed, probabilities))
    if told.shape != blind.shape:
        raise Refused("evaluation_checkpoint.rows", told_count=len(told), blind_count=len(blind))
    found["facts_gain_balanced_accuracy"] = bootstrap.interval(
        lambda i: (
            balanced_accuracy(true[i], told[i], classes)
            - balanced_accuracy(true[i], blind[i], classes)
        )
    )
    return found


def _with_facts(
    report: Report, engine: DermSim, rows: Dataset, logits: npt.NDArray[np.float32]
) -> Report:
    assert engine.calibration_facts is not None
    facts = facts_of(rows)
    plain = engine.calibration.probabilities(logits)
    told = engine.calibration_facts.probabilities(logits + weigh_facts(engine.model, facts))
    known = np.array([row.known for row in facts])[:, None]
    found = evaluate_facts(
        np.where(known, told, plain),
        plain,
        np.array(rows["dx"]),
        Bootstrap(list(rows["lesion_id"]), report.resamples, report.seed),
        calibration=engine.calibration_facts,
    )
    return replace(report, metrics=report.metrics | found)
