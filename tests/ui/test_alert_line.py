import html
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.engine.results import Prediction
from dermsim.tasks.classify import Calibration, ThresholdFigures
from dermsim.ui import callbacks, operating_slider, render
from dermsim.ui.i18n import number
from dermsim.ui.render import percent


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, size=1500)
    return Calibration.fit(rng.normal(size=(1500, 7)) + 2 * np.eye(7)[labels], labels)


@pytest.fixture(scope="module")
def older(calibration):
    return replace(calibration, malignancy_curve=None)


def prediction(malignancy: float) -> Prediction:
    probabilities = dict.fromkeys(CODES, 0.0) | {"mel": malignancy, "nv": 1 - malignancy}
    return Prediction(4, "mel", probabilities, ("mel",), malignancy, True, 1.0, False)


def checkpoint(calibration, reached=()):
    """What the panel asks a checkpoint for."""
    return SimpleNamespace(
        calibration=calibration,
        reached=tuple(reached),
        reached_at=lambda threshold: tuple(one.at(threshold) for one in reached),
    )


def sent(panel: str) -> dict:
    """What the browser reads."""
    return json.loads(html.unescape(re.search(r'data-points="([^"]*)"', panel).group(1)))


def test_every_point_of_the_curve_is_a_stop(calibration):
    points = operating_slider.stops(calibration)
    assert points == calibration.malignancy_curve.points
    assert [operating_slider.point_at(calibration, stop) for stop in range(len(points))] == list(
        points
    )
    assert (
        operating_slider.point_at(calibration, operating_slider.USUAL)
        == calibration.operating_point()
    )
    for name, stop in operating_slider.presets(calibration).items():
        assert points[stop] == calibration.operating_points[name]


def test_an_older_checkpoint_offers_the_points_it_has_and_says_so(older):
    points = operating_slider.stops(older)
    assert points == tuple(
        sorted(older.operating_points.values(), key=lambda point: -point.threshold)
    )
    assert set(operating_slider.presets(older)) == {"balanced", "sensitivity_95"}
    page = operating_slider.panel(checkpoint(older))
    assert "keeps these two points only" in page
    texts = [row[1] for row in sent(page)["stops"]]
    assert {text["sensitivity_under"] + text["specificity_under"] for text in texts} == {""}
    assert len(sent(page)["stops"]) == 2


@pytest.mark.parametrize("stop", [-2, 10_000, 1.5, True, None, "3", float("nan")])
def test_a_stop_that_is_none_is_refused(calibration, stop):
    with refuses("operating_slider.no_stop"):
        operating_slider.point_at(calibration, stop)


def test_the_panel_shows_a_point_with_its_counts_and_sends_the_others(calibration):
    curve, stop = calibration.malignancy_curve, 100
    page = operating_slider.panel(checkpoint(calibration), stop).replace("\u00a0", " ")
    shown = re.sub(r"<[^>]*>", " ", page)
    point = curve.points[stop]
    assert percent(point.sensitivity).replace("\u00a0", " ") in shown
    assert f"{curve.caught[stop]} of {curve.malignant} malignant" in shown
    assert f"{curve.passed[stop]} of {curve.benign} benign" in shown
    assert "which flatters" in shown
    assert "keeps these two points only" not in page
    facts = sent(page)
    assert [row[0] for row in facts["stops"]] == list(curve.thresholds)
    told = [row[1]["sensitivity_under"] for row in facts["stops"]]
    assert told == [f"{n:,} of {curve.malignant:,} malignant" for n in curve.caught]
    assert facts["presets"] == operating_slider.presets(calibration)
    assert "sensitivity" in facts["stops"][0][2]


def test_shares_that_an_older_fit_rounded_otherwise_are_shown_all_the_same(calibration):
    points = {
        name: replace(point, sensitivity=float(np.nextafter(point.sensitivity, 0)))
        for name, point in calibration.operating_points.items()
    }
    kept = replace(calibration, operating_points=points)
    shown, other = (operating_slider.panel(checkpoint(one)) for one in (kept, calibration))
    assert sent(shown) == sent(other)


def test_the_panel_shows_what_the_point_reached_on_held_out_lesions_and_elsewhere(calibration):
    thresholds = calibration.malignancy_curve.thresholds
    rng = np.random.default_rng(0)
    malignant = np.arange(300) < 90
    scores = np.clip(rng.normal(0.3 + 0.3 * malignant, 0.2), 0, 1)
    measured = [
        ThresholdFigures.measure(
            scores * shift,
            malignant,
            Bootstrap([None] * 300, 100),
            thresholds=thresholds,
            origin=origin,
            dataset=name,
        )
        for origin, name, shift in (
            ("held_out", "HAM10000", 1.0),
            ("elsewhere", "ISIC 2017 <b>", 0.8),
        )
    ]
    engine = checkpoint(calibration, measured)
    stop = 100
    page = operating_slider.panel(engine, stop)
    shown = re.sub(r"<[^>]*>", " ", page)
    for figures in measured:
        reached = figures.at(thresholds[stop])
        for share in (reached.sensitivity, reached.specificity):
            assert percent(share.value) in shown
            low, high = round(100 * share.low), round(100 * share.high)
            assert f"95 % interval {low} to {high}\u00a0%, n {share.n}" in shown
    assert "Held-out lesions of HAM10000" in shown
    assert "Other clinics: ISIC 2017 &lt;b&gt;" in shown
    assert "which flatters" not in shown
    texts = sent(page)["stops"][stop][1]
    assert {"sensitivity", "sensitivity_under", "elsewhere_specificity_under"} <= set(texts)
    reached = measured[0].at(engine.calibration.threshold("sensitivity_95"))
    share = percent(reached.sensitivity.value)
    names = operating_slider.preset_names(engine)
    assert names["sensitivity_95"] == f"More sensitive: finds {share}"
    plain = operating_slider.preset_names(checkpoint(calibration))
    assert plain == {"balanced": "Balanced", "sensitivity_95": "More sensitive"}


def test_the_panel_speaks_spanish(calibration):
    page = operating_slider.panel(checkpoint(calibration), language="es")
    assert "Sensibilidad" in page and "Sensitivity" not in page
    assert f"de {number(calibration.malignancy_curve.benign, language='es')} benignas" in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_it_means_is_said_as_the_line_says(calibration, language):
    points = operating_slider.stops(calibration)
    threshold = points[50].threshold
    for malignancy, word in ((threshold, "malignant"), (np.nextafter(threshold, 0), "benign")):
        said = prediction(float(malignancy))
        page = operating_slider.meaning(said, calibration, 50, language=language)
        assert f'ds-meaning is-{word}" data-malignancy="{said.malignancy!r}"' in page
        assert render.name_of("mel", language) in page and "ds-harmless" not in page
    benign = replace(said, label=CODES.index("nv"), label_name="nv")
    assert "ds-harmless" in operating_slider.meaning(benign, calibration, 50, language=language)


def test_what_a_stop_is_kept_by_finds_it_again(engine):
    usual, first = operating_slider.presets(engine.calibration)["balanced"], 3
    kept = sent(operating_slider.panel(engine))["stops"][first][3]
    assert callbacks.points(engine, kept)[1] == first
    for strange in ("", "none", "0.123456789", kept + "1"):
        assert callbacks.points(engine, strange)[1] == usual
