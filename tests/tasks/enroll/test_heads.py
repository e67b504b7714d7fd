import numpy as np
import pytest
from scipy.special import log_softmax

from dermsim.core.vectors import l2_normalize
from dermsim.tasks.enroll import heads
from dermsim.tasks.enroll.heads import (
    LOGISTIC_FROM,
    STRENGTH,
    SWALLOW,
    LinearHead,
    NeighborHead,
    OldClasses,
    few_shot_bias,
    fit_heads,
    head_for,
)


def unit(bank, rows):
    return bank.space.unit(rows)


def margins(bank, head, vectors):
    return head.scores(vectors) - bank.old.scores(vectors).max(axis=1)


def test_the_number_of_pictures_decides():
    assert [head_for(n) for n in (1, LOGISTIC_FROM - 1, LOGISTIC_FROM)] == [
        "mean",
        "mean",
        "logistic",
    ]


def test_the_mean_head_is_the_nearest_class_mean(world, bank):
    shots = unit(bank, world.draw(5, 5))
    [head] = fit_heads([shots], ["mean"], old=bank.old)
    queries = unit(bank, world.draw(5, 9, seed=2))
    direction = l2_normalize(shots.sum(axis=0, keepdims=True))[0]
    expected = queries @ direction / bank.temperature
    np.testing.assert_allclose(head.scores(queries) - head.bias, expected, rtol=1e-5)


def test_the_neighbor_head_is_the_mean_likeness_to_the_five_nearest(world, bank):
    shots = unit(bank, world.draw(5, 12))
    queries = unit(bank, world.draw(5, 9, seed=2))
    found = NeighborHead(shots, 0.5, bias=1.0).scores(queries)
    expected = [np.mean(sorted((shots @ q).tolist())[-5:]) / 0.5 + 1 for q in queries]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    few = NeighborHead(shots[:2], 0.5).scores(queries)
    np.testing.assert_allclose(few, (queries @ shots[:2].T).mean(axis=1) / 0.5, rtol=1e-5)


def test_the_few_shot_bias_is_what_a_mean_of_few_loses():
    """Against the likeness that images drawn around a direction really have to such means."""
    rng = np.random.default_rng(0)
    center = np.zeros(200)
    center[0] = 12
    cloud = l2_normalize(center + rng.normal(size=(6000, 200)))
    alignment = float((cloud @ l2_normalize(cloud.sum(axis=0, keepdims=True))[0]).mean())
    for shots in (1, 2, 5, 20):
        means = l2_normalize(cloud[: 50 * shots].reshape(50, shots, 200).sum(axis=1))
        real = float((cloud[3000:] @ means.T).mean())
        assert few_shot_bias(alignment, shots) == pytest.approx(alignment - real, abs=0.01)
    assert few_shot_bias(alignment, 10**9) == pytest.approx(0, abs=1e-6)
    assert few_shot_bias(1.0, 1) == pytest.approx(0)


@pytest.mark.parametrize("kind", ["mean", "neighbors", "logistic"])
@pytest.mark.parametrize("shots", [1, 5, 40])
def test_no_old_class_loses_more_than_it_may(world, bank, kind, shots):
    """Not even mel, which the new class is made to resemble."""
    [head] = fit_heads([unit(bank, world.draw(4, shots))], [kind], old=bank.old)
    before = bank.old.scores(bank.old.vectors)
    right = before.argmax(axis=1) == bank.old.labels
    taken = margins(bank, head, bank.old.vectors) > 0
    for label in range(4):
        own = bank.old.labels == label
        assert (taken & right)[own].mean() <= SWALLOW
    fresh = unit(bank, world.draw(2, 2000, seed=7))
    was_right = bank.old.scores(fresh).argmax(axis=1) == 2
    assert ((margins(bank, head, fresh) > 0) & was_right).mean() < 2.5 * SWALLOW


def test_the_limit_binds_only_where_a_class_would_lose_too_much(world, bank):
    apart = l2_normalize(np.random.default_rng(5).normal(size=(3, 24)))
    [head] = fit_heads([apart], ["mean"], old=bank.old)
    expected = few_shot_bias(bank.old.alignment, 3) / bank.temperature
    taken = margins(bank, head, bank.old.vectors) > 0
    if taken.mean() < SWALLOW / 4:
        assert head.bias == pytest.approx(expected)
    close = np.repeat(bank.old.prototypes[2:3], 3, axis=0)
    [held] = fit_heads([close], ["mean"], old=bank.old)
    assert held.bias < expected - 1e-3


