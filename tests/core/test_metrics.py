import warnings

import numpy as np
import pytest
from refusals import refuses
from sklearn import metrics as sk

from dermsim.core.metrics import (
    accuracy,
    average_precision,
    balanced_accuracy,
    class_auc,
    confusion_matrix,
    entropy,
    expected_calibration_error,
    fit_temperature,
    fpr_at_tpr,
    macro_f1,
    macro_mean,
    mean_auc,
    precision_at_k,
    recall_per_class,
    score_ranks,
)
from dermsim.core.vectors import softmax

CLASSES = 7


@pytest.fixture(params=["all seven", "three of them"])
def answers(request):
    """Labels, predictions and probabilities; the second set lacks four classes, as ISIC 2017."""
    rng = np.random.default_rng(0)
    present = np.arange(CLASSES) if request.param == "all seven" else np.array([2, 4, 5])
    labels = rng.choice(present, size=300)
    logits = rng.normal(size=(300, CLASSES)) + 1.5 * np.eye(CLASSES)[labels]
    probabilities = softmax(np.round(logits, 1))  # rounded, so that scores tie
    return labels, probabilities.argmax(axis=1), probabilities


def test_label_metrics_agree_with_sklearn(answers):
    labels, predictions, _ = answers
    present = np.unique(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn mentions the classes that are absent
        expected = sk.balanced_accuracy_score(labels, predictions)
    assert balanced_accuracy(labels, predictions, CLASSES) == pytest.approx(expected)
    assert accuracy(labels, predictions) == pytest.approx(sk.accuracy_score(labels, predictions))
    assert macro_f1(labels, predictions, CLASSES) == pytest.approx(
        sk.f1_score(labels, predictions, labels=present, average="macro")
    )
    np.testing.assert_array_equal(
        confusion_matrix(labels, predictions, CLASSES),
        sk.confusion_matrix(labels, predictions, labels=np.arange(CLASSES)),
    )
    recall = recall_per_class(labels, predictions, CLASSES)
    np.testing.assert_allclose(
        recall[present], sk.recall_score(labels, predictions, labels=present, average=None)
    )
    assert np.isnan(np.delete(recall, present)).all()


def test_auc_agrees_with_sklearn(answers):
    labels, _, probabilities = answers
    areas = [sk.roc_auc_score(labels == c, probabilities[:, c]) for c in np.unique(labels)]
    for c, area in zip(np.unique(labels), areas, strict=True):
        assert class_auc(labels == c, probabilities[:, c]) == pytest.approx(area)
        ranks = score_ranks(probabilities[:, c])
        assert class_auc(labels == c, ranks) == pytest.approx(area)
    assert mean_auc(labels, probabilities) == pytest.approx(np.mean(areas))


def test_auc_against_a_loop_over_pairs():
    positive = np.array([True, False, True, False, False])
    scores = np.array([0.9, 0.9, 0.4, 0.1, 0.4])
    pairs = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[positive]
        for n in scores[~positive]
    ]
    assert class_auc(positive, scores) == pytest.approx(np.mean(pairs))
    assert class_auc(~positive, -scores) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("value", [True, False])
def test_auc_of_one_class_is_undefined(value):
    assert np.isnan(class_auc(np.full(3, value), np.arange(3.0)))
    assert np.isnan(mean_auc(np.zeros(3, dtype=int), np.ones((3, 1))))


def test_calibration_error_against_a_loop(answers):
    labels, predictions, probabilities = answers
    total = 0.0
    for b in range(15):
        low, high = b / 15, (b + 1) / 15
        inside = [i for i, p in enumerate(probabilities.max(axis=1)) if low < p <= high]
        if inside:
            confidence = np.mean([probabilities[i].max() for i in inside])
            right = np.mean([predictions[i] == labels[i] for i in inside])
            total += len(inside) / len(labels) * abs(right - confidence)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(total)


