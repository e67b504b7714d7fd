from dataclasses import dataclass, replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
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
        (
            {"whitening": np.ones((2, 3)), "means": ONE},
            {},
            Phrase("detector.no_detector", error="scores.whitening"),
        ),
        (
            {"whitening": EYE, "means": ONE[:0]},
            {},
            Phrase("detector.array", key="means", dtype="float32", shape=[0, 2]),
        ),
        (
            {"whitening": EYE, "means": np.ones((1, 3))},
            {},
            Phrase("detector.no_detector", error="scores.whitening"),
        ),
        (
            {"whitening": EYE, "means": np.ones(2)},
            {},
            Phrase("detector.array", key="means", dtype="float64"),
        ),
        (
            {"whitening": EYE, "means": ONE},
            {"threshold": "far"},
            Phrase("detector.threshold", threshold="far"),
        ),
        (
            {"whitening": EYE, "means": ONE},
            {"threshold": True},
            Phrase("detector.threshold", threshold=True),
        ),
        (
            {"whitening": EYE * np.nan, "means": ONE},
            {},
            Phrase("detector.not_finite", key="whitening"),
        ),
        ({"whitening": EYE}, {}, "storage.keys"),
        (
            {"whitening": EYE, "means": ONE},
            {"method": "oracle"},
            Phrase("detector.method", method="oracle"),
        ),
        ({"whitening": EYE, "means": ONE}, {"method": ["vim"]}, "detector.method"),
        (
            {"known": np.ones(3)},
            {"method": "energy"},
            Phrase("detector.array", key="known", dtype="float64"),
        ),
        (
            {"cases": EYE, "k": np.array([7])},
            {"method": "neighbors"},
            Phrase("detector.no_detector", error=Phrase("scores.k", count=2)),
        ),
        (
            {"whitening": EYE, "means": ONE},
            {"when": 1},
            Phrase("storage.keys", name="the header of detector.safetensors"),
        ),
    ],
)
def test_load_refuses(tmp_path, arrays, facts, words):
    path = tmp_path / "detector.safetensors"
    whole = {"threshold": 1.0, "method": "mahalanobis", "fingerprint": "one", **facts}
    save_arrays(path, arrays, facts=whole)
    with refuses(words):
        OutlierDetector.load(path)


def test_load_refuses_a_damaged_file(tmp_path):
    path = tmp_path / "detector.safetensors"
    with refuses("storage.no_file", FileNotFoundError):
        OutlierDetector.load(path)
    path.write_bytes(b"")
    with refuses("storage.not_safetensors"):
        OutlierDetector.load(path)


def test_fit_refuses():
    train, none = draw(30, seed=0), draw(0, seed=0)
    with refuses("detector.accept"):
        fit(accept=1.0)
    with refuses("vectors.dimensions", name="embeddings", dimensions=2, expected=6):
        fit(validation=replace(train, embeddings=np.ones((30, 2))))
    with refuses("detector.too_few", rows=30, held_out=0):
        fit(train, validation=none)
    with refuses("detector.too_few"):
        fit(draw(1, seed=0))
    with refuses("vectors.labels_shape", rows=30):
        fit(replace(train, labels=train.labels[:5]))
    with refuses("vectors.label_outside", label=-1):
        fit(replace(train, labels=train.labels - 1))
    with refuses("vectors.label_outside", label=3, last=2):
        fit(replace(train, labels=train.labels + 1))
    with refuses(
        "detector.method",
        method="oracle",
    ):
        fit(method="oracle")


def test_a_detector_of_another_encoder_is_refused(tmp_path):
    path = tmp_path / "detector.safetensors"
    fit(fingerprint="one").save(path)
    assert OutlierDetector.load(path, fingerprint="one").fingerprint == "one"
    with refuses("detector.other_encoder", own="one"):
        OutlierDetector.load(path, fingerprint="two")


def test_a_detector_of_any_encoder_is_refused(detector, tmp_path):
    path = tmp_path / "detector.safetensors"
    detector.save(path)
    with refuses("detector.other_encoder", own=""):
        OutlierDetector.load(path, fingerprint="one")
    arrays, facts = read_arrays(path)
    for name in ("fingerprint", "method"):
        save_arrays(path, arrays, facts={k: v for k, v in facts.items() if k != name})
        with refuses("storage.keys", name="the header of detector.safetensors"):
            OutlierDetector.load(path, fingerprint="one")
