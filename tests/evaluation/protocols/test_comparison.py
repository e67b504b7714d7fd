"""Differences between checkpoints, against scikit-learn and against the resamples themselves."""

import copy

import numpy as np
import pytest
from refusals import refuses
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from table_rows import row_of

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.protocols import comparison
from dermsim.evaluation.protocols.comparison import FIGURES, compare

BALANCED, MELANOMA = FIGURES["balanced_accuracy"], FIGURES["melanoma_auc"]


@pytest.fixture
def worse(whole_engine, monkeypatch):
    """The same checkpoint with noise in its answers."""
    other = copy.copy(whole_engine)
    honest = comparison.encode_cases

    def encode_cases(engine, rows, *, purpose):
        found = honest(engine, rows, purpose=purpose)
        if engine is other:
            noise = np.random.default_rng(0).normal(size=found.encoding.logits.shape)
            blurred = copy.copy(found.encoding)
            object.__setattr__(blurred, "logits", (blurred.logits + 3 * noise).astype(np.float32))
            found = type(found)(blurred, found.labels, found.lesion_ids)
        return found

    monkeypatch.setattr(comparison, "encode_cases", encode_cases)
    return other


@pytest.fixture
def held_out(dataset, whole_engine, worse):
    """Diagnoses and lesions of the held-out rows, and both checkpoints' probabilities."""
    rows = grouped_splits(dataset)["test"]
    probabilities = [
        engine.calibration.probabilities(
            comparison.encode_cases(engine, rows, purpose="").encoding.logits
        )
        for engine in (whole_engine, worse)
    ]
    return np.array(rows["dx"]), list(rows["lesion_id"]), probabilities


def test_differences_are_paired(whole_engine, worse, dataset, held_out):
    true, lesions, (good, bad) = held_out
    table = compare({"a": whole_engine, "b": worse}, dataset, resamples=50)
    found = row_of(table, figure=BALANCED).figures
    assert list(found) == ["a", "b", "b − a", "together"]
    assert found["a"].value == pytest.approx(balanced_accuracy_score(true, good.argmax(1)))
    assert found["b"].value == pytest.approx(balanced_accuracy_score(true, bad.argmax(1)))
    assert found["b"].value < found["a"].value

    def difference(rows):
        return np.mean(
            [
                (bad.argmax(1)[rows] == c)[true[rows] == c].mean()
                - (good.argmax(1)[rows] == c)[true[rows] == c].mean()
                for c in np.unique(true[rows])
            ]
        )

    expected = Bootstrap(lesions, resamples=50).interval(difference)
    assert found["b − a"].to_dict() == expected.to_dict()


def test_what_all_say_together(whole_engine, worse, dataset, held_out):
    true, _, probabilities = held_out
    table = compare({"a": whole_engine, "b": worse}, dataset, resamples=20)
    joined = np.exp(np.mean([np.log(p) for p in probabilities], axis=0))
    joined /= joined.sum(axis=1, keepdims=True)
    found = row_of(table, figure=MELANOMA).figures["together"]
    mel = CODES.index("mel")
    assert found.value == pytest.approx(roc_auc_score(true == mel, joined[:, mel]))
    # embeddings of two spaces have no mean
    assert "together" not in row_of(table, figure=FIGURES["precision_at_5"]).figures


def test_a_checkpoint_does_not_differ_from_itself(whole_engine, dataset):
    engines = {"a": whole_engine, "again": copy.copy(whole_engine)}
    table = compare(engines, dataset, split="validation", resamples=20)
    assert [row.keys["figure"] for row in table.rows] == list(FIGURES.values())
    for row in table.rows:
        difference = row.figures["again − a"]
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert row_of(table, figure=BALANCED).figures["a"].high > 0
    assert table.facts["fingerprints"] == {"a": "pretended", "again": "pretended"}


class TestRefusals:
    def test_one_checkpoint(self, whole_engine, dataset):
        with refuses("comparison.too_few"):
            compare({"a": whole_engine}, dataset)

    def test_other_diagnoses(self, engine, whole_engine, dataset):
        with refuses("comparison.other_classes"):
            compare({"a": whole_engine, "b": engine}, dataset)

    def test_the_name_of_a_column(self, whole_engine, dataset):
        with refuses("comparison.name"):
            compare({"a": whole_engine, "together": whole_engine}, dataset)

    def test_a_split_that_was_learned(self, whole_engine, dataset):
        with refuses("evaluation_checkpoint.split", split="train"):
            compare({"a": whole_engine, "b": whole_engine}, dataset, split="train")

    def test_rows_that_were_learned(self, whole_engine, dataset):
        with refuses("held_out.learned_from"):
            compare({"a": whole_engine, "b": whole_engine}, dataset, split="all")