def test_a_new_class_that_lies_apart_is_recognised(world, bank):
    for kind, shots in (("mean", 5), ("neighbors", 5), ("logistic", 30)):
        [head] = fit_heads([unit(bank, world.draw(5, shots))], [kind], old=bank.old)
        assert (margins(bank, head, unit(bank, world.draw(5, 300, seed=4))) > 0).mean() > 0.85


def test_the_logistic_head_is_the_optimum(world, bank):
    """Nothing near it has a lower loss, written out plainly."""
    shots = unit(bank, world.draw(5, 25))
    old = OldClasses(bank.old.prototypes, bank.temperature, bank.old.vectors, bank.old.labels)
    free = OldClasses(old.prototypes, old.temperature, old.vectors[:0], old.labels[:0])
    vectors = np.concatenate([old.vectors, shots]).astype(np.float64)
    true = np.concatenate([old.labels, np.full(25, 4)])
    center = shots.sum(axis=0) / np.linalg.norm(shots.sum(axis=0)) / old.temperature

    def loss(weight, bias):
        scores = np.column_stack([free.scores(vectors), vectors @ weight + bias])
        logs = log_softmax(scores, axis=1)
        balanced = sum(-logs[true == c, c].mean() for c in range(5))
        away = ((weight - center) ** 2).sum()
        return balanced + STRENGTH * old.temperature**2 / 25 * away / 2

    [head] = fit_heads([shots], ["logistic"], old=old)
    # the limit may have lowered the bias; the weight is what was learned
    biases = np.linspace(head.bias - 3, head.bias + 6, 400)
    bias = biases[np.argmin([loss(head.weight, b) for b in biases])]
    best = loss(head.weight, bias)
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert loss(head.weight + 0.3 * rng.normal(size=24), bias) > best - 1e-4
    assert best < loss(center, bias)


def test_the_prior_holds_a_logistic_head_to_the_mean(world, bank, monkeypatch):
    rows = unit(bank, world.draw(4, 30))
    mean = l2_normalize(rows.sum(axis=0, keepdims=True))[0]
    turned = []
    for strength in (0.01, 1.0, 100.0, 1e6):
        monkeypatch.setattr(heads, "STRENGTH", strength)
        [head] = fit_heads([rows], ["logistic"], old=bank.old)
        turned.append(float(np.linalg.norm(head.weight * bank.temperature - mean)))
    assert turned == sorted(turned, reverse=True)
    assert turned[0] > 3 * turned[2] and turned[3] < 1e-3


def test_logistic_heads_tell_each_other_apart(world, bank):
    """Two new classes that are alike: learned together, they are confused less."""
    one = unit(bank, world.draw(5, 60))
    other = unit(bank, 0.7 * world.draw(5, 60, seed=2) + 0.3 * world.draw(0, 60, seed=3))
    together = fit_heads([one, other], ["logistic", "logistic"], old=bank.old)
    apart = [fit_heads([rows], ["logistic"], old=bank.old)[0] for rows in (one, other)]

    def confusion(pair):
        first = pair[0].scores(one) - pair[1].scores(one)
        second = pair[1].scores(other) - pair[0].scores(other)
        return (first < 0).mean() + (second < 0).mean()

    assert confusion(together) < confusion(apart)


def test_without_old_classes_heads_only_face_each_other(world, bank):
    rows = [unit(bank, world.draw(c, 30)) for c in (4, 5)]
    nothing = np.zeros((0, 24), dtype=np.float32)
    old = OldClasses(nothing, 0.2, nothing, np.zeros(0, dtype=np.int64))
    for kinds in (["mean", "mean"], ["neighbors", "mean"], ["logistic", "logistic"]):
        first, second = fit_heads(rows, kinds, old=old)
        asked = unit(bank, world.draw(5, 200, seed=8))
        assert (second.scores(asked) > first.scores(asked)).mean() > 0.9
        if "logistic" not in kinds:
            assert (first.bias, second.bias) == (0.0, 0.0)
    assert isinstance(first, LinearHead)
