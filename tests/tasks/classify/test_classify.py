import json

import numpy as np
import pytest
from refusals import refuses
from scipy.stats import binom

from dermsim.core.folds import deal_lesions
from dermsim.core.labels import CODES, MALIGNANT
from dermsim.core.refused import Phrase
from dermsim.tasks.classify import (
    LEVELS,
    Calibration,
    CrossFit,
    OperatingPoint,
    add_left_out_bias,
    fit_class_bias,
    fit_temperature,
    softmax,
)

BENIGN = [c for c, code in enumerate(CODES) if code not in MALIGNANT]


def draw(n, *, seed, sharpness=2.0):
    """Logits and labels in roughly HAM10000's proportions."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.08, 0.1, 0.15, 0.06, 0.15, 0.4, 0.06])
    labels = rng.choice(7, size=n, p=shares)
    return rng.normal(size=(n, 7)) * 1.5 + sharpness * np.eye(7)[labels], labels


def ask_the_left_out(logits, labels, lesions=None):
    """Probabilities of each lesion at a temperature that was fitted without it."""
    found = np.zeros((len(labels), 7))
    for kept, out in deal_lesions(labels, lesions):
        found[out] = softmax(logits[out], fit_temperature(logits[kept], labels[kept]))
    return found


@pytest.fixture(scope="module")
def calibration():
    return Calibration.fit(*draw(2000, seed=0))


def test_probabilities_are_the_softmax_at_the_temperature(calibration):
    logits, _ = draw(5, seed=1)
    probabilities = calibration.probabilities(logits)
    np.testing.assert_array_equal(probabilities, softmax(logits, calibration.temperature))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(calibration.probabilities(logits[2:3])[0], probabilities[2])


def test_set_thresholds_against_a_slow_quantile(calibration):
    logits, labels = draw(2000, seed=0)
    probabilities = ask_the_left_out(logits, labels)
    for c, code in enumerate(CODES):
        scores = sorted(
            1 - p[c] for p, label in zip(probabilities, labels, strict=True) if label == c
        )
        smallest = next(
            s for i, s in enumerate(scores, start=1) if i >= (len(scores) + 1) * 0.9 - 1e-9
        )
        assert calibration.set_thresholds[code] == pytest.approx(smallest, abs=1e-15)


def test_every_class_is_covered_on_new_images(calibration):
    logits, labels = draw(20_000, seed=2)
    included = calibration.included(calibration.probabilities(logits))
    for c in range(7):
        assert included[labels == c, c].mean() > 0.86  # 0.9 less what 120 images can be off


@pytest.mark.parametrize("level", LEVELS)
def test_thresholds_of_every_level_against_a_slow_quantile(calibration, level):
    logits, labels = draw(2000, seed=0)
    probabilities = ask_the_left_out(logits, labels)
    for c, code in enumerate(CODES):
        own = [(p, label) for p, label in zip(probabilities, labels, strict=True) if label == c]
        scores = sorted(1 - p[c] for p, _ in own)
        wanted = float(level) * (len(scores) + 1) - 1e-9
        smallest = next(s for i, s in enumerate(scores, start=1) if i >= wanted)
        assert calibration.levels[level][code] == pytest.approx(smallest, abs=1e-15)


def test_the_level_of_the_default_is_the_default(calibration):
    assert calibration.levels["0.90"] == calibration.set_thresholds
    assert (
        Calibration.fit(*draw(2000, seed=0), alpha=0.2).set_thresholds
        == (calibration.levels["0.80"])
    )


def test_sets_of_a_higher_level_hold_those_of_a_lower_one(calibration):
    probabilities = calibration.probabilities(draw(500, seed=5)[0])
    low, middle, high = (calibration.included(probabilities, level=level) for level in LEVELS)
    assert (low <= middle).all() and (middle <= high).all()
    assert low.sum() < middle.sum() < high.sum()
    np.testing.assert_array_equal(middle, calibration.included(probabilities))
    sets = calibration.prediction_sets(probabilities, level="0.95")
    assert [len(s) for s in sets] == high.sum(axis=1).tolist()


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_covers_every_class_of_new_images(level):
    """Coverage over calibration sets and test images alike: its expectation is at least nominal."""
    covered = []
    for seed in range(8):
        fitted = Calibration.fit(*draw(700, seed=100 + seed))
        logits, labels = draw(5000, seed=200 + seed)
        included = fitted.included(fitted.probabilities(logits), level=level)
        covered.append([included[labels == c, c].mean() for c in range(7)])
    mean = np.mean(covered, axis=0)
    assert (mean > float(level) - 0.035).all() and (mean < float(level) + 0.05).all()


def test_a_checkpoint_without_levels_says_so(calibration, tmp_path):
    """As in folders written before there were levels."""
    values = calibration.to_dict()
    del values["levels"]
    older = Calibration.from_dict(values)
    assert older.levels == {} and older.to_dict() == values
    older.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == older
    probabilities = older.probabilities(draw(5, seed=1)[0])
    with refuses("calibration.one_coverage", default=0.9):
        older.included(probabilities, level="0.80")
    with refuses("calibration.coverage", level="0.5", known=["0.80", "0.90", "0.95"]):
        calibration.prediction_sets(probabilities, level="0.5")


def test_the_finite_sample_correction_takes_the_63rd_of_69():
    logits, labels = draw(4000, seed=0)
    kept = np.concatenate([np.flatnonzero(labels == c)[:69] for c in range(7)])
    calibration = Calibration.fit(logits[kept], labels[kept])
    probabilities = ask_the_left_out(logits[kept], labels[kept])
    for c, code in enumerate(CODES):
        scores = np.sort(1 - probabilities[labels[kept] == c, c])
        assert calibration.set_thresholds[code] == scores[62]


def test_a_class_with_too_few_images_is_always_included():
    logits, labels = draw(2000, seed=0)
    few = np.concatenate([np.flatnonzero(labels != 3), np.flatnonzero(labels == 3)[:6]])
    calibration = Calibration.fit(logits[few], labels[few])
    assert calibration.set_thresholds["df"] == 1.0
    sets = calibration.prediction_sets(calibration.probabilities(logits[:50]))
    assert all("df" in s for s in sets)


def test_prediction_sets_are_ordered_and_never_empty(calibration):
    strict = Calibration(
        1.0, 0.1, dict.fromkeys(CODES, 0.0), calibration.operating_points
    )  # excludes every diagnosis
    probabilities = calibration.probabilities(draw(50, seed=3)[0])
    for row, codes in zip(probabilities, strict.prediction_sets(probabilities), strict=True):
        assert codes == (CODES[row.argmax()],)
    for row, codes in zip(probabilities, calibration.prediction_sets(probabilities), strict=True):
        values = [row[CODES.index(code)] for code in codes]
        assert codes[0] == CODES[row.argmax()]
        assert values == sorted(values, reverse=True)
    whole = calibration.prediction_sets(probabilities)
    assert calibration.prediction_sets(probabilities[7:8]) == [whole[7]]


def test_malignancy_sums_the_malignant_diagnoses(calibration):
    probabilities = calibration.probabilities(draw(20, seed=4)[0])
    expected = 1 - probabilities[:, BENIGN].sum(axis=1)
    np.testing.assert_allclose(calibration.malignancy(probabilities), expected)


def test_operating_points_against_a_scan_of_all_thresholds(calibration):
    logits, labels = draw(2000, seed=0)
    malignancy = calibration.malignancy(ask_the_left_out(logits, labels))
    malignant = ~np.isin(labels, BENIGN)
    scan = []
    for threshold in sorted(malignancy, reverse=True):
        called = malignancy >= threshold
        scan.append((called[malignant].mean(), (~called[~malignant]).mean(), threshold))
    youden = max(scan, key=lambda point: point[0] + point[1])
    # so many of n that fewer of them lie above what catches 0.95 in 7 of 10 draws
    n = int(malignant.sum())
    needed = int(binom.ppf(0.7, n, 0.95)) + 1
    catching = next(point for point in scan if round(point[0] * n) >= needed)
    assert catching[0] > 0.95
    for name, (sensitivity, specificity, threshold) in [
        ("balanced", youden),
        ("sensitivity_95", catching),
    ]:
        point = calibration.operating_points[name]
        assert point.threshold == threshold
        assert (point.sensitivity, point.specificity) == pytest.approx((sensitivity, specificity))


def test_is_malignant_reaches_the_sensitivity_it_states(calibration):
    logits, labels = draw(2000, seed=0)
    probabilities = calibration.probabilities(logits)
    called = calibration.is_malignant(probabilities, operating_point="sensitivity_95")
    point = calibration.operating_points["sensitivity_95"]
    # but for an answer that another temperature, fitted to all lesions, moves across the line
    assert called[~np.isin(labels, BENIGN)].mean() == pytest.approx(point.sensitivity, abs=0.005)
    np.testing.assert_array_equal(
        calibration.is_malignant(probabilities),
        calibration.is_malignant(probabilities, operating_point="balanced"),
    )
    with refuses("calibration.operating_point", name="strict"):
        calibration.is_malignant(probabilities, operating_point="strict")


def test_saves_and_loads_what_it_was(calibration, tmp_path):
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration
    assert Calibration.from_dict(calibration.to_dict()) == calibration


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, Phrase("storage.keys", name="calibration")),
        ({"temperature": 0}, "calibration.temperature"),
        ({"temperature": True}, "calibration.temperature"),
        ({"temperature": "1"}, "calibration.temperature"),
        ({"alpha": 1.0}, "calibration.alpha"),
        (
            {"set_thresholds": {"mel": 0.5}},
            Phrase("storage.keys", name="set_thresholds", keys=["mel"]),
        ),
        (
            {"set_thresholds": dict.fromkeys(CODES, 2)},
            Phrase("operating.share", name="set threshold of akiec"),
        ),
        ({"set_thresholds": None}, Phrase("storage.not_an_object", name="set_thresholds")),
        ({"levels": {"0.80": {}}}, Phrase("storage.keys", name="levels")),
        ({"levels": []}, Phrase("storage.not_an_object", name="levels")),
        (
            {"levels": {level: {"mel": 0.5} for level in LEVELS}},
            Phrase("storage.keys", name="set_thresholds", keys=["mel"]),
        ),
        (
            {"levels": {level: dict.fromkeys(CODES, 2) for level in LEVELS}},
            Phrase("operating.share", name="set threshold of akiec"),
        ),
        ({"cross_fit": {"folds": 5}}, Phrase("storage.keys", name="cross_fit")),
        ({"cross_fit": [5]}, Phrase("storage.not_an_object", name="cross_fit")),
        ({"cross_fit": None}, Phrase("storage.not_an_object", name="cross_fit")),
        ({"operating_points": {}}, Phrase("storage.keys", name="operating_points")),
        (
            {"operating_points": {"balanced": {}, "sensitivity_95": {}}},
            Phrase("storage.keys", name="operating point balanced"),
        ),
    ],
)
def test_from_dict_is_strict(calibration, change, words):
    with refuses(words):
        Calibration.from_dict({**calibration.to_dict(), **change})


def test_load_refuses_a_missing_key_and_bad_json(calibration, tmp_path):
    path = tmp_path / "calibration.json"
    values = calibration.to_dict()
    del values["alpha"]
    path.write_text(json.dumps(values))
    with refuses("storage.keys", name="calibration.json"):
        Calibration.load(path)
    path.write_text("{")
    with refuses("storage.not_json"):
        Calibration.load(path)
    with refuses("storage.no_file", FileNotFoundError):
        Calibration.load(tmp_path / "other.json")


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None])
def test_operating_point_refuses(value):
    with refuses("operating.share", name="operating point threshold"):
        OperatingPoint(value, 0.9, 0.9)


def test_fit_refuses(calibration):
    logits, labels = draw(100, seed=0)
    with refuses("operating.one_sided"):
        Calibration.fit(logits, np.full(100, BENIGN[0]))
    with refuses("calibration.alpha"):
        Calibration.fit(logits, labels, alpha=1.5)
    with refuses("vectors.dimensions", name="logits", dimensions=3, expected=7):
        Calibration.fit(logits[:, :3], labels)
    with refuses("vectors.labels_shape", rows=100):
        Calibration.fit(logits, labels[:9])
    with refuses("metrics.logits"):
        Calibration.fit(np.zeros((0, 7)), [])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones((2, 3)) / 3, Phrase("calibration.shape", count=7)),
        (np.ones((2, 7)), "label_errors.probabilities"),
        (np.array([[2.0, -1, 0, 0, 0, 0, 0]]), "label_errors.probabilities"),
        (np.full((1, 7), np.nan), "label_errors.probabilities"),
    ],
)
def test_probabilities_are_checked(calibration, bad, words):
    with refuses(words):
        calibration.prediction_sets(bad)


# --- lesions that the fit had left out -----------------------------------------------------------


def photograph(logits, labels, *, times, seed=0, jitter=0.0):
    """Each lesion several times, all alike but for some noise."""
    noise = np.random.default_rng(seed).normal(size=(len(labels) * times, 7)) * jitter
    lesions = [f"L{row // times}" for row in range(len(labels) * times)]
    return np.repeat(logits, times, axis=0) + noise, np.repeat(labels, times), lesions


def covered(calibration, seed):
    """What share of each diagnosis is covered, of lesions that are too many to leave a doubt."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(7), 1000)
    logits = rng.normal(size=(7000, 7)) * 1.5 + 2 * np.eye(7)[labels]
    included = calibration.included(calibration.probabilities(logits))
    return included[np.arange(7000), labels].reshape(7, 1000).mean(axis=1)


