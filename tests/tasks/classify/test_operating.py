"""The malignancy curve: what each threshold did on validation, counted one image at a time."""

import json
import math

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.folds import deal_lesions
from dermsim.core.labels import CODES, MALIGNANT
from dermsim.core.refused import Phrase
from dermsim.tasks.classify import (
    Calibration,
    MalignancyCurve,
    OperatingPoint,
    fit_temperature,
    softmax,
)
from dermsim.tasks.classify.operating import choose_points

SCORES = np.array([0.9, 0.8, 0.8, 0.6, 0.5, 0.5, 0.2, 0.1])
TRUTH = np.array([1, 1, 0, 0, 1, 0, 1, 0], dtype=bool)


@pytest.fixture(scope="module")
def curve():
    return MalignancyCurve.fit(SCORES, TRUTH)


@pytest.fixture(scope="module")
def drawn():
    """Malignancies of 600 images, some of them equal, and the truth."""
    rng = np.random.default_rng(0)
    truth = rng.random(600) < 0.25
    return np.round(np.clip(rng.normal(0.3 + 0.3 * truth, 0.2), 0, 1), 2), truth


def test_a_curve_by_hand(curve):
    assert curve.thresholds == (0.9, 0.8, 0.5, 0.2)
    assert curve.caught == (1, 2, 3, 4)
    assert curve.passed == (4, 3, 1, 1)
    assert (curve.malignant, curve.benign) == (4, 4)
    assert curve.points[1] == OperatingPoint(0.8, 0.5, 0.75)


def test_points_against_a_count_of_every_image(drawn):
    scores, truth = drawn
    curve = MalignancyCurve.fit(scores, truth)
    assert len(curve.points) == len(set(scores[truth].tolist())) > 50
    for point in curve.points:
        caught = sum(s >= point.threshold for s, m in zip(scores, truth, strict=True) if m)
        passed = sum(s < point.threshold for s, m in zip(scores, truth, strict=True) if not m)
        assert point.sensitivity == caught / truth.sum()
        assert point.specificity == passed / (~truth).sum()


def test_no_threshold_between_is_better_than_its_neighbour(drawn):
    """Why the curve may leave out the malignancies that only benign images reached."""
    scores, truth = drawn
    curve = MalignancyCurve.fit(scores, truth)
    for threshold in np.unique(scores):
        sensitivity = (scores[truth] >= threshold).mean()
        specificity = (scores[~truth] < threshold).mean()
        assert (
            any(p.sensitivity >= sensitivity and p.specificity >= specificity for p in curve.points)
            or sensitivity == 0
        )


def test_a_threshold_between_two_has_its_own_sensitivity_and_at_least_that_specificity(drawn):
    scores, truth = drawn
    curve = MalignancyCurve.fit(scores, truth)
    for threshold in np.linspace(0, 1, 997):
        point = curve.at(float(threshold))
        assert point.threshold == threshold
        assert point.sensitivity == (scores[truth] >= threshold).mean()
        assert point.specificity <= (scores[~truth] < threshold).mean()
    assert curve.at(0.0).sensitivity == 1


def test_the_named_points_lie_on_the_curve(drawn):
    curve = MalignancyCurve.fit(*drawn)
    chosen = choose_points(curve, *drawn, [None] * 600)
    assert set(chosen.values()) <= set(curve.points)
    best = max(curve.points, key=lambda p: p.sensitivity + p.specificity)
    assert chosen["balanced"] == best
    reached = next(p for p in curve.points if p.sensitivity >= 0.95)
    assert chosen["sensitivity_95"].threshold < reached.threshold
    assert 0.95 < chosen["sensitivity_95"].sensitivity < 0.99


def test_photographs_of_one_lesion_make_no_point_surer():
    rng = np.random.default_rng(3)
    scores, truth = np.repeat(rng.random(600), 4), np.repeat(rng.random(600) < 0.25, 4)
    curve = MalignancyCurve.fit(scores, truth)
    lesions = [f"L{row // 4}" for row in range(2400)]
    by_lesion = choose_points(curve, scores, truth, lesions)["sensitivity_95"]
    by_photograph = choose_points(curve, scores, truth, [None] * 2400)["sensitivity_95"]
    assert by_lesion.threshold < by_photograph.threshold


def test_with_too_few_malignant_lesions_none_of_them_is_missed():
    curve = MalignancyCurve.fit(SCORES, TRUTH)
    point = choose_points(curve, SCORES, TRUTH, [None] * 8)["sensitivity_95"]
    assert point == curve.points[-1] and point.sensitivity == 1


def test_of_equally_good_points_the_one_with_fewer_alarms_is_taken():
    # each of the two catches one more of 3 and loses one more of 3: equal but for rounding
    curve = MalignancyCurve((0.9, 0.6, 0.3), (1, 2, 3), (3, 2, 1), 3, 3)
    assert curve.balanced().threshold == 0.9