def test_calibration_error_by_hand():
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(np.array([0, 0]), sure) == 0
    assert expected_calibration_error(np.array([0, 1]), sure) == pytest.approx(0.5)


def test_entropy_agrees_with_scipy():
    from scipy.stats import entropy as reference

    probabilities = softmax(np.random.default_rng(0).normal(size=(20, 7)))
    np.testing.assert_allclose(entropy(probabilities), reference(probabilities, base=2, axis=1))
    np.testing.assert_array_equal(entropy([[1.0, 0.0], [0.5, 0.5]]), [0.0, 1.0])
    assert str(entropy([[0.0, 1.0]])[0]) == "0.0"


@pytest.mark.parametrize("tpr", [0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_fpr_at_tpr_agrees_with_sklearns_curve(tpr, seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(300) < 0.4
    scores = np.round(rng.normal(size=300) + positive, 1)  # rounded, so that scores tie
    fprs, tprs, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    assert fpr_at_tpr(positive, scores, tpr) == pytest.approx(fprs[tprs >= tpr - 1e-12][0])


def test_fpr_at_tpr_by_hand():
    positive = np.arange(40) < 20
    scores = np.r_[np.arange(20), np.repeat([0.5, 1.0], 10)]
    assert fpr_at_tpr(positive, scores) == 0.5  # 19 of 20 pass from 1 on
    assert np.isnan(fpr_at_tpr(positive[:20], scores[:20]))
    assert np.isnan(fpr_at_tpr(positive[20:], scores[20:]))


def test_average_precision_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    relevance = rng.random((6, 40)) < 0.3
    ranks = -np.arange(40.0)
    expected = [sk.average_precision_score(row, ranks) for row in relevance]
    np.testing.assert_allclose(average_precision(relevance), expected)


def test_retrieval_by_hand():
    relevance = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
    np.testing.assert_allclose(precision_at_k(relevance, 1), [1, 0, 0])
    np.testing.assert_allclose(precision_at_k(relevance, 4), [0.5, 0.25, 0])
    np.testing.assert_allclose(average_precision(relevance), [(1 + 2 / 3) / 2, 0.5, 0])
    labels = np.array([0, 2, 2])
    each = average_precision(relevance)
    assert macro_mean(each, labels, 3) == pytest.approx((5 / 6 + 0.25) / 2)
    assert macro_mean(np.array([1.0, 0.0, 0.5]), labels, 3) == pytest.approx((1 + 0.25) / 2)


@pytest.mark.parametrize("k", [0, 5])
def test_precision_at_k_refuses(k):
    with refuses("metrics.k", dimensions=4):
        precision_at_k(np.zeros((2, 4), dtype=bool), k)


def test_temperature_is_recovered():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5)) * 2
    labels = np.array([rng.choice(5, p=row) for row in softmax(logits)])
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.04)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, abs=0.12)


def test_temperature_is_the_least_loss_on_a_grid():
    rng = np.random.default_rng(1)
    labels = rng.choice(3, size=200, p=[0.8, 0.15, 0.05])
    logits = rng.normal(size=(200, 3)) + np.eye(3)[labels]

    def loss(temperature, weights):
        chosen = softmax(logits, temperature)[np.arange(200), labels]
        return -(weights * np.log(chosen)).sum()

    for balanced in (False, True):
        weights = 1 / np.bincount(labels)[labels] if balanced else np.ones(200)
        grid = np.linspace(0.1, 5, 2000)
        best = grid[np.argmin([loss(t, weights) for t in grid])]
        found = fit_temperature(logits, labels, class_balanced=balanced)
        assert found == pytest.approx(best, abs=0.005)


def test_temperature_refuses():
    with refuses("metrics.logits"):
        fit_temperature(np.zeros((0, 3)), [])
    with refuses("metrics.logits"):
        fit_temperature(np.zeros(3), [0])
    with refuses("vectors.label_outside", label=3):
        fit_temperature(np.zeros((1, 3)), [3])
