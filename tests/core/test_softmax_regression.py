import numpy as np
import pytest
from scipy.optimize import approx_fprime

from dermsim.core.softmax_regression import fit_corrections, log_loss


@pytest.fixture
def rows():
    """Inputs, scores of four classes, the truth and unequal weights of 60 rows."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(60, 3)),
        rng.normal(size=(60, 4)),
        rng.integers(0, 4, size=60),
        rng.uniform(0.5, 2, size=60),
    )


def plain_loss(scores, targets, weights):
    """The same, a row at a time."""
    return sum(
        weight * (np.log(np.exp(own).sum()) - own[true])
        for own, true, weight in zip(scores, targets, weights, strict=True)
    )


def test_the_loss_and_its_gradient(rows):
    _, scores, targets, weights = rows
    value, slope = log_loss(scores, targets, weights)
    assert value == pytest.approx(plain_loss(scores, targets, weights))
    measured = approx_fprime(
        scores.ravel(), lambda flat: log_loss(flat.reshape(60, 4), targets, weights)[0]
    )
    np.testing.assert_allclose(slope.ravel(), measured, atol=1e-4)
    assert log_loss(scores, targets)[0] == pytest.approx(plain_loss(scores, targets, np.ones(60)))


def test_scores_without_measure_do_not_overflow():
    value, slope = log_loss(np.array([[1000.0, -1000.0]]), np.array([1]))
    assert value == 2000 and slope.tolist() == [[1.0, -1.0]]


@pytest.mark.parametrize("learned", [4, 2])
def test_nothing_near_the_corrections_is_better(rows, learned):
    inputs, scores, targets, weights = rows
    pull, bias_pull = np.linspace(0.1, 3, learned), 0.2

    def objective(weight, bias):
        moved = scores.copy()
        moved[:, 4 - learned :] += inputs @ weight.T + bias
        held = (pull * (weight**2).sum(axis=1)).sum() + bias_pull * (bias**2).sum()
        return plain_loss(moved, targets, weights) + held / 2

    weight, bias = fit_corrections(inputs, scores, targets, weights, pull=pull, bias_pull=bias_pull)
    best = objective(weight, bias)
    assert best < objective(np.zeros((learned, 3)), np.zeros(learned))
    rng = np.random.default_rng(1)
    for _ in range(50):
        step = 0.05 * rng.normal(size=(learned, 4))
        assert objective(weight + step[:, :3], bias + step[:, 3]) > best


def test_a_strong_pull_leaves_scores_as_they_are(rows):
    weight, bias = fit_corrections(*rows, pull=np.full(4, 1e9), bias_pull=1e9)
    assert abs(weight).max() < 1e-6 and abs(bias).max() < 1e-6
