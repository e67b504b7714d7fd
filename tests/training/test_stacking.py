"""The meta-learner: against scikit-learn and autograd, and what it promises of rare diagnoses."""

import numpy as np
import pytest
import torch
from refusals import refuses
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss

from dermsim.core.folds import deal_lesions
from dermsim.core.labels import CODES
from dermsim.training import stacking
from dermsim.training.stacking import STRENGTHS, Stack, fit_stack

HAM10000_SHARES = np.array([0.033, 0.051, 0.11, 0.011, 0.111, 0.67, 0.014])


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_probabilities(member_logits):
    return np.concatenate([np.log(softmax(logits)) for logits in member_logits], axis=1)


def member(labels, *, skill, noise, seed):
    """Logits of a member that favours the truth by `skill`, one number or one per diagnosis."""
    logits = np.random.default_rng(seed).normal(0, noise, (len(labels), 7))
    logits[np.arange(len(labels)), labels] += np.broadcast_to(skill, 7)[labels]
    return logits


@pytest.fixture
def rare():
    """Labels as HAM10000 has them, and two members of unlike strengths."""
    rng = np.random.default_rng(0)
    labels = rng.choice(7, 400, p=HAM10000_SHARES / HAM10000_SHARES.sum())
    labels[:7] = np.arange(7)
    first = member(labels, skill=[5, 5, 5, 0, 0, 2, 0], noise=1.5, seed=1)
    second = member(labels, skill=[0, 0, 0, 5, 5, 2, 5], noise=1.5, seed=2)
    return np.stack([first, second]), labels


@pytest.fixture
def few():
    """Ten rows of every diagnosis, and two members."""
    labels = np.tile(np.arange(7), 10)
    return np.stack([member(labels, skill=1, noise=1, seed=seed) for seed in (12, 13)]), labels


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_the_correction_is_scikit_learns_where_the_average_says_nothing(strength):
    # logits and their negatives average to nothing: what remains is what scikit-learn solves
    labels = np.tile(np.arange(7), 12)
    logits = member(labels, skill=1, noise=1, seed=3)
    inputs = log_probabilities([logits, -logits])
    average = np.tile(np.eye(7), 2) / 2
    weight, bias = stacking._fit(inputs, labels, stacking._Start(average, np.zeros(7)), strength)
    correction = weight - average

    with_ones = np.column_stack([inputs, np.ones(len(labels))])  # to penalise the bias as well
    reference = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = reference.fit(with_ones, labels).coef_
    assert np.abs(expected).max() > 5e-3
    np.testing.assert_allclose(correction, expected[:, :-1], atol=1e-3)
    np.testing.assert_allclose(bias, expected[:, -1], atol=1e-3)


@pytest.mark.parametrize("strength", [1e-4, 1.0])
def test_autograd_finds_no_way_down_from_the_solution(rare, strength):
    member_logits, labels = rare
    inputs = torch.from_numpy(log_probabilities(member_logits))
    prior = np.log(HAM10000_SHARES)
    average = torch.tile(torch.eye(7), (1, 2)).double() * 0.7
    start = stacking._Start(average.numpy(), prior)
    point = [
        torch.tensor(value, requires_grad=True)
        for value in stacking._fit(inputs.numpy(), labels, start, strength)
    ]

    def objective(weight, bias):
        logits = inputs @ weight.T + bias + torch.from_numpy(prior)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        held = ((weight - average) ** 2).sum() + (bias**2).sum()
        return loss + held / (2 * strength * len(labels))

    loss = objective(*point)
    for slope in torch.autograd.grad(loss, point):
        assert slope.abs().max() < 1e-4
    assert loss < objective(average, torch.zeros(7)) - 1e-3


def test_an_endless_penalty_leaves_the_mean_log_probability(rare):
    member_logits, labels = rare
    inputs = log_probabilities(member_logits)
    start = stacking._start(inputs, labels)
    weight, bias = stacking._fit(inputs, labels, start, 1e-15)
    expected = inputs.reshape(len(labels), 2, 7).mean(axis=1)
    factor = weight[0, 0] * 2
    np.testing.assert_allclose(inputs @ weight.T + bias, factor * expected, atol=1e-8)
    # and no factor beside it explains the rows better
    losses = [
        log_loss(labels, softmax(other * factor * expected + start.prior))
        for other in (0.9, 1.0, 1.1)
    ]
    assert losses[1] == min(losses)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_what_the_members_lack_of_the_shares_is_estimated(power):
    """Members that know the shares to a power lack the rest, however sure of themselves."""
    shares = HAM10000_SHARES / HAM10000_SHARES.sum()
    labels = np.random.default_rng(10).choice(7, 4000, p=shares)
    # noise of variance s² around s² at the truth: the logits of the likelihood
    likelihood = member(labels, skill=4, noise=2, seed=11)
    logits = 3 * (likelihood + power * np.log(shares))
    start = stacking._start(log_probabilities([logits]), labels)
    expected = (1 - power) * np.log(np.bincount(labels, minlength=7) / len(labels))
    np.testing.assert_allclose(start.prior, expected, atol=0.6)
    np.testing.assert_allclose(start.weight, np.eye(7) / 3, atol=0.03)


