"""What thresholds reached on photographs that fitted none, with intervals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.refused import Phrase
from dermsim.tasks.classify import ThresholdFigures, read_figures


@pytest.fixture
def figures():
    rng = np.random.default_rng(0)
    malignant = rng.random(120) < 0.3
    scores = np.clip(rng.normal(0.3 + 0.3 * malignant, 0.2), 0, 1)
    lesions = [f"L{i // 2}" for i in range(120)]
    found = ThresholdFigures.measure(
        scores,
        malignant,
        Bootstrap(lesions, 200),
        thresholds=[0.2, 0.5, 0.4],
        origin="held_out",
        dataset="HAM10000",
    )
    return found, scores, malignant, Bootstrap(lesions, 200)


def test_each_threshold_is_measured_as_it_would_be_alone(figures):
    found, scores, malignant, bootstrap = figures
    assert found.thresholds == (0.5, 0.4, 0.2)
    for threshold in found.thresholds:
        reached = found.at(threshold)
        for share, called, among in (
            (reached.sensitivity, scores >= threshold, malignant),
            (reached.specificity, scores < threshold, ~malignant),
        ):
            alone = bootstrap.mean(called, among=among)
            assert share.to_dict() == pytest.approx(alone.to_dict(), abs=1e-4)
            assert share.n == among.sum()


def test_a_threshold_between_two_is_answered_by_the_nearest_and_says_which(figures):
    found = figures[0]
    assert found.at(0.43).threshold == 0.4
    assert found.at(1.0).threshold == 0.5
    assert found.at(0.0).to_dict()["threshold"] == 0.2


def test_it_comes_back_from_json(figures):
    found = figures[0]
    document = {"fingerprint": "f", "thresholds": [found.to_dict()]}
    again = json.loads(json.dumps(document))
    assert read_figures(again, fingerprint="f") == (found,)
    assert read_figures(again, fingerprint="another encoder") == ()
    assert read_figures({"fingerprint": "f"}, fingerprint="f") == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin": "here"}, Phrase("reached.origin", origin="here")),
        ({"malignant": 0}, Phrase("reached.no_photographs", name="malignant")),
        ({"thresholds": (2.0, 0.4, 0.2)}, Phrase("operating.share", name="a measured threshold")),
        ({"sensitivity": ((0.1, 0.2),) * 3}, Phrase("reached.interval", name="sensitivity")),
        (
            {"specificity": ((0.1, 0.2, 7.0),) * 3},
            Phrase("operating.share", name="measured specificity"),
        ),
    ],
)
def test_figures_that_no_measurement_gives_are_refused(figures, change, words):
    with refuses(words):
        replace(figures[0], **change)


@pytest.mark.parametrize(
    ("damaged", "key"),
    [({}, "reached.not_a_list"), ([[]], "storage.not_an_object"), ([{}], "storage.keys")],
)
def test_a_damaged_file_is_refused(damaged, key):
    with refuses(key):
        read_figures({"fingerprint": "f", "thresholds": damaged}, fingerprint="f")


def test_photographs_that_are_all_benign_measure_nothing():
    with refuses("operating.one_sided"):
        ThresholdFigures.measure(
            np.zeros(3),
            np.zeros(3, dtype=bool),
            Bootstrap([None] * 3),
            thresholds=[0.5],
            origin="elsewhere",
            dataset="x",
        )