def test_photographs_of_one_lesion_promise_no_more_than_one():
    """Fourteen lesions of each diagnosis, photographed six times: it fails if those count."""
    by_lesion, by_photograph = [], []
    for seed in range(12):
        labels = np.repeat(np.arange(7), 14)
        logits = np.random.default_rng(seed).normal(size=(98, 7)) * 1.5 + 2 * np.eye(7)[labels]
        logits, labels, lesions = photograph(logits, labels, times=6)
        by_lesion.append(covered(Calibration.fit(logits, labels, lesions), 1000 + seed).mean())
        by_photograph.append(covered(Calibration.fit(logits, labels), 1000 + seed).mean())
    # 14 of 15, and 13 of 15
    assert np.mean(by_lesion) == pytest.approx(14 / 15, abs=0.015)
    assert np.mean(by_photograph) == pytest.approx(13 / 15, abs=0.02)


def test_a_bias_that_the_lesions_chose_themselves_would_cover_too_little():
    """Diagnoses of a dozen lesions: their own bias answers them better than those to come."""
    alike, left_out = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(7), 12)
        raw = (rng.normal(size=(84, 7)) * 1.5 + np.eye(7)[labels]).astype(np.float32)
        bias = fit_class_bias(raw, labels, penalty=0.0)
        new = np.repeat(np.arange(7), 500)
        unseen = rng.normal(size=(3500, 7)) * 1.5 + np.eye(7)[new] + bias
        for logits, found in (
            (raw + bias, alike),
            (add_left_out_bias(raw, labels, None), left_out),
        ):
            fitted = Calibration.fit(logits, labels)
            included = fitted.included(fitted.probabilities(unseen))
            found.append(included[np.arange(3500), new].mean())
    assert np.mean(left_out) > np.mean(alike) + 0.001


