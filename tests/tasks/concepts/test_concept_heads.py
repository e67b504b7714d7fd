"""Linear heads: planted concepts are found, and nothing is found where nothing is."""

import numpy as np
import pytest
from refusals import refuses
from sklearn.metrics import roc_auc_score

from dermsim.core.refused import Phrase
from dermsim.tasks.concepts.heads import (
    ConceptHead,
    ConceptHeads,
    deal_groups,
    fit_heads,
    fit_sigmoid,
    sigmoid,
)


@pytest.fixture(scope="module")
def planted():
    """400 rows of 200 groups; the second concept is chance, the third seen in six groups only."""
    rng = np.random.default_rng(0)
    features = rng.normal(3, 5, (400, 20))
    clear = features[:, 0] - 3 + rng.normal(0, 3, 400) > 0
    labels = np.stack([clear, rng.random(400) < 0.4, np.arange(400) < 6], axis=1).astype(np.int8)
    return features, labels, [f"lesion {row // 2}" for row in range(400)]


@pytest.fixture(scope="module")
def fitted(planted):
    features, labels, groups = planted
    names = ["network", "chance", "rare"]
    return fit_heads(features, labels, names, source="drawn", groups=groups, resamples=200)


def test_a_planted_concept_is_found_and_chance_is_not_usable(fitted):
    network, chance = fitted.heads.heads
    assert network.usable
    assert network.auc.value > 0.85
    assert network.auc.low <= network.auc.value <= network.auc.high
    assert not chance.usable


def test_a_concept_of_too_few_groups_gets_no_head(fitted):
    assert fitted.skipped == {"rare": Phrase("concepts_heads.few_with", count=3, fewest=10)}


def test_figures_are_of_rows_left_out(planted, fitted):
    _, labels, _ = planted
    for column, head in enumerate(fitted.heads.heads):
        expected = roc_auc_score(labels[:, column], fitted.left_out[:, column])
        assert head.auc.value == pytest.approx(expected)


def test_no_group_is_on_both_sides_of_a_fold(planted):
    _, labels, groups = planted
    names = np.array(groups)
    folds = deal_groups(labels, groups, folds=5, seed=0)
    assert sorted(np.concatenate([out for _, out in folds]).tolist()) == list(range(400))
    for kept, out in folds:
        assert not set(names[kept]) & set(names[out])


def test_rows_that_do_not_count_are_in_no_figure(planted):
    features, labels, groups = planted
    counted = np.arange(400) >= 100
    found = fit_heads(
        features,
        labels[:, :1],
        ["network"],
        source="drawn",
        groups=groups,
        measured=counted,
        resamples=20,
    )
    assert found.heads.heads[0].auc.n == 300


def test_unlabelled_rows_are_neither_fitted_to_nor_counted(planted):
    features, labels, groups = planted
    partly = labels[:, :1].copy()
    partly[:200] = -1
    found = fit_heads(features, partly, ["network"], source="drawn", groups=groups, resamples=20)
    head = found.heads.heads[0]
    assert head.auc.n == head.positives + head.negatives == 200


def test_scaling_the_features_changes_no_answer(planted, fitted):
    features, labels, groups = planted
    scale = np.linspace(0.1, 30, 20)
    other = fit_heads(
        features * scale,
        labels,
        ["network", "chance", "rare"],
        source="drawn",
        groups=groups,
        resamples=20,
    )
    np.testing.assert_allclose(
        other.heads.scores(features * scale), fitted.heads.scores(features), atol=1e-2
    )


def test_probabilities_are_calibrated(planted):
    features, labels, groups = planted
    found = fit_heads(
        features, labels[:, :1], ["network"], source="drawn", groups=groups, resamples=20
    )
    mean = sigmoid(found.left_out[:, 0]).mean()
    assert mean == pytest.approx(labels[:, 0].mean(), abs=0.03)


def test_a_sigmoid_recovers_known_odds():
    rng = np.random.default_rng(0)
    scores = rng.normal(10, 4, 20_000)
    positive = rng.random(20_000) < sigmoid(0.5 * scores - 4)
    slope, offset = fit_sigmoid(scores, positive)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-4, abs=0.3)


def test_a_perfect_score_does_not_ask_for_an_infinite_slope():
    slope, _ = fit_sigmoid(np.array([0.0, 0, 1, 1]), np.array([False, False, True, True]))
    assert 0 < slope < 100


def test_a_head_is_rebuilt_from_what_it_says(fitted):
    for head in fitted.heads.heads:
        again = ConceptHead.from_dict(head.to_dict())
        assert again.to_dict() == head.to_dict()


def test_a_head_that_contradicts_itself_is_refused(fitted):
    values = {**fitted.heads.heads[0].to_dict(), "usable": False}
    with refuses("concepts_heads.usable", key="network@drawn", usable=False):
        ConceptHead.from_dict(values)


def test_features_of_another_encoder_are_refused(fitted):
    with refuses("concepts_heads.other_encoder", expected=20, dimensions=21):
        fitted.heads.scores(np.zeros((1, 21)))


def test_heads_are_joined_and_left_out_by_data_set(fitted):
    other = ConceptHeads(
        tuple(
            ConceptHead.from_dict({**head.to_dict(), "source": "other"})
            for head in fitted.heads.heads
        ),
        fitted.heads.weight,
        fitted.heads.bias,
    )
    both = fitted.heads.join(other)
    assert [head.key for head in both.without("drawn").heads] == ["network@other", "chance@other"]
    with refuses("concepts_heads.twice"):
        both.join(other)


def test_weights_that_are_not_of_the_heads_are_refused(fitted):
    with refuses("concepts_heads.shape", count=2):
        ConceptHeads(fitted.heads.heads, fitted.heads.weight[:1], fitted.heads.bias)


def test_labels_of_other_rows_are_refused(planted):
    features, labels, groups = planted
    with refuses("concepts_heads.rows"):
        fit_heads(features, labels[:-1], ["a", "b", "c"], source="drawn", groups=groups)


def test_nothing_to_fit_is_refused(planted):
    features, labels, groups = planted
    with refuses("concepts_heads.none_fitted", source="drawn"):
        fit_heads(features, labels[:, 2:], ["rare"], source="drawn", groups=groups)
