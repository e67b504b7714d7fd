import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses
from sklearn import metrics as sk

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.labels import CODES, MALIGNANT
from dermsim.core.refused import Phrase
from dermsim.evaluation.evaluate import (
    Report,
    evaluate,
    evaluate_classification,
    evaluate_retrieval,
    join_reports,
)
from dermsim.evaluation.report import Shift
from dermsim.tasks.classify import Calibration
from dermsim.tasks.retrieve import Gallery

CENTERS = np.random.default_rng(9).normal(size=(7, 12))


def draw(n, *, seed, classes=range(7)):
    """Logits, embeddings, labels and lesions; a lesion's images share their diagnosis."""
    rng = np.random.default_rng(seed)
    of_lesion = rng.choice(list(classes), size=n)
    lesions = rng.integers(0, n // 2, size=n)
    labels = of_lesion[lesions]
    logits = rng.normal(size=(n, 7)) * 1.5 + 2 * np.eye(7)[labels]
    embeddings = CENTERS[labels] + 1.5 * rng.normal(size=(n, 12))
    return logits, embeddings, labels, [f"HAM_{seed}_{i}" for i in lesions]


@pytest.fixture(scope="module")
def calibration():
    logits, _, labels, _ = draw(500, seed=0)
    return Calibration.fit(logits, labels)


@pytest.fixture(scope="module")
def gallery():
    _, embeddings, labels, lesions = draw(200, seed=1)
    records = [
        {"image_id": f"ISIC_{i}", "lesion_id": lesion, "dx": CODES[label]}
        for i, (label, lesion) in enumerate(zip(labels, lesions, strict=True))
    ]
    return Gallery.build(embeddings, records, fingerprint="encoder-a")


def make_report(calibration, gallery, *, seed=2, classes=range(7), lesions=True):
    logits, embeddings, labels, lesion_ids = draw(150, seed=seed, classes=classes)
    return evaluate(
        calibration.probabilities(logits),
        labels,
        embeddings=embeddings,
        bootstrap=Bootstrap(lesion_ids if lesions else [None] * 150, resamples=50),
        calibration=calibration,
        gallery=gallery,
        dataset="HAM10000",
        split="test",
    )


@pytest.fixture(scope="module")
def report(calibration, gallery):
    return make_report(calibration, gallery)


@pytest.mark.parametrize("classes", [range(7), [2, 4, 5]])
def test_classification_agrees_with_sklearn(calibration, classes):
    logits, _, labels, lesions = draw(300, seed=3, classes=classes)
    probabilities = calibration.probabilities(logits)
    found = evaluate_classification(
        probabilities, labels, Bootstrap(lesions, resamples=20), calibration=calibration
    )
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn mentions the classes that are absent
        expected = {"balanced_accuracy": sk.balanced_accuracy_score(labels, predicted)}
    bad = [CODES.index(code) for code in MALIGNANT]
    malignant = np.isin(labels, bad)
    score = probabilities[:, bad].sum(axis=1)
    expected |= {
        "accuracy": sk.accuracy_score(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, labels=present, average="macro"),
        "mean_auc": np.mean([sk.roc_auc_score(labels == c, probabilities[:, c]) for c in present]),
        "melanoma_auc": sk.roc_auc_score(labels == 4, probabilities[:, 4]),
        "malignancy_auc": sk.roc_auc_score(malignant, score),
    }
    sets = calibration.prediction_sets(probabilities)
    expected["mean_set_size"] = np.mean([len(s) for s in sets])
    for c in present:
        rows = np.flatnonzero(labels == c)
        expected[f"recall_{CODES[c]}"] = (predicted[rows] == c).mean()
        expected[f"coverage_{CODES[c]}"] = np.mean([CODES[c] in sets[i] for i in rows])
        assert found[f"recall_{CODES[c]}"].n == len(rows)
    for name, point in calibration.operating_points.items():
        called = score >= point.threshold
        expected[f"sensitivity_at_{name}"] = called[malignant].mean()
        expected[f"specificity_at_{name}"] = (~called[~malignant]).mean()
    assert set(found) == set(expected) | {"expected_calibration_error"}
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value), name
        assert found[name].low <= found[name].value <= found[name].high, name


