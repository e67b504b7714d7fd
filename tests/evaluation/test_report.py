"""How a report is kept and printed, with and without figures of robustness."""

import json

import pytest
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.evaluation.report import Report, Shift, Subgroup

COUNTS = {**dict.fromkeys(CODES, 0), "bkl": 254, "mel": 374, "nv": 1372}


def figure(value: float, n: int = 150) -> Interval:
    return Interval(value, value - 0.1, value + 0.1, n)


def make_report(metrics, **fields) -> Report:
    return Report(
        dataset="HAM10000",
        split="test",
        n_images=150,
        n_lesions=90,
        class_counts=dict.fromkeys(CODES, 10),
        decision_rule="argmax",
        coverage_target=0.9,
        metrics=metrics,
        resamples=1000,
        seed=0,
        fingerprint="a",
        versions={},
        **fields,
    )


PLAIN = {"balanced_accuracy": figure(0.8), "recall_mel": figure(0.7)}
ROBUST = {
    **PLAIN,
    "corrupted_balanced_accuracy": figure(0.65),
    "corruption_drop": figure(0.15),
    **{f"corrupted_blur_{s}": figure(0.8 - s / 10) for s in (1, 2, 3)},
    **{f"corrupted_white_balance_{s}": figure(0.75 - s / 10) for s in (1, 2, 3)},
    "shift_melanoma_auc": figure(0.81, 2000),
    "shift_keratosis_auc": figure(0.82, 2000),
    "shift_balanced_accuracy": figure(0.5, 2000),
}


@pytest.fixture
def robust() -> Report:
    return make_report(ROBUST, shift=Shift("ISIC 2017", COUNTS))


def test_a_report_without_robustness_is_kept_as_it_always_was(tmp_path):
    report = make_report(PLAIN)
    report.save(tmp_path / "evaluation.json")
    kept = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(kept) == [
        "dataset",
        "split",
        "n_images",
        "n_lesions",
        "class_counts",
        "decision_rule",
        "coverage_target",
        "metrics",
        "resamples",
        "seed",
        "fingerprint",
        "versions",
    ]
    loaded = Report.load(tmp_path / "evaluation.json")
    assert loaded == make_report({name: Interval(**m) for name, m in kept["metrics"].items()})
    assert loaded.shift is None
    assert "Robustness" not in report.markdown()
    assert "origin" not in report.markdown()


def test_a_robust_report_comes_back_whole(robust, tmp_path):
    robust.save(tmp_path / "evaluation.json")
    loaded = Report.load(tmp_path / "evaluation.json")
    assert loaded.to_dict() == robust.to_dict()
    assert loaded.markdown() == robust.markdown()
    assert loaded.shift == robust.shift


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (None, Phrase("storage.not_an_object", name="shift")),
        ({"dataset": "x"}, Phrase("storage.keys", name="shift")),
        (
            {"dataset": "x", "class_counts": {"mel": 3}},
            Phrase("storage.keys", name="shift class_counts"),
        ),
        (
            {"dataset": "x", "class_counts": 3},
            Phrase("storage.not_an_object", name="shift class_counts"),
        ),
    ],
)
def test_a_damaged_shift_is_refused(robust, tmp_path, shift, words):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({**robust.to_dict(), "shift": shift}))
    with refuses(words):
        Report.load(path)


