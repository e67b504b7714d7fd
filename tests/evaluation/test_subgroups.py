"""The figures of each sex, age band and site, against a slow count of the same rows."""

import numpy as np
import pytest
from refusals import refuses
from sklearn import metrics as sk

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.data.synthetic import synthetic_ham10000
from dermsim.evaluation.subgroups import (
    MIN_LESIONS,
    NOT_KNOWN,
    age_band,
    evaluate_subgroups,
    groups_of,
)
from dermsim.tasks.classify import Calibration

BAD = [LABEL2ID[code] for code in MALIGNANT]


def draw(n, *, seed, lesions):
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, lesions, size=n)
    labels = rng.integers(0, 7, size=lesions)[owner]
    logits = rng.normal(size=(n, 7)) * 1.5 + 2 * np.eye(7)[labels]
    return logits, labels, [f"HAM_{i}" for i in owner]


@pytest.fixture(scope="module")
def calibration():
    logits, labels, _ = draw(400, seed=0, lesions=300)
    return Calibration.fit(logits, labels)


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (0.0, "under 30"),
        (29.9, "under 30"),
        (30.0, "30 to 44"),
        (45.0, "45 to 59"),
        (60.0, "60 to 74"),
        (74.0, "60 to 74"),
        (75.0, "75 and over"),
        (85.0, "75 and over"),
        (None, NOT_KNOWN),
        (float("nan"), NOT_KNOWN),
    ],
)
def test_every_age_has_one_band(age, band):
    assert age_band(age) == band


def test_rows_are_grouped_by_what_is_known_of_them():
    rows = synthetic_ham10000(14, seed=0, images_per_lesion=1)
    groups = groups_of(rows)
    assert list(groups) == ["sex", "age", "localization"]
    assert groups["sex"] == list(rows["sex"])
    assert groups["localization"] == list(rows["localization"])
    assert groups["age"] == [age_band(age) for age in rows["age"]]
    told = ["unknown", None, *["ear"] * 12]
    for fact in ("sex", "localization"):
        rows = rows.remove_columns(fact).add_column(fact, told)
    assert groups_of(rows)["localization"][:3] == [NOT_KNOWN, NOT_KNOWN, "ear"]
    assert groups_of(rows)["sex"][:3] == [NOT_KNOWN, NOT_KNOWN, "ear"]


def test_figures_are_those_of_the_group_alone(calibration):
    logits, labels, lesions = draw(600, seed=1, lesions=420)
    probabilities = calibration.probabilities(logits)
    names = np.random.default_rng(2).choice(["male", "female", NOT_KNOWN], 600, p=[0.5, 0.4, 0.1])
    found = evaluate_subgroups(
        probabilities,
        labels,
        Bootstrap(lesions, resamples=40, seed=3),
        groups={"sex": names.tolist()},
        calibration=calibration,
    )
    assert [(group.fact, group.name) for group in found] == [
        ("sex", "female"),
        ("sex", "male"),
        ("sex", NOT_KNOWN),
    ]
    assert sum(group.n_images for group in found) == 600
    threshold = calibration.operating_points["balanced"].threshold
    malignancy = probabilities[:, BAD].sum(axis=1)
    for group in found[:2]:
        rows = np.flatnonzero(names == group.name)
        owners = [lesions[row] for row in rows]
        ill = np.isin(labels[rows], BAD)
        assert group.n_images == len(rows)
        assert group.n_lesions == len(set(owners))
        assert group.class_counts == {
            c: int((labels[rows] == i).sum()) for i, c in enumerate(CODES)
        }
        assert group.n_malignant == ill.sum()
        assert group.diagnoses == CODES, "each has lesions enough"
        called = malignancy[rows] >= threshold
        expected = {
            "balanced_accuracy": sk.balanced_accuracy_score(
                labels[rows], probabilities[rows].argmax(axis=1)
            ),
            "malignancy_auc": sk.roc_auc_score(ill, malignancy[rows]),
            "sensitivity": called[ill].mean(),
            "specificity": (~called)[~ill].mean(),
        }
        assert set(group.metrics) == set(expected)
        for name, value in expected.items():
            figure = group.metrics[name]
            assert figure.value == pytest.approx(value), (group.name, name)
            assert figure.low <= figure.value <= figure.high
        counted = {name: figure.n for name, figure in group.metrics.items()}
        assert counted == {
            "balanced_accuracy": len(rows),
            "malignancy_auc": len(rows),
            "sensitivity": ill.sum(),
            "specificity": (~ill).sum(),
        }
        again = Bootstrap(
            [owner for owner, sick in zip(owners, ill, strict=True) if sick], resamples=40, seed=3
        ).interval(lambda drawn, hits=called[ill]: float(hits[drawn].mean()))
        assert group.metrics["sensitivity"] == again


