from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses
from scipy.stats import binom
from table_rows import row_of

from dermsim.core.labels import CODES
from dermsim.core.metrics import balanced_accuracy, class_auc
from dermsim.evaluation.protocols.ambiguity import binomial_band, evaluate_ambiguity
from dermsim.evaluation.protocols.protocol_cases import encode_cases, select

KNOWN = ("bcc", "bkl", "mel", "nv")


@pytest.fixture(scope="module")
def tables(engine, dataset):
    return evaluate_ambiguity(engine, dataset, resamples=40)


@pytest.fixture(scope="module")
def cases(engine, dataset):
    return encode_cases(engine, select(dataset, KNOWN, split="test"), purpose="")


def test_coverage_by_counting(engine, tables, cases):
    coverage, _ = tables
    probabilities = engine.calibration.probabilities(cases.encoding.logits)
    for level in ("0.80", "0.90", "0.95"):
        sets = engine.calibration.prediction_sets(probabilities, level=level)
        for code in KNOWN:
            own = np.flatnonzero(cases.labels == CODES.index(code))
            row = row_of(coverage, nominal=level, diagnosis=code)
            covered = np.mean([code in sets[i] for i in own])
            assert row.figures["coverage"].value == pytest.approx(covered)
            assert row.figures["coverage"].n == len(own)
            size = np.mean([len(sets[i]) for i in own])
            assert row.figures["diagnoses in the set"].value == pytest.approx(size)
            low, high = binomial_band(float(level), len(own))
            assert row.notes["band"] == f"{low:.3f} to {high:.3f}"
            assert row.notes["inside"] == ("yes" if low <= covered <= high else "no")
        whole = row_of(coverage, nominal=level, diagnosis="all diagnoses")
        assert whole.figures["coverage"].n == len(cases)
        assert not whole.notes
    assert len(coverage.rows) == 3 * 5


def test_the_band_holds_95_in_100():
    for n, nominal in ((14, 0.9), (41, 0.8), (838, 0.95)):
        low, high = binomial_band(nominal, n)
        counts = np.arange(n + 1)
        inside = (counts >= round(low * n)) & (counts <= round(high * n))
        assert 0.95 <= binom.pmf(counts, n, nominal)[inside].sum() < 0.995
    assert binomial_band(0.5, 4) == (0.0, 1.0)


def test_warning_by_hand(engine, tables, cases):
    _, warning = tables
    probabilities = engine.calibration.probabilities(cases.encoding.logits)
    predicted = probabilities.argmax(axis=1)
    wrong = predicted != cases.labels
    assert 0 < wrong.sum() < len(wrong)
    entropies = -(probabilities * np.log2(np.maximum(probabilities, 1e-300))).sum(axis=1)
    row = row_of(warning, sign="entropy").figures
    assert row["AUROC"].value == pytest.approx(class_auc(wrong, entropies))
    everything = balanced_accuracy(cases.labels, predicted, 7)
    assert row["balanced accuracy, all"].value == pytest.approx(everything)
    sure = entropies <= np.quantile(entropies, 0.8)
    surest = balanced_accuracy(cases.labels[sure], predicted[sure], 7)
    assert row["balanced accuracy, surest 80%"].value == pytest.approx(surest)

    shares = []
    for embedding, lesion, label in zip(
        cases.encoding.embeddings, cases.lesion_ids, predicted, strict=True
    ):
        [near] = engine.gallery.search(embedding[None], 16, exclude_lesion_ids=[lesion])
        shares.append(np.mean([neighbor.dx != CODES[label] for neighbor in near]))
    row = row_of(warning, sign="neighbour disagreement").figures
    assert row["AUROC"].value == pytest.approx(class_auc(wrong, np.array(shares)))
    strange = engine.detector.score(cases.encoding)
    row = row_of(warning, sign="strangeness").figures
    assert row["AUROC"].value == pytest.approx(class_auc(wrong, strange))


def test_entropy_warns_better_than_chance(tables):
    _, warning = tables
    sign = row_of(warning, sign="entropy").figures
    assert sign["AUROC"].value > 0.6
    surest = sign["balanced accuracy, surest 80%"].value
    assert surest > sign["balanced accuracy, all"].value


class Recalibrated:
    """An engine whose calibration is another."""

    def __init__(self, engine, calibration):
        self.engine, self.calibration = engine, calibration

    def __getattr__(self, name):
        return getattr(self.engine, name)


def test_refuses(engine, dataset):
    with refuses("ambiguity.split", split="validation"):
        evaluate_ambiguity(engine, dataset, split="validation")
    older = Recalibrated(engine, replace(engine.calibration, levels={}))
    with refuses("ambiguity.one_coverage"):
        evaluate_ambiguity(older, dataset)
    with refuses("held_out.learned_from"):
        evaluate_ambiguity(engine, dataset, split="all")
