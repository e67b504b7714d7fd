from dataclasses import dataclass, replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.vectors import l2_normalize
from dermsim.tasks.detect.scores import MAX_CASES, SCORES, MahalanobisScore, NeighborScore, VimScore


@dataclass
class Drawn:
    """What an encoder might answer: features of a few classes, and what heads make of them."""

    pooled_features: np.ndarray
    logits: np.ndarray
    embeddings: np.ndarray
    labels: np.ndarray


def heads(features=12, classes=4):
    fixed = np.random.default_rng(9)
    centers, mixing = (
        fixed.normal(size=(classes, features)),
        fixed.normal(size=(features, features)),
    )
    weight, bias = fixed.normal(size=(features, classes)), fixed.normal(size=classes)
    return centers, mixing, weight, bias


def draw(n, *, seed, shift=0.0, features=12, classes=4):
    rng = np.random.default_rng(seed)
    centers, mixing, weight, bias = heads(features, classes)
    labels = np.arange(n) % classes
    x = 3 * centers[labels] + rng.normal(size=(n, features)) @ mixing / 3 + shift
    x = x.astype(np.float32)
    projected = l2_normalize(np.maximum(x @ mixing, 0) + 0.01)
    return Drawn(x, (x @ weight + bias).astype(np.float32), projected, labels)


def first(drawn, rows):
    parts = (drawn.pooled_features, drawn.logits, drawn.embeddings, drawn.labels)
    return Drawn(*(part[:rows] for part in parts))


@pytest.fixture(scope="module")
def train():
    return draw(400, seed=0)


@pytest.fixture(scope="module")
def queries():
    return draw(30, seed=1)


def fit(name, drawn):
    return SCORES[name].fit(drawn, drawn.labels)


def test_softmax_and_energy_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [8.0, 1.0, 1.0]])
    drawn = Drawn(np.eye(2), logits, np.eye(2), np.array([0, 2]))  # nothing of the middle class
    # which therefore does not count
    np.testing.assert_allclose(fit("softmax", drawn)(drawn), [1 / 3, 1 / 9], rtol=1e-6)
    np.testing.assert_allclose(fit("energy", drawn)(drawn), -np.log([0.75, 9]), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "space"),
    [("mahalanobis", "pooled_features"), ("embedding-mahalanobis", "embeddings")],
)
def test_mahalanobis_against_a_slow_loop(name, space, train, queries):
    from sklearn.covariance import LedoitWolf

    x = getattr(train, space).astype(np.float64)
    means = [x[train.labels == c].mean(axis=0) for c in range(4)]
    residuals = np.stack([row - means[c] for row, c in zip(x, train.labels, strict=True)])
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(residuals).covariance_)
    asked = getattr(queries, space)
    expected = [min(np.sqrt((q - m) @ precision @ (q - m)) for m in means) for q in asked]
    np.testing.assert_allclose(fit(name, train)(queries), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "space"), [("neighbors", "pooled_features"), ("embedding-neighbors", "embeddings")]
)
def test_neighbors_against_scikit_learn(name, space, train, queries):
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    score = fit(name, train)
    assert len(score.cases) == 400 and score.k.tolist() == [4]
    tree = NearestNeighbors(n_neighbors=4).fit(normalize(getattr(train, space)))
    expected = tree.kneighbors(normalize(getattr(queries, space)))[0][:, -1]
    np.testing.assert_allclose(score(queries), expected, atol=5e-3)  # cases are float16


def test_neighbors_keep_few_cases_in_their_proportions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 3)).astype(np.float32)
    x[:, 0] = np.where(np.arange(6000) < 4500, 9, -9)  # three quarters are of one kind
    score = NeighborScore.fit(Drawn(x, x, x, np.zeros(6000, int)), np.zeros(6000, int))
    assert (len(score.cases), score.k.tolist()) == (MAX_CASES, [20])
    assert (score.cases[:, 0] > 0).mean() == pytest.approx(0.75, abs=0.01)