def test_the_point_of_95_reaches_it_on_lesions_to_come_more_often_than_not():
    reached = []
    for seed in range(60):
        labels = np.random.default_rng(seed).choice(7, size=420)
        logits = np.random.default_rng(1000 + seed).normal(size=(420, 7)) * 1.5
        fitted = Calibration.fit(logits + 2 * np.eye(7)[labels], labels)
        unseen, truth = draw(6000, seed=2000 + seed)
        truth_rows = ~np.isin(truth, BENIGN)
        called = fitted.is_malignant(fitted.probabilities(unseen), operating_point="sensitivity_95")
        reached.append(called[truth_rows].mean())
    assert 0.6 < np.mean(np.array(reached) >= 0.95) < 0.9
    assert 0.95 < np.mean(reached) < 0.97  # more than that would cost benign images


def test_what_it_was_fitted_to_is_kept(tmp_path):
    logits, labels, lesions = photograph(*draw(200, seed=7), times=2, jitter=0.3)
    bias = np.linspace(-0.3, 0.3, 7)
    fitted = Calibration.fit(logits, labels, lesions, class_bias=bias, seed=3)
    counts = {code: int((labels == c).sum()) // 2 for c, code in enumerate(CODES)}
    assert fitted.cross_fit == CrossFit(5, 3, counts, dict(zip(CODES, bias, strict=True)))
    fitted.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == fitted
    written = json.loads((tmp_path / "calibration.json").read_text())["cross_fit"]
    assert written["lesions"] == counts and written["folds"] == 5
    assert Calibration.fit(logits, labels, lesions).cross_fit.class_bias is None


def test_a_seed_deals_the_lesions_otherwise():
    logits, labels = draw(300, seed=8)
    first, again, other = (Calibration.fit(logits, labels, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.temperature == other.temperature
    assert first.set_thresholds != other.set_thresholds


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"folds": 1}, Phrase("cross_fit.folds", folds=1)),
        ({"folds": 5.0}, "cross_fit.folds"),
        ({"seed": -1}, "cross_fit.seed"),
        ({"seed": True}, "cross_fit.seed"),
        ({"lesions": {"mel": 3}}, Phrase("storage.keys", name="cross_fit lesions")),
        (
            {"lesions": dict.fromkeys(CODES, -1)},
            Phrase("cross_fit.lesions", code="akiec", count=-1),
        ),
        ({"class_bias": {"mel": 0.1}}, Phrase("storage.keys", name="class_bias")),
        ({"class_bias": dict.fromkeys(CODES, "0")}, Phrase("cross_fit.bias", code="akiec")),
        ({"class_bias": dict.fromkeys(CODES, float("inf"))}, Phrase("cross_fit.bias", bias="inf")),
        ({"extra": 1}, Phrase("storage.keys", name="cross_fit")),
    ],
)
def test_what_a_fit_cannot_have_kept_is_refused(calibration, change, words):
    values = calibration.to_dict()
    damaged = {**values, "cross_fit": {**values["cross_fit"], **change}}
    with refuses(words):
        Calibration.from_dict(damaged)