def test_retrieval_against_a_slow_loop():
    _, queries, labels, lesions = draw(30, seed=4)
    _, gallery, stored, owners = draw(40, seed=5)
    owners[:4] = lesions[:4]  # the query's own lesions, which must not count
    found = evaluate_retrieval(
        queries,
        labels,
        Bootstrap(lesions, resamples=20),
        gallery_embeddings=gallery,
        gallery_labels=stored,
        gallery_lesions=owners,
    )

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    depths = [f"precision_at_{k}" for k in (1, 5, 10)]
    per_query = {name: [] for name in [*depths, "mean_average_precision", "precision_chance"]}
    for query, label, lesion in zip(queries, labels, lesions, strict=True):
        others = [j for j in range(40) if owners[j] != lesion]
        others.sort(key=lambda j, q=query: -cosine(q, gallery[j]))
        hits = [stored[j] == label for j in others]
        for k in (1, 5, 10):
            per_query[f"precision_at_{k}"].append(np.mean(hits[:k]))
        places = [i for i, hit in enumerate(hits) if hit]
        precisions = [np.mean(hits[: i + 1]) for i in places]
        per_query["mean_average_precision"].append(np.mean(precisions) if places else 0.0)
        per_query["precision_chance"].append(np.mean(hits))
    for name, values in per_query.items():
        by_class = [np.mean(np.array(values)[labels == c]) for c in np.unique(labels)]
        assert found[name].value == pytest.approx(np.mean(by_class)), name


def test_unknown_lesions_are_no_one_s_own():
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(12, 4))
    arguments = {
        "gallery_embeddings": gallery,
        "gallery_labels": np.arange(12) % 7,
    }
    found = evaluate_retrieval(
        gallery[:7],
        np.arange(7),
        Bootstrap([None] * 7, resamples=5),
        gallery_lesions=[None] * 12,
        **arguments,
    )
    assert found["precision_at_1"].value == 1.0  # each found itself
    lesions = [f"HAM_{i}" for i in range(12)]
    found = evaluate_retrieval(
        gallery[:7],
        np.arange(7),
        Bootstrap(lesions[:7], resamples=5),
        gallery_lesions=lesions,
        **arguments,
    )
    assert found["precision_at_1"].value < 1.0


def test_the_report_says_what_was_measured(report):
    assert (report.dataset, report.split, report.decision_rule) == ("HAM10000", "test", "argmax")
    assert report.n_images == sum(report.class_counts.values()) == 150
    assert report.n_lesions == len(set(draw(150, seed=2)[3]))
    assert report.fingerprint == "encoder-a"
    assert report.coverage_target == 0.9
    assert report.missing_classes == ()
    assert report.versions["numpy"] == np.__version__
    assert {"precision_at_1", "precision_at_5", "precision_at_10"} <= set(report.metrics)


def test_a_rerun_agrees_to_the_last_digit(calibration, gallery, report):
    again = make_report(calibration, gallery)
    assert json.dumps(again.to_dict()) == json.dumps(report.to_dict())
    assert make_report(calibration, gallery, seed=3).to_dict() != report.to_dict()


def test_a_test_set_with_three_classes_and_no_lesions(calibration, gallery):
    report = make_report(calibration, gallery, classes=[2, 4, 5], lesions=False)
    assert report.missing_classes == ("akiec", "bcc", "df", "vasc")
    assert report.n_lesions == 150
    assert "recall_df" not in report.metrics
    assert "no image of akiec, bcc, df, vasc" in report.markdown()


def test_a_test_set_with_one_class(calibration, gallery):
    report = make_report(calibration, gallery, classes=[5])
    left_out = {"mean_auc", "melanoma_auc", "malignancy_auc", "sensitivity_at_balanced"}
    assert not left_out & set(report.metrics)
    assert "specificity_at_balanced" in report.metrics
    report = make_report(calibration, gallery, classes=[4])
    assert "specificity_at_balanced" not in report.metrics


def test_saves_and_loads_what_it_was(report, tmp_path):
    report.save(tmp_path / "evaluation.json")
    loaded = Report.load(tmp_path / "evaluation.json")
    assert loaded.to_dict() == report.to_dict()
    assert loaded.markdown() == report.markdown()
    figures = json.loads((tmp_path / "evaluation.json").read_text())["metrics"]
    for figure in figures.values():
        assert set(figure) == {"value", "low", "high", "n"}
        assert all(round(value, 4) == value for value in figure.values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, Phrase("storage.keys", name="evaluation.json")),
        (
            {"metrics": 3},
            Phrase(
                "evaluation_report.not_an_object",
                name="evaluation.json is not a report: its metrics",
            ),
        ),
        ({"metrics": {"accuracy": {"value": 1}}}, Phrase("storage.keys", name="metric accuracy")),
    ],
)
def test_load_is_strict(report, tmp_path, change, words):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({**report.to_dict(), **change}))
    with refuses(words):
        Report.load(path)
    with refuses("storage.no_file", FileNotFoundError):
        Report.load(tmp_path / "other.json")


