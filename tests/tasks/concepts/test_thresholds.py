"""From where on a finding is said."""

import numpy as np
import pytest

from dermsim.tasks.concepts.thresholds import PRECISION, absent_below, present_from


@pytest.fixture
def sure():
    """1,000 rows whose probability is the truth's."""
    rng = np.random.default_rng(0)
    probability = rng.random(1000)
    return probability, rng.random(1000) < probability


def test_what_is_said_is_true_often_enough(sure):
    probability, truth = sure
    found = present_from(probability, truth)
    said = probability >= found.probability
    assert truth[said].mean() == pytest.approx(found.precision)
    assert found.precision > PRECISION
    assert found.said == said.sum()
    assert found.share == pytest.approx(said.mean())


def test_absent_is_said_below_and_not_at_the_threshold(sure):
    probability, truth = sure
    found = absent_below(probability, truth)
    said = probability < found.probability
    assert (~truth[said]).mean() == pytest.approx(found.precision)
    assert said.sum() == found.said


def test_absent_must_mean_something_of_what_is_rare():
    rng = np.random.default_rng(0)
    rare = rng.random(2000) < 0.05
    # chance scores: nine in ten are absent anyway, and hearing so would say nothing
    assert absent_below(rng.random(2000), rare) is None


def test_nothing_is_said_without_reason():
    rng = np.random.default_rng(0)
    assert present_from(rng.random(500), rng.random(500) < 0.5) is None


def test_few_rows_are_not_enough_to_be_sure():
    probability = np.array([0.1, 0.2, 0.8, 0.9])
    truth = np.array([False, False, True, True])
    assert present_from(probability, truth) is None


def test_equal_probabilities_are_said_together():
    probability = np.array([0.9] * 40 + [0.5] * 40)
    truth = np.array([True] * 40 + [False] * 40)
    found = present_from(probability, truth)
    assert (found.probability, found.said, found.precision) == (0.9, 40, 1.0)
