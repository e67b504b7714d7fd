import numpy as np
import pytest

from dermsim.scores import SCORES
from dermsim.storage import save_arrays
from dermsim.tasks.detect import OutlierDetector

WEIGHT = np.random.default_rng(8).normal(size=(6, 3))


def draw(n, *, seed, shift=0.0):
    """Three classes with one correlated covariance."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(6, 6))
    labels = np.arange(n) % 3
    means = 5 * np.eye(6)[:3]
    return means[labels] + rng.normal(size=(n, 6)) @ mixing + shift, labels


@pytest.fixture(scope="module")
def detector():
    features, labels = draw(600, seed=0)
    return OutlierDetector.fit(features, labels, validation_features=draw(400, seed=1)[0])


def test_score_does_not_depend_on_units_or_labels_numbers():
    features, labels = draw(600, seed=0)
    held_out, queries = draw(400, seed=1)[0], draw(20, seed=2)[0]
    plain = OutlierDetector.fit(features, labels, validation_features=held_out)
    scaled = OutlierDetector.fit(50 * features, labels, validation_features=50 * held_out)
    relabelled = OutlierDetector.fit(features, 2 * labels + 1, validation_features=held_out)
    np.testing.assert_allclose(scaled.score(50 * queries), plain.score(queries), rtol=1e-3)
    np.testing.assert_allclose(relabelled.score(queries), plain.score(queries), rtol=1e-6)


def test_one_image_gets_what_it_gets_in_a_batch(detector):
    queries = draw(20, seed=2)[0]
    batch = detector.score(queries)
    for i in range(20):
        np.testing.assert_allclose(detector.score(queries[i : i + 1])[0], batch[i], rtol=1e-9)


@pytest.mark.parametrize("accept", [0.5, 0.95, 0.99])
def test_the_threshold_accepts_the_share_asked_for(accept):
    features, labels = draw(600, seed=0)
    held_out = draw(400, seed=1)[0]
    found = OutlierDetector.fit(features, labels, validation_features=held_out, accept=accept)
    share = 1 - found.is_outlier(found.score(held_out)).mean()
    assert accept <= share <= accept + 2 / 400


def test_what_is_far_off_is_an_outlier_and_what_is_not_is_not(detector):
    assert detector.is_outlier(detector.score(draw(100, seed=3, shift=30)[0])).all()
    assert detector.is_outlier(detector.score(draw(2000, seed=4)[0])).mean() < 0.08


def test_more_features_than_images():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 100))
    found = OutlierDetector.fit(
        features, np.arange(20) % 2, validation_features=rng.normal(size=(10, 100))
    )
    assert np.isfinite(found.score(features)).all()


def fitted(method):
    features, labels = draw(600, seed=0)
    held_out = draw(400, seed=1)[0]
    return OutlierDetector.fit(
        features,
        labels,
        validation_features=held_out,
        logits=features @ WEIGHT,
        validation_logits=held_out @ WEIGHT,
        method=method,
    )


@pytest.mark.parametrize("method", SCORES)
def test_every_method_saves_and_loads_what_it_was(method, tmp_path):
    detector = fitted(method)
    detector.save(tmp_path / "detector.safetensors")
    loaded = OutlierDetector.load(tmp_path / "detector.safetensors")
    assert (loaded.method, loaded.threshold) == (method, detector.threshold)
    queries = draw(20, seed=2)[0]
    np.testing.assert_array_equal(
        loaded.score(queries, queries @ WEIGHT), detector.score(queries, queries @ WEIGHT)
    )


@pytest.mark.parametrize("method", SCORES)
def test_every_method_accepts_the_share_asked_for(method):
    detector = fitted(method)
    held_out = draw(400, seed=1)[0]
    share = 1 - detector.is_outlier(detector.score(held_out, held_out @ WEIGHT)).mean()
    assert 0.95 <= share <= 0.955


@pytest.mark.parametrize("method", ["softmax", "energy", "vim"])
def test_methods_that_look_at_logits_need_them(method):
    queries = draw(20, seed=2)[0]
    with pytest.raises(ValueError, match="looks at logits"):
        fitted(method).score(queries)
    features, labels = draw(30, seed=0)
    with pytest.raises(ValueError, match="looks at logits"):
        OutlierDetector.fit(features, labels, validation_features=features, method=method)
    with pytest.raises(ValueError, match="20 rows of features came with 3 of logits"):
        fitted(method).score(queries, queries[:3] @ WEIGHT)


@pytest.mark.parametrize("method", ["mahalanobis", "neighbors"])
def test_methods_that_do_not_look_at_logits_heed_none(method):
    queries = draw(20, seed=2)[0]
    detector = fitted(method)
    expected = detector.score(queries)
    np.testing.assert_array_equal(detector.score(queries, queries @ WEIGHT), expected)


def test_a_file_without_a_method_is_an_older_one(detector, tmp_path):
    path = tmp_path / "detector.safetensors"
    arrays = {"whitening": detector.scorer.whitening, "means": detector.scorer.means}
    save_arrays(path, arrays, facts={"threshold": detector.threshold})
    loaded = OutlierDetector.load(path)
    queries = draw(20, seed=2)[0]
    np.testing.assert_array_equal(loaded.score(queries), detector.score(queries))
    assert (loaded.method, loaded.threshold) == ("mahalanobis", detector.threshold)


EYE, ONE = np.eye(2, dtype=np.float32), np.ones((1, 2), dtype=np.float32)


@pytest.mark.parametrize(
    ("arrays", "facts", "words"),
    [
        ({"whitening": np.ones((2, 3)), "means": ONE}, {}, "do not fit together"),
        ({"whitening": EYE, "means": ONE[:0]}, {}, r"its means is float32 \(0, 2\)"),
        ({"whitening": EYE, "means": np.ones((1, 3))}, {}, "do not fit together"),
        ({"whitening": EYE, "means": np.ones(2)}, {}, "its means is float64"),
        ({"whitening": EYE, "means": ONE}, {"threshold": "far"}, "has threshold 'far'"),
        ({"whitening": EYE, "means": ONE}, {"threshold": True}, "has threshold True"),
        ({"whitening": EYE * np.nan, "means": ONE}, {}, "whitening holds NaN"),
        ({"whitening": EYE}, {}, "has the keys"),
        ({"whitening": EYE, "means": ONE}, {"method": "oracle"}, "unknown detector 'oracle'"),
        ({"whitening": EYE, "means": ONE}, {"method": ["vim"]}, "unknown detector"),
        ({"known": np.ones(3)}, {"method": "energy"}, "its known is float64"),
        ({"cases": EYE, "k": np.array([7])}, {"method": "neighbors"}, "there are 2 cases"),
        ({"whitening": EYE, "means": ONE}, {"when": 1}, "the header of detector.safetensors"),
    ],
)
def test_load_refuses(tmp_path, arrays, facts, words):
    path = tmp_path / "detector.safetensors"
    save_arrays(path, arrays, facts={"threshold": 1.0, "method": "mahalanobis", **facts})
    with pytest.raises(ValueError, match=words):
        OutlierDetector.load(path)


def test_load_refuses_a_damaged_file(tmp_path):
    path = tmp_path / "detector.safetensors"
    with pytest.raises(FileNotFoundError, match="no file"):
        OutlierDetector.load(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="damaged"):
        OutlierDetector.load(path)


def test_fit_refuses():
    features, labels = draw(30, seed=0)

    def fit(features=features, labels=labels, held_out=features, accept=0.95):
        OutlierDetector.fit(features, labels, validation_features=held_out, accept=accept)

    with pytest.raises(ValueError, match="accept must be strictly between 0 and 1"):
        fit(accept=1.0)
    with pytest.raises(ValueError, match="validation_features have 3 dimensions, expected 6"):
        fit(held_out=np.ones((2, 3)))
    with pytest.raises(ValueError, match="got 30 and 0"):
        fit(held_out=features[:0])
    with pytest.raises(ValueError, match="at least 2 training"):
        fit(features=features[:0], labels=labels[:0])
    with pytest.raises(ValueError, match=r"labels must have shape \(30,\)"):
        fit(labels=labels[:5])
    with pytest.raises(ValueError, match="label -1 is outside"):
        fit(labels=labels - 1)
    with pytest.raises(ValueError, match="do not vary"):
        fit(features=np.ones((30, 6)))
    with pytest.raises(ValueError, match="unknown detector 'oracle'; choose one of softmax, "):
        OutlierDetector.fit(features, labels, validation_features=features, method="oracle")


def test_score_refuses(detector):
    with pytest.raises(ValueError, match="features have 3 dimensions, expected 6"):
        detector.score(np.ones((1, 3)))
    with pytest.raises(ValueError, match="NaN"):
        detector.score(np.full((1, 6), np.nan))