def test_members_that_are_never_wrong_are_not_made_endlessly_sure():
    labels = np.tile(np.arange(7), 10)
    start = stacking._start(log_probabilities([5 * np.eye(7)[labels]]), labels)
    assert 1 < start.weight.max() <= 10


def test_a_perfect_and_a_random_member_together_beat_both():
    labels = np.tile(np.arange(7), 40)
    # right every time, but never sure
    members = np.stack([2.0 * np.eye(7)[labels], member(labels, skill=0, noise=2, seed=4)])
    stack = fit_stack(members, labels, None)
    new = np.tile(np.arange(7), 30)
    unseen = np.stack([2.0 * np.eye(7)[new], member(new, skill=0, noise=2, seed=5)])
    losses = [log_loss(new, softmax(logits)) for logits in unseen]
    assert log_loss(new, softmax(stack.logits(unseen))) < 0.2 * min(losses)
    assert log_loss(labels, softmax(stack.out_of_fold)) < 0.2 * min(losses)
    assert (stack.logits(unseen).argmax(axis=1) == new).all()
    perfect, random = np.abs(stack.weight[:, :7]).sum(), np.abs(stack.weight[:, 7:]).sum()
    assert perfect > 2 * random


def test_each_member_is_heeded_about_what_it_knows(rare):
    member_logits, labels = rare
    stack = fit_stack(member_logits, labels, None)
    accuracy = balanced_accuracy_score(labels, stack.out_of_fold.argmax(axis=1))
    average = log_probabilities(member_logits).reshape(len(labels), 2, 7).mean(axis=1)
    others = [*member_logits, average]
    assert accuracy > max(balanced_accuracy_score(labels, o.argmax(axis=1)) for o in others) + 0.02


def test_the_members_balance_between_diagnoses_is_kept():
    """Plain regression on validation would learn that most lesions are naevi."""
    rng = np.random.default_rng(6)
    labels = rng.choice(7, 900, p=HAM10000_SHARES / HAM10000_SHARES.sum())
    members = np.stack([member(labels, skill=2, noise=1.6, seed=seed) for seed in (7, 8)])
    inputs = log_probabilities(members)
    average = inputs.reshape(len(labels), 2, 7).mean(axis=1)
    before = balanced_accuracy_score(labels, average.argmax(axis=1))
    stacked = fit_stack(members, labels, None).out_of_fold
    after = balanced_accuracy_score(labels, stacked.argmax(axis=1))
    plain = LogisticRegression(max_iter=500).fit(inputs, labels)
    assert balanced_accuracy_score(labels, plain.predict(inputs)) < before - 0.05
    assert after > before - 0.02


def test_out_of_fold_logits_come_from_fits_without_the_lesion(rare):
    member_logits, labels = rare
    lesions = [f"L{i // 2}" for i in range(len(labels))]
    stack = fit_stack(member_logits, labels, lesions, folds=4, seed=3)
    inputs = log_probabilities(member_logits)
    folds = deal_lesions(labels, lesions, folds=4, seed=3)
    assert sorted(np.concatenate([left_out for _, left_out in folds])) == list(range(len(labels)))
    for kept, left_out in folds:
        assert not {lesions[i] for i in kept} & {lesions[i] for i in left_out}
        start = stacking._start(inputs[kept], labels[kept])
        weight, bias = stacking._fit(inputs[kept], labels[kept], start, stack.strength)
        expected = inputs[left_out] @ weight.T + bias
        expected -= expected.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(stack.out_of_fold[left_out], expected, atol=1e-3)


def test_what_is_learned_by_heart_does_not_show_out_of_fold():
    """Every lesion is one noise, photographed five times: nothing to learn for another lesion."""
    rng = np.random.default_rng(9)
    labels = np.repeat(rng.integers(0, 7, 60), 5)
    noise = np.repeat(rng.normal(0, 3, (2, 60, 7)), 5, axis=1)
    lesions = [f"L{i}" for i in np.repeat(np.arange(60), 5)]
    honest = fit_stack(noise, labels, lesions)
    fooled = fit_stack(noise, labels, None)
    assert honest.strength < fooled.strength
    assert log_loss(labels, softmax(fooled.out_of_fold)) < np.log(7) - 0.1
    accuracy = (honest.out_of_fold.argmax(axis=1) == labels).mean()
    assert accuracy < 0.3