def test_the_table_has_a_row_for_every_figure(report):
    text = report.markdown()
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 1 + len(
        report.metrics
    )
    figure = report.metrics["balanced_accuracy"].to_dict()
    row = f"| {figure['value']:.3f} | {figure['low']:.3f} to {figure['high']:.3f} | 150 |"
    assert f"| Balanced accuracy (argmax) {row}" in text
    assert "Coverage of prediction sets, mel (aim 90%)" in text
    assert "Retrieval: precision by chance" in text


def test_evaluate_refuses(calibration, gallery):
    logits, embeddings, labels, lesions = draw(20, seed=6)
    probabilities = calibration.probabilities(logits)
    with refuses("evaluate.lesion_ids", rows=20, count=3):
        evaluate_classification(
            probabilities, labels, Bootstrap(lesions[:3]), calibration=calibration
        )
    with refuses("evaluate.lesion_ids", rows=0, count=0):
        evaluate_classification(np.zeros((0, 7)), [], Bootstrap([]), calibration=calibration)
    with refuses("vectors.label_outside", label=11):
        evaluate_classification(
            probabilities, labels + 7, Bootstrap(lesions), calibration=calibration
        )
    own = {"gallery_labels": labels, "gallery_lesions": lesions}
    with refuses("retrieval.small_gallery", depths=10):
        evaluate_retrieval(
            embeddings,
            labels,
            Bootstrap(["HAM"] * 20),
            **{**own, "gallery_lesions": ["HAM"] * 20},
            gallery_embeddings=embeddings,
        )
    with refuses("vectors.dimensions", dimensions=12, expected=5):
        evaluate_retrieval(
            embeddings, labels, Bootstrap(lesions), **own, gallery_embeddings=np.ones((20, 5))
        )
    strange = Gallery.build(
        np.eye(12), [{"image_id": str(i), "dx": "scar"} for i in range(12)], fingerprint="f"
    )
    with refuses("evaluate.gallery_classes", strange=["scar"]):
        make_report(calibration, strange)


class TestJoining:
    """Two reports of the same checkpoint and photographs, measured in two goes."""

    @pytest.fixture
    def corrupted(self, report):
        drop = {"corruption_drop": Interval(0.1, 0.05, 0.15, 150)}
        counts = dict.fromkeys(CODES, 3)
        return replace(report, metrics=report.metrics | drop, shift=Shift("ISIC 2017", counts))

    def test_what_either_has_is_kept(self, report, corrupted, tmp_path):
        corrupted.save(tmp_path / "figures.json")  # as files keep them: rounded
        for earlier, later in (
            (Report.load(tmp_path / "figures.json"), report),
            (report, corrupted),
        ):
            joined = join_reports(earlier, later)
            assert joined.to_dict() == corrupted.to_dict()
            assert joined.markdown() == corrupted.markdown()

    @pytest.mark.parametrize(
        "change",
        [
            {"fingerprint": "encoder-b"},
            {"split": "validation"},
            {"dataset": "elsewhere"},
            {"seed": 1},
            {"resamples": 51},
            {"versions": {"python": "4"}},
        ],
    )
    def test_reports_of_something_else_are_refused(self, report, corrupted, change):
        with pytest.raises(
            ValueError, match=f"not of the same: they differ in their {next(iter(change))}"
        ):
            join_reports(replace(corrupted, **change), report)

    def test_another_shift_is_refused(self, corrupted):
        other = Shift("elsewhere", dict.fromkeys(CODES, 3))
        with refuses("evaluate.not_of_the_same", name="shift"):
            join_reports(replace(corrupted, shift=other), corrupted)

    def test_figures_that_differ_are_refused(self, report, corrupted):
        other = {"accuracy": Interval(0.123, 0.1, 0.2, 150)}
        with refuses("evaluate.disagree", name="accuracy"):
            join_reports(replace(corrupted, metrics=corrupted.metrics | other), report)