def test_vim_against_the_paper(train, queries):
    """The formula of section 4, with the classifier that made the logits, not one read off them."""
    _, _, weight, bias = heads()
    origin = -np.linalg.pinv(weight.T) @ bias
    x = train.pooled_features - origin
    values, vectors = np.linalg.eig(x.T @ x / len(x))
    null = vectors[:, np.argsort(-values)[6:]]  # half of 12 features are principal
    alpha = train.logits.max(axis=1).mean() / np.linalg.norm(x @ null, axis=1).mean()
    expected = []
    for features, logits in zip(queries.pooled_features, queries.logits, strict=True):
        virtual = alpha * np.linalg.norm((features - origin) @ null)
        expected.append(np.exp(virtual) / (np.exp(virtual) + np.exp(logits).sum()))
    # ours is the log-odds of the paper's probability
    np.testing.assert_allclose(1 / (1 + np.exp(-fit("vim", train)(queries))), expected, rtol=1e-3)


def test_vim_looks_beyond_the_logits(train):
    """Moved along what neither training nor any logit uses, an image gets stranger all the same."""
    _, _, weight, _ = heads()
    vim = fit("vim", train)
    unused = np.linalg.svd(np.column_stack([vim.principal, weight]).T)[2][-1]
    np.testing.assert_allclose(unused @ weight, 0, atol=1e-6)
    moved = replace(train, pooled_features=train.pooled_features + 20 * unused)
    assert vim(moved).min() > vim(train).max()


@pytest.mark.parametrize("name", SCORES)
def test_one_image_gets_what_it_gets_in_a_batch(name, train, queries):
    score = fit(name, train)
    batch = score(queries)
    assert batch.shape == (30,) and np.isfinite(batch).all()
    np.testing.assert_allclose(score(first(queries, 1)), batch[:1], rtol=1e-6)
    np.testing.assert_allclose(score(first(queries, 7)), batch[:7], rtol=1e-6)


@pytest.mark.parametrize("name", ["mahalanobis", "neighbors", "vim"])
def test_what_is_far_off_is_stranger(name, train):
    """Not so the softmax and the energy, whose logits may grow without bound."""
    score = fit(name, train)
    familiar, strange = score(draw(200, seed=2)), score(draw(200, seed=3, shift=20))
    assert np.median(strange) > np.quantile(familiar, 0.99)


@pytest.mark.parametrize("name", SCORES)
def test_what_a_score_says_it_is_made_of(name, train, queries):
    score = fit(name, train)
    for attribute, (letter, ndim) in score.ARRAYS.items():
        array = getattr(score, attribute)
        assert (array.dtype.kind, array.ndim) == (letter, ndim)
    moved = replace(queries, logits=queries.logits * 2)
    assert (score(moved) != score(queries)).any() == score.LOGITS


def test_more_features_than_images():
    few = draw(10, seed=0, features=40)
    for name in ("mahalanobis", "neighbors"):
        assert np.isfinite(fit(name, few)(few)).all()
    with refuses("scores.no_residual"):
        fit("vim", few)


@pytest.mark.parametrize("name", ["softmax", "energy", "vim"])
def test_logits_of_another_encoder_are_refused(name, train, queries):
    with refuses("scores.columns", dimensions=3, known=[0, 1, 2, 3]):
        fit(name, train)(replace(queries, logits=queries.logits[:, :3]))


@pytest.mark.parametrize("name", ["mahalanobis", "neighbors", "vim"])
def test_vectors_of_another_encoder_are_refused(name, train, queries):
    score = fit(name, train)
    with refuses("vectors.dimensions", name="pooled features", dimensions=5, expected=12):
        score(replace(queries, pooled_features=queries.pooled_features[:, :5]))
    with refuses("vectors.not_finite", name="pooled features"):
        score(replace(queries, pooled_features=np.full((30, 12), np.nan)))


def test_fit_refuses_what_has_no_scale(train):
    flat = Drawn(np.ones((30, 6)), np.ones((30, 2)), np.ones((30, 3)), np.arange(30) % 2)
    with refuses("scores.no_scale"):
        fit("mahalanobis", flat)
    with refuses("scores.no_scale"):
        fit("embedding-mahalanobis", flat)
    with refuses("scores.no_residual"):
        fit("vim", flat)
    with refuses("scores.low_logits"):
        fit("vim", replace(train, logits=train.logits - 1000))


def test_parts_that_do_not_fit_are_refused():
    with refuses("scores.whitening"):
        MahalanobisScore(np.eye(3, 2), np.ones((1, 2)))
    with refuses("scores.parts"):
        VimScore(np.ones(3), np.eye(2), np.ones(1), np.array([0]))
    with refuses("scores.k", k=[9], count=4):
        NeighborScore(np.ones((4, 2)), np.array([9]))