def test_without_lesions_every_row_is_its_own(few):
    member_logits, labels = few
    first, second, third = (
        fit_stack(member_logits, labels, groups)
        for groups in (None, [None] * len(labels), [f"L{i}" for i in range(len(labels))])
    )
    for other in (second, third):
        assert np.array_equal(first.weight, other.weight)
        assert np.array_equal(first.out_of_fold, other.out_of_fold)


def test_the_stacked_logits_are_those_of_the_weights(few):
    member_logits, labels = few
    stack = fit_stack(member_logits, labels, None)
    assert stack.weight.shape == (7, 14) and stack.weight.dtype == np.float32
    assert stack.bias.shape == (7,) and stack.bias.dtype == np.float32
    assert stack.out_of_fold.shape == (len(labels), 7) and stack.out_of_fold.dtype == np.float32
    assert stack.strength in STRENGTHS
    expected = log_probabilities(member_logits) @ stack.weight.T + stack.bias
    actual = stack.logits(member_logits)
    np.testing.assert_allclose(softmax(actual), softmax(expected), atol=1e-5)
    np.testing.assert_allclose(actual.sum(axis=1), 0, atol=1e-4)


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.filterwarnings("error")
def test_a_rare_or_absent_diagnosis_stays_near_the_average(rare, count):
    member_logits, labels = rare
    df = CODES.index("df")
    few = np.flatnonzero(labels == df)[count:]
    kept = np.setdiff1d(np.arange(len(labels)), few)
    stack = fit_stack(member_logits[:, kept], labels[kept], None)
    assert np.isfinite(stack.out_of_fold).all()
    start = stacking._start(log_probabilities(member_logits[:, kept]), labels[kept])
    moved = np.abs(stack.weight - start.weight).sum(axis=1)
    assert moved[df] < moved[CODES.index("nv")]
    # where both members are sure of it, so is the stack
    sure = np.zeros((2, 1, 7))
    sure[..., df] = 8
    assert stack.logits(sure).argmax() == df


def test_the_same_seed_gives_the_same_stack(few):
    first, again, other = (fit_stack(*few, None, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.out_of_fold, again.out_of_fold)
    assert np.array_equal(first.weight, again.weight)
    assert not np.array_equal(first.out_of_fold, other.out_of_fold)


class TestErrors:
    @pytest.mark.parametrize("shape", [(2, 14), (0, 14, 7), (2, 0, 7), (2, 14, 6)])
    def test_wrong_shape(self, shape):
        with refuses("stacking.shape", count=7):
            fit_stack(np.zeros(shape), np.zeros(14, int), None)

    def test_not_a_number(self, rare):
        member_logits, labels = rare
        member_logits[1, 2, 3] = np.nan
        with refuses("stacking.not_finite"):
            fit_stack(member_logits, labels, None)

    def test_another_number_of_labels(self, rare):
        with refuses("vectors.labels_shape"):
            fit_stack(rare[0], rare[1][:-1], None)

    def test_another_number_of_groups(self, rare):
        with refuses("folds.lesions", labels_count=400, ids_count=3):
            fit_stack(*rare, ["a", "b", "c"])

    def test_too_few_lesions(self, rare):
        with refuses("folds.count", count=4, folds=5):
            fit_stack(*rare, [f"L{i % 4}" for i in range(400)])

    @pytest.mark.parametrize("folds", [-1, 0, 1])
    def test_too_few_folds(self, rare, folds):
        with refuses("folds.count"):
            fit_stack(*rare, None, folds=folds)

    def test_one_diagnosis(self):
        with refuses("folds.one_class", count=10, codes="nv"):
            fit_stack(np.zeros((2, 10, 7)), np.full(10, 5), None)

    def test_logits_of_another_number_of_members(self, few):
        stack = fit_stack(*few, None)
        with refuses("stacking.members", members=2, given=3):
            stack.logits(np.zeros((3, 1, 7)))

    @pytest.mark.parametrize(
        ("weight", "bias", "logits"),
        [((7, 15), (7,), (1, 7)), ((7, 0), (7,), (1, 7)), ((7, 14), (6,), (1, 7))],
    )
    def test_a_stack_that_is_no_layer(self, weight, bias, logits):
        with refuses("stacking.parts"):
            Stack(np.zeros(weight), np.zeros(bias), np.zeros(logits), 1.0)

    def test_a_stack_of_infinities(self):
        with refuses("stacking.weights_not_finite"):
            Stack(np.zeros((7, 14)), np.full(7, np.inf), np.zeros((1, 7)), 1.0)
