"""Melanoma from concepts, and interventions on it."""

import numpy as np
import pytest
from refusals import refuses
from sklearn.metrics import roc_auc_score

from dermsim.data.concepts import load_schema
from dermsim.tasks.concepts import Bottleneck, fit_bottleneck, fit_heads
from dermsim.tasks.concepts.bottleneck import FARTHEST, checklist_points, hard_states
from dermsim.tasks.concepts.heads import sigmoid


@pytest.fixture(scope="module")
def heads():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6))
    labels = (features[:, :3] + rng.normal(0, 0.5, (300, 3)) > 0).astype(np.int8)
    groups = [str(row) for row in range(300)]
    names = ["streaks", "blue_white_veil", "milia_like_cyst"]
    return fit_heads(features, labels, names, source="drawn", groups=groups, resamples=20).heads


@pytest.fixture(scope="module")
def planted(heads):
    """Streaks and veil speak for melanoma, cysts against it."""
    rng = np.random.default_rng(1)
    log_odds = rng.normal(0, 2, (2000, 3))
    truth = rng.random(2000) < sigmoid(log_odds @ np.array([1.0, 0.5, -1.0]) - 1)
    return log_odds, truth, fit_bottleneck(log_odds, truth, heads, source="drawn")


def test_the_score_is_calibrated_and_follows_the_concepts(planted):
    log_odds, truth, found = planted
    score = found.score(log_odds)
    assert score.mean() == pytest.approx(truth.mean(), abs=0.02)
    assert roc_auc_score(truth, score) > 0.85
    assert np.sign(found.weight).tolist() == [1, 1, -1]
    assert (found.n, found.positives) == (2000, truth.sum())


def test_an_intervention_moves_the_score_as_the_concept_does(planted):
    log_odds, _, found = planted
    some = log_odds[:50]
    for key, more in (("streaks@drawn", True), ("milia_like_cyst@drawn", False)):
        there = found.score(found.set(some, key, absent=False))
        gone = found.score(found.set(some, key, absent=True))
        assert ((there > gone) == more).all()


def test_an_intervention_sets_one_concept_and_leaves_the_others(planted):
    log_odds, _, found = planted
    changed = found.set(log_odds, "blue_white_veil@drawn", absent=True)
    np.testing.assert_array_equal(changed[:, [0, 2]], log_odds[:, [0, 2]])
    assert (changed[:, 1] == found.absent_at[1]).all()
    with refuses(
        "bottleneck.not_read",
        key="asymmetry",
        names=["streaks", "blue_white_veil", "milia_like_cyst"],
    ):
        found.set(log_odds, "asymmetry@drawn", absent=True)


def test_being_there_is_farther_up_than_not_being_there(planted):
    _, _, found = planted
    assert all(a < p for a, p in zip(found.absent_at, found.present_at, strict=True))


def test_no_concept_is_surer_than_the_limit(planted):
    _, _, found = planted
    far = np.full((1, 3), 100.0)
    np.testing.assert_array_equal(found.score(far), found.score(np.full((1, 3), FARTHEST)))


def test_hard_states_keep_the_side_only():
    np.testing.assert_array_equal(hard_states(np.array([[-3, 0.1, 9]])), [[0, 1, 1]])


def test_it_is_rebuilt(planted):
    _, _, found = planted
    assert Bottleneck.from_dict(found.to_dict()) == found
    with refuses("bottleneck.inputs", count=2, name="weight"):
        Bottleneck.from_dict({**found.to_dict(), "weight": [1, 2]})


def test_the_checklist_counts_its_points():
    schema = load_schema()
    names = [concept.name for concept in schema.checklist]
    log_odds = np.full((1, 7), -50.0)
    assert checklist_points(log_odds, names, schema)[0] == pytest.approx(0)
    log_odds[0, names.index("atypical_network")] = 50
    log_odds[0, names.index("irregular_streaks")] = 50
    assert checklist_points(log_odds, names, schema)[0] == pytest.approx(3)
    assert checklist_points(log_odds, names, schema, hard=True)[0] == 3
    assert checklist_points(np.full((1, 7), 50.0), names, schema)[0] == pytest.approx(10)


def test_the_checklist_needs_all_seven():
    assert checklist_points(np.zeros((1, 1)), ["streaks"], load_schema()) is None
