import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.core.vectors import (
    centroids,
    check_embeddings,
    check_labels,
    cosine_similarity,
    l2_normalize,
    neighbor_vote,
    softmax,
    spread,
)


def on_circle(*degrees):
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_check_embeddings_returns_float32_and_copies_only_when_it_must():
    rows = np.ones((3, 4), dtype=np.float32)
    assert check_embeddings(rows) is rows
    assert check_embeddings(rows.astype(np.float64)).dtype == np.float32
    assert check_embeddings(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones(4), Phrase("vectors.shape", shape=[4])),
        (np.ones((2, 3, 4)), Phrase("vectors.shape", shape=[2, 3, 4])),
        (np.ones((2, 0)), Phrase("vectors.shape", shape=[2, 0])),
        (3.0, Phrase("vectors.shape", shape=[])),
        ([["a", "b"]], "vectors.not_numbers"),
        ([[1.0, 2.0], [3.0]], "vectors.not_numbers"),
        ([[0.0, 1.0], [np.nan, 1.0]], Phrase("vectors.not_finite", row=1)),
        ([[np.inf, 1.0]], Phrase("vectors.not_finite", row=0)),
    ],
)
def test_check_embeddings_refuses(bad, words):
    with refuses(words):
        check_embeddings(bad)


def test_check_embeddings_names_the_array_and_the_dimensions():
    with refuses("vectors.dimensions", name="queries", dimensions=3, expected=4):
        check_embeddings(np.ones((2, 3)), dim=4, name="queries")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1], Phrase("vectors.labels_shape", rows=3, shape=[2])),
        ([0.0, 1.0, 1.0], "vectors.labels_dtype"),
        ([0, 1, 2], Phrase("vectors.label_outside", label=2, last=1)),
        ([0, -1, 1], Phrase("vectors.label_outside", label=-1)),
    ],
)
def test_check_labels_refuses(labels, words):
    with refuses(words):
        check_labels(labels, rows=3, num_classes=2)


def test_l2_normalize_against_a_loop_and_its_invariants():
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    unit = l2_normalize(x)
    for row, expected in zip(unit, x, strict=True):
        np.testing.assert_allclose(row, expected / np.sqrt(sum(v * v for v in expected)), atol=1e-6)
    np.testing.assert_allclose(l2_normalize(1e6 * x), unit, atol=1e-6)
    np.testing.assert_array_equal(l2_normalize(x[2:3])[0], unit[2])
    assert unit.dtype == np.float32


def test_l2_normalize_refuses_a_zero_vector():
    with refuses("vectors.zero", row=1):
        l2_normalize([[1.0, 0.0], [0.0, 0.0]])


def test_cosine_similarity_on_a_circle():
    similarity = cosine_similarity(on_circle(0, 60), 5 * on_circle(0, 60, 180))
    np.testing.assert_allclose(similarity, [[1, 0.5, -1], [0.5, 1, -0.5]], atol=1e-6)
    assert similarity.dtype == np.float32
    assert np.abs(similarity).max() <= 1


def test_cosine_similarity_refuses_other_dimensions():
    with refuses("vectors.dimensions", dimensions=3, expected=2):
        cosine_similarity(np.ones((1, 2)), np.ones((1, 3)))


def test_centroids_on_a_circle():
    found = centroids(on_circle(0, 40, 90, 110, 100), [0, 0, 1, 1, 1], 2)
    np.testing.assert_allclose(found, on_circle(20, 100), atol=1e-6)


def test_centroids_ignore_length_and_order():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(12, 3)), np.arange(12) % 3
    order = rng.permutation(12)
    scaled = x * rng.uniform(0.1, 9, size=(12, 1))
    np.testing.assert_allclose(
        centroids(scaled[order], labels[order], 3), centroids(x, labels, 3), atol=1e-6
    )


@pytest.mark.parametrize(
    ("x", "labels", "words"),
    [
        (on_circle(0, 1), [0, 0], Phrase("vectors.no_class", missing=[1])),
        (
            [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]],
            [0, 0, 1],
            Phrase("vectors.cancelled", classes=[0]),
        ),
        (on_circle(0, 180, 90), [1, 1, 0], Phrase("vectors.cancelled", classes=[1])),
    ],
)
def test_centroids_refuses(x, labels, words):
    with refuses(words):
        centroids(x, labels, 2)


def test_softmax_against_a_loop():
    logits = np.random.default_rng(0).normal(size=(4, 3)) * 5
    found = softmax(logits, 2.0)
    for row, raw in zip(found, logits, strict=True):
        powers = [np.exp(value / 2.0) for value in raw]
        np.testing.assert_allclose(row, np.array(powers) / sum(powers), rtol=1e-5)


def test_softmax_is_stable_and_shift_invariant():
    np.testing.assert_allclose(softmax([[1e4, 1e4 + 1]]), softmax([[0.0, 1.0]]), rtol=1e-5)
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_softmax_refuses_a_temperature(temperature):
    with refuses("vectors.temperature"):
        softmax([[0.0, 1.0]], temperature)


def slow_vote(embeddings, labels, groups, classes, k):
    found = []
    for i, query in enumerate(embeddings):
        others = [j for j in range(len(labels)) if groups[j] != groups[i]]
        others.sort(key=lambda j: -(query @ embeddings[j]))
        votes = [0.0] * classes
        for j in others[:k]:
            closeness = np.exp((query @ embeddings[j] - 1) / 0.5)
            votes[labels[j]] += closeness / sum(label == labels[j] for label in labels)
        found.append(max(range(classes), key=lambda c: (votes[c], -c)))
    return found


def test_neighbor_vote_against_a_loop():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(40, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    labels, groups = rng.integers(0, 4, 40), [f"lesion {n}" for n in rng.integers(0, 15, 40)]
    found = neighbor_vote(unit * 3, labels, groups, num_classes=4, k=7, temperature=0.5)
    assert found.tolist() == slow_vote(unit, labels.tolist(), groups, 4, 7)


def test_neighbor_vote_does_not_ask_the_same_group():
    x, labels = on_circle(0, 1, 90, 91), [0, 0, 1, 1]
    own = neighbor_vote(x, labels, [1, 2, 3, 4], num_classes=2, k=1)
    assert own.tolist() == labels
    other = neighbor_vote(x, labels, [1, 1, 2, 2], num_classes=2, k=1)
    assert other.tolist() == [1, 1, 0, 0]


def test_neighbor_vote_weighs_rare_classes_up():
    x = on_circle(0, 10, 20, 30, 5)
    found = neighbor_vote(x, [0, 0, 0, 0, 1], range(5), num_classes=2, k=4, temperature=9)
    assert found.tolist() == [1, 1, 1, 1, 0]


def test_neighbor_vote_wants_a_group_for_each():
    with refuses("vectors.groups", unit_count=2, groups_count=1):
        neighbor_vote(on_circle(0, 1), [0, 1], ["a"], num_classes=2)


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_spread_takes_evenly_and_no_row_twice(size):
    labels = np.array([2, 0, 0, 5, 0, 0, 2, 0, 0, 0, 5, 2])
    rows = spread(labels, size)
    assert len(rows) == min(size, 12) == len(set(rows.tolist()))
    assert (np.diff(rows) > 0).all()
    counts = np.array([(labels[rows] == c).sum() for c in (0, 2, 5)])
    whole = np.array([7, 3, 2])
    # no class has two more than another that still has rows to give
    assert all(
        counts[a] <= counts[b] + 1 for a in range(3) for b in range(3) if counts[b] < whole[b]
    )
