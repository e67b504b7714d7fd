"""What was measured of explanations: kept, read back, said plainly."""

import json

import pytest
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.evaluation.card import model_card
from dermsim.evaluation.explanations.explanation_report import (
    BASELINES,
    ExplanationReport,
    MapReport,
    map_title,
)
from dermsim.evaluation.explanations.explanation_tables import (
    HOW_ALIKE,
    REGIONS,
    SHORTCUTS,
    WHERE,
    WHETHER,
    explanation_digest,
    explanation_lines,
    verdict,
)
from dermsim.evaluation.report import Report
from dermsim.tasks.classify import Calibration, OperatingPoint

GAINS = {"energy_gain": 0.12, "road_gain": 0.01}
MEASURES = [*WHERE, *WHETHER, *HOW_ALIKE]


def figure(value=0.5, n=90) -> Interval:
    return Interval(value, value - 0.05, value + 0.05, n)


def of_maps(place="", *, without=(), **gains) -> MapReport:
    figures = {m: figure() for m in MEASURES if m not in without}
    figures |= {name: figure(value) for name, value in gains.items()}
    by_class = {m: {code: figure(0.4, 12) for code in CODES} for m in ("energy", "road")}
    return MapReport(place, 0.35, figures, by_class)


def make(**gains) -> ExplanationReport:
    return ExplanationReport(
        maps={
            "gradcam": of_maps("layer4", energy=0.3, road=0.1, energy_gain=-0.2, road_gain=-0.02),
            "hirescam smooth": of_maps("layer3", **GAINS | gains),
            **{name: of_maps(without=(*GAINS, "sanity")) for name in BASELINES},
        },
        shortcuts={name: figure(0.2) for name in SHORTCUTS},
        shortcuts_by_class={name: {code: figure(0.2, 12) for code in CODES} for name in SHORTCUTS},
        regions={name: figure(0.6) for name in REGIONS},
        regions_by_class={name: {code: figure(0.6, 12) for code in CODES} for name in REGIONS},
        spread=0.216,
        per_class={"validation": 24, "removal": 24, "slow": 4, "shortcuts": 60},
    )


@pytest.fixture
def report() -> Report:
    return Report(
        dataset="HAM10000",
        split="test",
        n_images=150,
        n_lesions=90,
        class_counts=dict.fromkeys(CODES, 10),
        decision_rule="argmax",
        coverage_target=0.9,
        metrics={"balanced_accuracy": figure()},
        resamples=1000,
        seed=0,
        fingerprint="a",
        versions={},
        explanations=make(),
    )


def test_it_comes_back_from_the_disk(report, tmp_path):
    report.save(tmp_path / "evaluation.json")
    loaded = Report.load(tmp_path / "evaluation.json")
    assert loaded.to_dict() == report.to_dict()
    assert loaded.markdown() == report.markdown()
    assert loaded.explanations == ExplanationReport.from_dict(report.explanations.to_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.pop("maps"), Phrase("storage.keys", name="explanations")),
        (
            lambda values: values.update(maps=[]),
            Phrase("storage.not_an_object", name="explanations maps", kind="list"),
        ),
        (
            lambda values: values["maps"]["gradcam"].pop("place"),
            Phrase("storage.keys", name="gradcam"),
        ),
        (
            lambda values: values["maps"]["gradcam"]["figures"].update(x=1),
            Phrase("storage.not_an_object", name="gradcam x"),
        ),
        (
            lambda values: values["shortcuts"].update(x={"value": 1}),
            Phrase("storage.keys", name="shortcuts x"),
        ),
        (
            lambda values: values.update(regions_by_class={"x": 3}),
            Phrase("storage.not_an_object", name="regions_by_class x"),
        ),
    ],
)
def test_a_damaged_file_is_refused(report, tmp_path, change, words):
    path = tmp_path / "evaluation.json"
    values = json.loads(json.dumps(report.to_dict()))
    change(values["explanations"])
    path.write_text(json.dumps(values))
    with refuses(words):
        Report.load(path)


def test_a_method_wins_only_with_both_intervals_above_zero():
    assert make().winners == ()
    assert make(road_gain=0.06).winners == ("hirescam smooth",)
    assert make(road_gain=0.06, energy_gain=0.04).winners == ()


def test_the_verdict_is_plain_either_way():
    assert verdict(make()).startswith(
        "No method beats a Gaussian in the middle of the picture both"
    )
    won = verdict(make(road_gain=0.06))
    assert "HiResCAM, smooth (energy +0.120, +0.070 to +0.170, ROAD +0.060, +0.010 to" in won
    assert "Grad-CAM" not in won


def test_the_digest_has_the_verdict_and_a_row_for_each_kind_of_maps(report):
    text = "\n".join(explanation_digest(report.explanations))
    assert verdict(report.explanations) in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(report.explanations.maps)
    digest = report.digest()
    assert digest.endswith(text + "\n") and "Robustness" not in digest
    assert all(line in report.markdown() for line in digest.partition("**Expl")[0].splitlines())


def test_photographs_that_settings_were_chosen_on_are_said_to_flatter(report):
    def text(split):
        return "\n".join(explanation_lines(report.explanations, split=split))

    assert "flatters" in text("validation")
    assert "flatters" not in text("test")


def test_the_tables_hold_every_figure(report):
    text = "\n".join(explanation_lines(report.explanations, split="test"))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for name in report.explanations.maps:
        assert sum(row.startswith(f"| {map_title(name)} |") for row in rows) == 3
    best = ("Energy inside the outline, HiResCAM, smooth", "ROAD, HiResCAM, smooth")
    for title in (*best, "ROAD, centred Gaussian"):
        assert sum(row.startswith(f"| {title} |") for row in rows) == 1
    for title in (*WHERE.values(), *WHETHER.values(), *HOW_ALIKE.values()):
        assert text.count(f" {title} |") == 1
    assert "| Grad-CAM | layer4 | 0.500 (0.450 to 0.550) | 0.300 (0.250 to 0.350) |" in text
    assert "0.500 (0.450 to 0.550), cut at 0.35" in text
    assert all(title in text for title in (*SHORTCUTS.values(), *REGIONS.values()))
    assert "(0.22 of the side)" in text and "up to 24 images" in text and "(4 for" in text
    widths = {line.count("|") for line in rows if line.startswith("| map |")}
    assert len(widths) >= 2
    for line, after in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if line.startswith("|") and after.startswith("|"):
            assert line.count("|") == after.count("|"), "a row has other columns than its header"


def test_the_card_says_it_too(report):
    points = {name: OperatingPoint(0.5, 0.9, 0.9) for name in ("balanced", "sensitivity_95")}
    calibration = Calibration(
        temperature=1.0,
        alpha=0.1,
        set_thresholds=dict.fromkeys(CODES, 0.9),
        operating_points=points,
    )
    card = model_card(report, training={}, calibration=calibration)
    assert verdict(report.explanations) in card
    assert "energy inside" in card
    assert "energy_gain" not in card, "the index of the model holds the main figures only"


def test_a_report_without_them_does_not_mention_them(report):
    from dataclasses import replace

    plain = replace(report, explanations=None)
    assert "explanations" not in plain.to_dict()
    assert "Explanations" not in plain.markdown()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("gradcam", "Grad-CAM"),
        ("layercam smooth", "LayerCAM, smooth"),
        ("random weights", "Grad-CAM, random weights"),
        ("gaussian", "centred Gaussian"),
    ],
)
def test_maps_have_names_for_people(name, title):
    assert map_title(name) == title
