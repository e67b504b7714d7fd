"""The gate in front of every label: what it reads, where it draws the line, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.core.storage import read_arrays, save_arrays
from dermsim.data.synthetic import draw_lesion
from dermsim.tasks.detect import REASONS, QualityGate, choose_thresholds
from dermsim.tasks.detect.statistics import SIDE, pixel_statistics

K = pixel_statistics(np.zeros((1, SIDE, SIDE, 3))).shape[1]


@pytest.fixture
def gate():
    rng = np.random.default_rng(0)
    count = len(REASONS)
    arrays = {
        "mean": rng.normal(size=K),
        "scale": rng.random(K) + 0.5,
        "hidden_weight": rng.normal(size=(K, 5)),
        "hidden_bias": rng.normal(size=5),
        "reason_weight": rng.normal(size=(5, count)),
        "reason_bias": rng.normal(size=count),
        "thresholds": np.full(count, 0.5),
    }
    plain = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    return QualityGate(**plain, side=160, provenance={"seed": 0})


def picture(seed=0):
    drawn = draw_lesion("nv", seed=seed, size=(SIDE, SIDE))
    return np.asarray(drawn)[None] / 255


def test_a_gate_is_a_network_of_one_hidden_layer(gate):
    """Against the formula, one reason and one picture at a time."""
    rows = np.random.default_rng(1).normal(size=(6, K))
    for row, said in zip(rows, gate.probabilities(rows), strict=True):
        standard = np.clip((row - gate.mean) / gate.scale, -8, 8)
        hidden = [
            max(0.0, standard @ w + b)
            for w, b in zip(gate.hidden_weight.T, gate.hidden_bias, strict=True)
        ]
        for reason in range(len(REASONS)):
            logit = gate.reason_weight[:, reason] @ hidden + gate.reason_bias[reason]
            assert said[reason] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


def test_reasons_are_those_beyond_their_thresholds_likeliest_first(gate):
    rows = np.random.default_rng(1).normal(size=(400, K))
    found = gate.reasons(rows)
    assert any(len(reasons) > 1 for reasons in found)
    assert len({len(reasons) for reasons in found}) > 2
    for row, reasons in zip(gate.probabilities(rows), found, strict=True):
        named = [row[REASONS.index(reason)] for reason in reasons]
        assert named == sorted(named, reverse=True)
        assert set(reasons) == {r for r, p in zip(REASONS, row, strict=True) if p > 0.5}


def test_it_comes_back_from_its_file(gate, tmp_path):
    gate.save(tmp_path / "quality.safetensors")
    again = QualityGate.load(tmp_path / "quality.safetensors", side=160)
    rows = np.random.default_rng(1).normal(size=(6, K))
    assert np.array_equal(again.probabilities(rows), gate.probabilities(rows))
    assert (again.side, again.provenance) == (160, {"seed": 0})
    with refuses("detect_quality.other_size", own=160, side=64):
        QualityGate.load(tmp_path / "quality.safetensors", side=64)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": np.zeros(3, np.float32)}, Phrase("detect_quality.shape", name="scale")),
        (
            {"reason_bias": np.zeros(2, np.float32)},
            Phrase("detect_quality.shape", name="reason_bias"),
        ),
        ({"scale": np.zeros(K, np.float32)}, "detect_quality.scale"),
        (
            {"mean": np.full(K, np.nan, np.float32)},
            Phrase("detect_quality.not_finite", name="mean"),
        ),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(gate, change, words):
    with refuses(words):
        replace(gate, **change)
    with refuses("detect_quality.statistics", count=92):
        gate.probabilities(np.zeros((1, 2)))


def test_a_damaged_file_is_refused(gate, tmp_path):
    path = tmp_path / "quality.safetensors"
    gate.save(path)
    arrays, facts = read_arrays(path)
    for wrong, words in (
        ({**facts, "reasons": ["other"]}, "detect_quality.other_version"),
        ({**facts, "side": "x"}, "detect_quality.header"),
    ):
        save_arrays(path, arrays, facts=wrong)
        with refuses(words):
            QualityGate.load(path)
    save_arrays(path, {**arrays, "mean": arrays["mean"].astype(np.float64)}, facts=facts)
    with refuses("detect_quality.array", key="mean", dtype="float64"):
        QualityGate.load(path)
    with pytest.raises(FileNotFoundError):
        QualityGate.load(tmp_path / "none")


def test_thresholds_keep_to_their_budgets_of_all_and_of_each_diagnosis():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [900, 20])
    scores = rng.random((920, 1)) * 0.5
    scores[-3:] = 0.9  # three of the rare diagnosis
    for budget, most in (((0.05, 1.0), 46), ((0.05, 0.1), 2), ((0.05, 0.04), 0)):
        (threshold,) = choose_thresholds(scores, labels, [budget], floors=[0.0])
        stopped = scores[:, 0] > threshold
        assert stopped.sum() <= 46
        assert stopped[labels == 1].sum() <= most
    assert choose_thresholds(scores, labels, [(0.5, 1.0)], floors=[0.7])[0] == pytest.approx(0.7)


def test_statistics_do_not_depend_on_the_batch():
    pictures = np.concatenate([picture(seed) for seed in range(4)])
    whole = pixel_statistics(pictures)
    assert whole.dtype == np.float32 and np.isfinite(whole).all()
    alone = np.concatenate([pixel_statistics(one[None]) for one in pictures])
    np.testing.assert_array_equal(whole, alone)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_picture_of_one_colour_has_statistics_too(level):
    assert np.isfinite(pixel_statistics(np.full((1, SIDE, SIDE, 3), level))).all()
