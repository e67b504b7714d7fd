from dataclasses import dataclass, replace

import numpy as np
import pytest

from dermsim.core.storage import read_arrays, save_arrays
from dermsim.core.vectors import l2_normalize
from dermsim.tasks.detect import OutlierDetector
from dermsim.tasks.detect.scores import SCORES

WEIGHT = np.random.default_rng(8).normal(size=(6, 3))


@dataclass
class Drawn:
    """What an encoder might answer for N images."""

    pooled_features: np.ndarray
    logits: np.ndarray
    embeddings: np.ndarray
    labels: np.ndarray


def draw(n, *, seed, shift=0.0):
    """Three classes with one correlated covariance."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(6, 6))
    labels = np.arange(n) % 3
    x = 5 * np.eye(6)[labels] + rng.normal(size=(n, 6)) @ mixing + shift
    return Drawn(x, x @ WEIGHT, l2_normalize(x @ mixing), labels)


def fit(train=None, *, validation=None, **options):
    train = train or draw(600, seed=0)
    validation = validation or draw(400, seed=1)
    return OutlierDetector.fit(train, train.labels, validation=validation, **options)


@pytest.fixture(scope="module")
def detector():
    return fit(method="mahalanobis")


def test_score_does_not_depend_on_units_or_labels_numbers(detector):
    def scaled(drawn):
        return replace(drawn, pooled_features=50 * drawn.pooled_features)

    train, held_out, queries = draw(600, seed=0), draw(400, seed=1), draw(20, seed=2)
    other = fit(scaled(train), validation=scaled(held_out), method="mahalanobis")
    np.testing.assert_allclose(other.score(scaled(queries)), detector.score(queries), rtol=1e-3)
    wider = replace(train, labels=2 * train.labels, logits=np.zeros((600, 5)))
    relabelled = fit(wider, method="mahalanobis")
    np.testing.assert_allclose(relabelled.score(queries), detector.score(queries), rtol=1e-6)


@pytest.mark.parametrize("accept", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("method", SCORES)
def test_the_threshold_accepts_the_share_asked_for(method, accept):
    found = fit(method=method, accept=accept)
    share = 1 - found.is_outlier(found.score(draw(400, seed=1))).mean()
    assert accept <= share <= accept + 2 / 400


def test_what_is_far_off_is_an_outlier_and_what_is_not_is_not(detector):
    assert detector.is_outlier(detector.score(draw(100, seed=3, shift=30))).all()
    assert detector.is_outlier(detector.score(draw(2000, seed=4))).mean() < 0.08


@pytest.mark.parametrize("method", SCORES)
def test_every_method_saves_and_loads_what_it_was(method, tmp_path):
    detector = fit(method=method)
    detector.save(tmp_path / "detector.safetensors")
    loaded = OutlierDetector.load(tmp_path / "detector.safetensors")
    assert (loaded.method, loaded.threshold) == (method, detector.threshold)
    queries = draw(20, seed=2)
    np.testing.assert_array_equal(loaded.score(queries), detector.score(queries))


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
    whole = {"threshold": 1.0, "method": "mahalanobis", "fingerprint": "one", **facts}
    save_arrays(path, arrays, facts=whole)
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
    train, none = draw(30, seed=0), draw(0, seed=0)
    with pytest.raises(ValueError, match="accept must be strictly between 0 and 1"):
        fit(accept=1.0)
    with pytest.raises(ValueError, match="embeddings have 2 dimensions, expected 6"):
        fit(validation=replace(train, embeddings=np.ones((30, 2))))
    with pytest.raises(ValueError, match="got 30 and 0"):
        fit(train, validation=none)
    with pytest.raises(ValueError, match="at least 2 training"):
        fit(draw(1, seed=0))
    with pytest.raises(ValueError, match=r"labels must have shape \(30,\)"):
        fit(replace(train, labels=train.labels[:5]))
    with pytest.raises(ValueError, match="label -1 is outside"):
        fit(replace(train, labels=train.labels - 1))
    with pytest.raises(ValueError, match=r"label 3 is outside 0\.\.2"):
        fit(replace(train, labels=train.labels + 1))
    with pytest.raises(ValueError, match="unknown detector 'oracle'; choose one of softmax, "):
        fit(method="oracle")


def test_a_detector_of_another_encoder_is_refused(tmp_path):
    path = tmp_path / "detector.safetensors"
    fit(fingerprint="one").save(path)
    assert OutlierDetector.load(path, fingerprint="one").fingerprint == "one"
    with pytest.raises(ValueError, match="was made by encoder 'one'"):
        OutlierDetector.load(path, fingerprint="two")


def test_a_detector_of_any_encoder_is_refused(detector, tmp_path):
    path = tmp_path / "detector.safetensors"
    detector.save(path)
    with pytest.raises(ValueError, match="was made by encoder ''"):
        OutlierDetector.load(path, fingerprint="one")
    arrays, facts = read_arrays(path)
    for name in ("fingerprint", "method"):
        save_arrays(path, arrays, facts={k: v for k, v in facts.items() if k != name})
        with pytest.raises(ValueError, match=r"the header of detector\.safetensors has the keys"):
            OutlierDetector.load(path, fingerprint="one")