def test_the_main_table_leaves_the_cells_to_their_own(robust):
    main, robustness = robust.markdown().split("**Robustness.**")
    rows = [line for line in main.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(ROBUST) - 6
    assert "| Balanced accuracy (argmax) | 0.800 | 0.700 to 0.900 | 150 |" in rows
    assert (
        "| Balanced accuracy (argmax), mean over all corruptions and strengths "
        "| 0.650 | 0.550 to 0.750 | 150 |"
    ) in rows
    assert any(row.startswith("| Balanced accuracy (argmax) lost to corruptions") for row in rows)
    assert "| ISIC 2017: AUC, melanoma against the rest | 0.810 | 0.710 to 0.910 | 2,000 |" in rows
    assert any(row.startswith("| ISIC 2017: AUC, benign keratosis (bkl) against") for row in rows)
    assert any(row.startswith("| ISIC 2017: Balanced accuracy (argmax) |") for row in rows)
    assert "ISIC 2017 (bkl 254, mel 374, nv 1372) is of another origin" in main
    lines = [line for line in robustness.splitlines() if line.startswith("|")]
    assert lines == [
        "| corruption | strength 1 | strength 2 | strength 3 |",
        "|---|---|---|---|",
        "| blur | 0.700 (0.600 to 0.800) | 0.600 (0.500 to 0.700) | 0.500 (0.400 to 0.600) |",
        "| white balance | 0.650 (0.550 to 0.750) | 0.550 (0.450 to 0.650) "
        "| 0.450 (0.350 to 0.550) |",
    ]


def test_every_figure_has_a_title(robust):
    titles = {name: robust.title(name) for name in ROBUST}
    assert len(set(titles.values())) == len(ROBUST)
    assert titles["corrupted_white_balance_2"] == (
        "Balanced accuracy (argmax), white balance of strength 2"
    )
    assert make_report(ROBUST).title("shift_melanoma_auc") == (
        "data of another origin: AUC, melanoma against the rest"
    )
    with refuses("evaluation_report.no_figure", name="charm"):
        robust.title("charm")


# --- by sex, age and site -----------------------------------------------------------------------


def group(fact="sex", name="female", **metrics) -> Subgroup:
    return Subgroup(
        fact=fact,
        name=name,
        n_images=60,
        n_lesions=41,
        class_counts={**dict.fromkeys(CODES, 0), "mel": 20, "bcc": 5, "nv": 35},
        diagnoses=("mel", "nv"),
        metrics=metrics,
    )


GROUPS = (
    group(malignancy_auc=figure(0.8, 60), sensitivity=figure(0.6, 25)),
    group(name="male"),
    group("age", "45 to 59", balanced_accuracy=figure(0.55, 55)),
)


def test_subgroups_come_back_whole(tmp_path):
    report = make_report(PLAIN, subgroups=GROUPS)
    report.save(tmp_path / "evaluation.json")
    loaded = Report.load(tmp_path / "evaluation.json")
    assert loaded.to_dict() == report.to_dict()
    assert loaded.markdown() == report.markdown()
    assert [(g.fact, g.name, g.diagnoses) for g in loaded.subgroups] == [
        ("sex", "female", ("mel", "nv")),
        ("sex", "male", ("mel", "nv")),
        ("age", "45 to 59", ("mel", "nv")),
    ]


def test_subgroups_are_printed_a_table_for_each_fact():
    main, tables = make_report(PLAIN, subgroups=GROUPS).markdown().split("**For whom.**")
    assert main == make_report(PLAIN).markdown() + "\n"
    figures = "AUC, malignant against benign | sensitivity | specificity | balanced accuracy |"
    assert [line for line in tables.splitlines() if line.startswith("|")] == [
        f"| sex | images | lesions | malignant | {figures}",
        "|---|---|---|---|---|---|---|---|",
        "| female | 60 | 41 | 25 | 0.800 (0.700 to 0.900) | 0.600 (0.500 to 0.700) | – | – |",
        "| male | 60 | 41 | 25 | – | – | – | – |",
        f"| age in years | images | lesions | malignant | {figures}",
        "|---|---|---|---|---|---|---|---|",
        "| 45 to 59 | 60 | 41 | 25 | – | – | – | 0.550 (0.450 to 0.650, 2 dx) |",
    ]


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({}, "evaluation_report.subgroups"),
        ([3], Phrase("storage.not_an_object", name="a subgroup", kind="int")),
        ([{"fact": "sex"}], Phrase("storage.keys", name="a subgroup")),
        (
            [{**GROUPS[0].to_dict(), "fact": "dx_type"}],
            Phrase("evaluation_report.subgroup_fact", fact="dx_type"),
        ),
        (
            [{**GROUPS[0].to_dict(), "class_counts": {"mel": 3}}],
            Phrase("storage.keys", name="subgroup class_counts"),
        ),
        ([{**GROUPS[0].to_dict(), "diagnoses": "mel"}], "evaluation_report.subgroup_diagnoses"),
        (
            [{**GROUPS[0].to_dict(), "metrics": None}],
            Phrase("evaluation_report.not_an_object", name="a subgroup's metrics"),
        ),
        (
            [{**GROUPS[0].to_dict(), "metrics": {"x": {"n": 1}}}],
            Phrase("storage.keys", name="metric x"),
        ),
    ],
)
def test_damaged_subgroups_are_refused(tmp_path, groups, words):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({**make_report(PLAIN).to_dict(), "subgroups": groups}))
    with refuses(words):
        Report.load(path)
