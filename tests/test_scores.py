import numpy as np
import pytest

from dermsim.scores import (
    MAX_CASES,
    SCORES,
    EnergyScore,
    MahalanobisScore,
    NeighborScore,
    Sample,
    SoftmaxScore,
    VimScore,
)
from dermsim.vectors import spread


def draw(n, *, seed, shift=0.0, features=12, classes=4):
    """Features of a few classes, and logits that a linear classifier makes of them."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(9)
    centers, mixing = (
        fixed.normal(size=(classes, features)),
        fixed.normal(size=(features, features)),
    )
    weight, bias = fixed.normal(size=(features, classes)), fixed.normal(size=classes)
    labels = np.arange(n) % classes
    x = 3 * centers[labels] + rng.normal(size=(n, features)) @ mixing / 3 + shift
    x = x.astype(np.float32)
    return Sample(x, (x @ weight + bias).astype(np.float32), labels)


@pytest.fixture(scope="module")
def train():
    return draw(400, seed=0)


@pytest.fixture(scope="module")
def queries():
    return draw(30, seed=1)


def ask(score, sample):
    return score(sample.features.astype(np.float64), sample.logits.astype(np.float64))


def test_softmax_and_energy_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [8.0, 1.0, 1.0]])
    sample = Sample(np.eye(2), logits, [0, 2])  # nothing of the middle class
    nothing = np.zeros((2, 1))
    # the middle class does not count
    np.testing.assert_allclose(SoftmaxScore.fit(sample)(nothing, logits), [1 / 3, 1 / 9])
    np.testing.assert_allclose(EnergyScore.fit(sample)(nothing, logits), -np.log([0.75, 9]))


def test_mahalanobis_against_a_slow_loop(train, queries):
    from sklearn.covariance import LedoitWolf

    x = train.features.astype(np.float64)
    means = [x[train.labels == c].mean(axis=0) for c in range(4)]
    residuals = np.stack([row - means[c] for row, c in zip(x, train.labels, strict=True)])
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(residuals).covariance_)
    expected = [
        min(np.sqrt((q - m) @ precision @ (q - m)) for m in means) for q in queries.features
    ]
    np.testing.assert_allclose(ask(MahalanobisScore.fit(train), queries), expected, rtol=1e-3)


def test_neighbors_against_scikit_learn(train, queries):
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    score = NeighborScore.fit(train)
    assert len(score.cases) == 400 and score.k.tolist() == [4]
    tree = NearestNeighbors(n_neighbors=4).fit(normalize(train.features))
    expected = tree.kneighbors(normalize(queries.features))[0][:, -1]
    np.testing.assert_allclose(ask(score, queries), expected, atol=2e-3)  # cases are float16


def test_neighbors_keep_few_cases_of_each_class():
    labels = np.repeat([0, 1, 2], [6000, 700, 30])
    rng = np.random.default_rng(0)
    sample = Sample(rng.normal(size=(len(labels), 3)), np.zeros((len(labels), 3)), labels)
    score = NeighborScore.fit(sample)
    assert (len(score.cases), score.k.tolist()) == (MAX_CASES, [20])
    kept = np.bincount(labels[spread(labels, MAX_CASES)])
    assert kept.tolist() == [1270, 700, 30]


def test_vim_against_the_paper(train, queries):
    """The formula of section 4, with the classifier that made the logits, not one read off them."""
    fixed = np.random.default_rng(9)
    fixed.normal(size=(4, 12)), fixed.normal(size=(12, 12))
    weight, bias = fixed.normal(size=(12, 4)), fixed.normal(size=4)
    origin = -np.linalg.pinv(weight.T) @ bias
    x = train.features - origin
    values, vectors = np.linalg.eig(x.T @ x / len(x))
    null = vectors[:, np.argsort(-values)[6:]]  # half of 12 features are principal
    alpha = train.logits.max(axis=1).mean() / np.linalg.norm(x @ null, axis=1).mean()
    expected = []
    for features, logits in zip(queries.features, queries.logits, strict=True):
        virtual = alpha * np.linalg.norm((features - origin) @ null)
        expected.append(np.exp(virtual) / (np.exp(virtual) + np.exp(logits).sum()))
    found = ask(VimScore.fit(train), queries)
    # ours is the log-odds of the paper's probability
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), expected, rtol=1e-3)


def test_vim_looks_beyond_the_logits(train):
    """Moved along what neither training nor any logit uses, an image gets stranger all the same."""
    fixed = np.random.default_rng(9)
    fixed.normal(size=(4, 12)), fixed.normal(size=(12, 12))
    weight, vim = fixed.normal(size=(12, 4)), VimScore.fit(train)
    unused = np.linalg.svd(np.column_stack([vim.principal, weight]).T)[2][-1]
    np.testing.assert_allclose(unused @ weight, 0, atol=1e-6)
    moved = Sample(train.features + 20 * unused, train.logits, train.labels)
    assert ask(vim, moved).min() > ask(vim, train).max()


@pytest.mark.parametrize("name", SCORES)
def test_one_image_gets_what_it_gets_in_a_batch(name, train, queries):
    score = SCORES[name].fit(train)
    batch = ask(score, queries)
    assert batch.shape == (30,) and np.isfinite(batch).all()
    for i in range(5):
        one = Sample(queries.features[[i, i]], queries.logits[[i, i]], queries.labels[[i, i]])
        np.testing.assert_allclose(ask(score, one), batch[i], rtol=1e-9)


@pytest.mark.parametrize("name", ["mahalanobis", "neighbors", "vim"])
def test_what_is_far_off_is_stranger(name, train):
    """Not so the softmax and the energy, whose logits may grow without bound."""
    score = SCORES[name].fit(train)
    familiar, strange = ask(score, draw(200, seed=2)), ask(score, draw(200, seed=3, shift=20))
    assert np.median(strange) > np.quantile(familiar, 0.99)


@pytest.mark.parametrize("name", SCORES)
def test_what_a_score_says_it_is_made_of(name, train):
    score = SCORES[name].fit(train)
    for attribute, (letter, ndim) in score.ARRAYS.items():
        array = getattr(score, attribute)
        assert (array.dtype.kind, array.ndim) == (letter, ndim)
    assert (score.width is None or name == "vim") == score.LOGITS


def test_more_features_than_images():
    few = draw(10, seed=0, features=40)
    for name in ("mahalanobis", "neighbors"):
        assert np.isfinite(ask(SCORES[name].fit(few), few)).all()
    with pytest.raises(ValueError, match="no residual"):
        VimScore.fit(few)


@pytest.mark.parametrize("name", ["softmax", "energy", "vim"])
def test_logits_of_another_encoder_are_refused(name, train):
    score = SCORES[name].fit(train)
    with pytest.raises(ValueError, match=r"logits have 3 columns, .* \[0, 1, 2, 3\]"):
        score(np.zeros((2, 12)), np.zeros((2, 3)))


def test_sample_refuses():
    with pytest.raises(ValueError, match="at least 2 training images, got 1"):
        Sample(np.ones((1, 2)), np.ones((1, 2)), [0])
    with pytest.raises(ValueError, match="got 3 rows of features and 2 of logits"):
        Sample(np.ones((3, 2)), np.ones((2, 2)), [0, 0, 0])
    with pytest.raises(ValueError, match="label 2 is outside"):
        Sample(np.ones((3, 2)), np.ones((3, 2)), [0, 0, 2])
    with pytest.raises(ValueError, match="features hold NaN"):
        Sample(np.full((3, 2), np.nan), np.ones((3, 2)), [0, 0, 0])


def test_fit_refuses_what_has_no_scale(train):
    flat = Sample(np.ones((30, 6)), np.ones((30, 2)), np.arange(30) % 2)
    with pytest.raises(ValueError, match="do not vary within any class"):
        MahalanobisScore.fit(flat)
    with pytest.raises(ValueError, match="no residual"):
        VimScore.fit(flat)
    negative = Sample(train.features, train.logits - 1000, train.labels)
    with pytest.raises(ValueError, match="not above 0 on average"):
        VimScore.fit(negative)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        MahalanobisScore(np.eye(3, 2), np.ones((1, 2)))
    with pytest.raises(ValueError, match="do not fit together"):
        VimScore(np.ones(3), np.eye(2), np.ones(1), np.array([0]))
    with pytest.raises(ValueError, match=r"k is \[9\], but there are 4 cases"):
        NeighborScore(np.ones((4, 2)), np.array([9]))