def test_it_comes_back_as_it_was(curve):
    again = MalignancyCurve.from_dict(json.loads(json.dumps(curve.to_dict())))
    assert again == curve


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, Phrase("storage.keys", name="malignancy_curve")),
        ({"thresholds": 3}, "operating.curve_lists"),
        ({"thresholds": [0.9, 0.8, 0.5]}, "operating.curve_lengths"),
        ({"thresholds": [], "caught": [], "passed": []}, "operating.curve_lengths"),
        ({"thresholds": [0.9, 0.8, 0.8, 0.2]}, "operating.curve_thresholds"),
        (
            {"thresholds": [1.9, 0.8, 0.5, 0.2]},
            Phrase("operating.share", name="malignancy curve threshold"),
        ),
        (
            {"thresholds": ["a", 0.8, 0.5, 0.2]},
            Phrase("operating.share", name="malignancy curve threshold"),
        ),
        ({"caught": [1, 2, 2, 4]}, Phrase("operating.curve_caught", malignant=4)),
        ({"caught": [1, 2, 3, 5]}, Phrase("operating.curve_caught", malignant=4)),
        ({"caught": [0, 2, 3, 4]}, Phrase("operating.curve_caught", malignant=4)),
        ({"caught": [1, 2, 3, 4.0]}, "operating.curve_counts"),
        ({"passed": [4, 3, 1, 2]}, Phrase("operating.curve_passed", benign=4)),
        ({"passed": [5, 3, 1, 1]}, Phrase("operating.curve_passed", benign=4)),
        ({"passed": [4, 3, 1, -1]}, Phrase("operating.curve_passed", benign=4)),
        ({"malignant": 0}, Phrase("operating.curve_totals", name="malignant")),
        ({"benign": True}, Phrase("operating.curve_totals", name="benign")),
        ({"benign": "4"}, Phrase("operating.curve_totals", name="benign")),
    ],
)
def test_from_dict_is_strict(curve, change, words):
    with refuses(words):
        MalignancyCurve.from_dict({**curve.to_dict(), **change})


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, "0.5", None, True])
def test_a_threshold_out_of_range_is_refused(curve, threshold):
    with refuses("operating.threshold"):
        curve.at(threshold)


# In a calibration.


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 7, size=400)
    return Calibration.fit(rng.normal(size=(400, 7)) + 2 * np.eye(7)[labels], labels)


@pytest.fixture(scope="module")
def older(calibration):
    """As in folders written before there were curves."""
    values = calibration.to_dict()
    del values["malignancy_curve"]
    return Calibration.from_dict(values)


def test_a_fit_keeps_the_curve_of_its_malignancies(calibration):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 7, size=400)
    logits = rng.normal(size=(400, 7)) + 2 * np.eye(7)[labels]
    unseen = np.zeros((400, 7))
    for kept, out in deal_lesions(labels, None):
        unseen[out] = softmax(logits[out], fit_temperature(logits[kept], labels[kept]))
    malignancy = calibration.malignancy(unseen)
    truth = np.isin(labels, [CODES.index(code) for code in MALIGNANT])
    assert calibration.malignancy_curve == MalignancyCurve.fit(malignancy, truth)
    expected = choose_points(calibration.malignancy_curve, malignancy, truth, [None] * 400)
    assert calibration.operating_points == expected


def test_a_calibration_without_a_curve_is_read_and_written_as_it_was(older, tmp_path):
    assert older.malignancy_curve is None
    older.save(tmp_path / "calibration.json")
    assert "malignancy_curve" not in json.loads((tmp_path / "calibration.json").read_text())
    assert Calibration.load(tmp_path / "calibration.json") == older


def test_a_point_is_asked_for_by_name_or_threshold(calibration, older):
    for name, point in calibration.operating_points.items():
        for one in (calibration, older):
            assert one.operating_point(name) == point
            assert one.operating_point(point.threshold) == point
    assert calibration.operating_point() == calibration.operating_points["balanced"]
    assert calibration.operating_point(0.3) == calibration.malignancy_curve.at(0.3)
    with refuses("calibration.threshold", threshold=0.3):
        older.operating_point(0.3)
    with refuses("calibration.operating_point", name="strict"):
        calibration.operating_point("strict")
    with refuses("operating.threshold", threshold=3):
        calibration.operating_point(3)


def test_malignant_begins_at_any_threshold_even_without_a_curve(calibration, older):
    probabilities = calibration.probabilities(np.random.default_rng(2).normal(size=(50, 7)))
    malignancy = calibration.malignancy(probabilities)
    for one in (calibration, older):
        called = one.is_malignant(probabilities, operating_point=0.3)
        np.testing.assert_array_equal(called, malignancy >= 0.3)
        with refuses("operating.threshold", threshold=-1):
            one.is_malignant(probabilities, operating_point=-1)
    assert calibration.is_malignant(probabilities, operating_point=0).all()


@pytest.mark.parametrize("part", ["threshold", "sensitivity", "specificity"])
def test_points_of_another_fit_are_refused(calibration, part):
    values = calibration.to_dict()
    values["operating_points"]["balanced"][part] *= 0.99
    with refuses("calibration.off_curve", name="balanced"):
        Calibration.from_dict(values)


def test_a_curve_that_is_none_is_refused(calibration):
    with refuses("storage.not_an_object", name="malignancy_curve"):
        Calibration.from_dict({**calibration.to_dict(), "malignancy_curve": None})