def rows_of(counts):
    """Rows that are all answered rightly: by diagnosis, how many lesions of one image each."""
    labels = np.repeat([LABEL2ID[code] for code in counts], list(counts.values()))
    probabilities = np.full((len(labels), 7), 0.01)
    probabilities[np.arange(len(labels)), labels] = 0.94
    return probabilities, labels, [f"HAM_{i}" for i in range(len(labels))]


def measure(calibration, counts, *, lesions=None, groups=None):
    probabilities, labels, own = rows_of(counts)
    [group] = evaluate_subgroups(
        probabilities,
        labels,
        Bootstrap(own if lesions is None else lesions, resamples=5),
        groups=groups or {"sex": ["male"] * len(labels)},
        calibration=calibration,
    )
    return group


@pytest.mark.parametrize(
    ("counts", "diagnoses", "figures"),
    [
        ({"nv": MIN_LESIONS - 1}, (), set()),
        ({"nv": MIN_LESIONS}, ("nv",), {"specificity"}),
        ({"mel": MIN_LESIONS, "nv": 1}, ("mel",), {"sensitivity"}),
        ({"akiec": 4, "bcc": 3, "mel": 3}, (), {"sensitivity"}),
        (
            {"mel": MIN_LESIONS, "nv": MIN_LESIONS, "df": 1},
            ("mel", "nv"),
            {"balanced_accuracy", "sensitivity", "specificity", "malignancy_auc"},
        ),
    ],
)
def test_a_figure_needs_lesions_enough(calibration, counts, diagnoses, figures):
    group = measure(calibration, counts)
    assert group.diagnoses == diagnoses
    assert set(group.metrics) == figures
    assert all(figure.value == 1 for figure in group.metrics.values())


def test_photographs_of_one_lesion_count_once(calibration):
    group = measure(calibration, {"nv": 30}, lesions=[f"HAM_{i % 9}" for i in range(30)])
    assert (group.n_images, group.n_lesions, group.metrics) == (30, 9, {})
    group = measure(calibration, {"nv": 30}, lesions=[None] * 30)
    assert (group.n_lesions, set(group.metrics)) == (30, {"specificity"})


def test_balanced_accuracy_leaves_out_diagnoses_of_few_lesions(calibration):
    probabilities, labels, lesions = rows_of({"mel": 10, "nv": 10, "df": 3})
    probabilities[-3:] = probabilities[0]  # the dermatofibromas are called melanomas
    [group] = evaluate_subgroups(
        probabilities,
        labels,
        Bootstrap(lesions, resamples=5),
        groups={"age": ["30 to 44"] * 23},
        calibration=calibration,
    )
    assert group.metrics["balanced_accuracy"].value == 1
    assert group.metrics["balanced_accuracy"].n == 20
    assert group.metrics["specificity"].value == pytest.approx(10 / 13)


def test_groups_stand_in_reading_order_and_unknown_facts_have_none(calibration):
    probabilities, labels, lesions = rows_of({"nv": 6})
    ages = ["75 and over", "30 to 44", NOT_KNOWN, "under 30", "60 to 74", "45 to 59"]
    found = evaluate_subgroups(
        probabilities,
        labels,
        Bootstrap(lesions, resamples=5),
        groups={"age": ages, "sex": [NOT_KNOWN] * 6},
        calibration=calibration,
    )
    assert [group.name for group in found] == [
        "under 30",
        "30 to 44",
        "45 to 59",
        "60 to 74",
        "75 and over",
        NOT_KNOWN,
    ]


def test_rows_that_do_not_match_are_refused(calibration):
    with refuses("subgroups.lesion_ids", count=6, lengths=[5, 6]):
        measure(calibration, {"nv": 6}, groups={"sex": ["male"] * 5})
    with refuses("subgroups.lesion_ids", count=6, lengths=[2, 6]):
        measure(calibration, {"nv": 6}, lesions=["HAM_0", "HAM_1"])
