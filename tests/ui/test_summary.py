import re
from dataclasses import replace

import pytest

from dermsim.core.labels import CODES, LABELS, diagnosis
from dermsim.data.synthetic import draw_lesion
from dermsim.ui import operating_slider, summary
from dermsim.ui.render import percent

NASTY = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def found(engine):
    analysis = engine.analyze(draw_lesion("mel", seed=3, size=(200, 150)), explain=None)
    return replace(analysis, prediction=replace(analysis.prediction, is_outlier=False))


def said(page: str) -> list[str]:
    """The cells in words, in their order."""
    cells = page.split('<div class="ds-cell')[1:]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", f"<{cell}")).strip() for cell in cells]


def test_five_answers_stand_above_the_tabs(engine, found):
    answer = found.prediction
    label, members, risk, votes, familiar = said(summary.summary(engine, found))
    assert diagnosis(answer.label_name).name in label
    assert percent(answer.probabilities[answer.label_name]).replace("\u00a0", " ") in label
    for code in answer.prediction_set:
        assert diagnosis(code).name in members
    assert percent(answer.malignancy).replace("\u00a0", " ") in risk
    assert "the 16 nearest" in votes
    assert f"{answer.ood_score:.3g}" in familiar and f"{engine.detector.threshold:.3g}" in familiar


@pytest.mark.parametrize("change", [{"is_outlier": True}, {"quality": ("too_dark",)}])
def test_where_the_verdict_is_withheld_no_label_stands_above_the_tabs(engine, found, change):
    withheld = replace(found, prediction=replace(found.prediction, **change))
    assert summary.summary(engine, withheld) == ""  # the notice says why
    page = summary.brief(engine, withheld.prediction, title="Your picture")
    cells = said(page)
    assert "No verdict" in cells[0]
    assert ("too dark" if "quality" in change else "unlike anything in training") in cells[0]
    assert len(cells) == (1 if "quality" in change else 2)
    assert not any(item.name in page for item in LABELS)
    for claim in ("is-benign", "is-malignant", "Agree", "calibrated", "✓"):
        assert claim not in page
    assert "Unfamiliar" not in " ".join(said(summary.summary(engine, found)))


def test_taught_classes_have_a_cell_of_their_own(engine, found):
    taught = replace(found, enrolled={"mel": 0.2, NASTY: 0.8})
    cells = said(summary.summary(engine, taught))
    assert len(cells) == 6
    assert cells[4].startswith("With your classes &lt;img") and "80 %" in cells[4].replace(
        "\u00a0", " "
    )


@pytest.mark.parametrize(("label", "malignancy"), [("nv", 0.99), ("mel", 0.0)])
def test_a_label_that_the_verdict_contradicts_is_told_so_in_one_sentence(
    engine, found, label, malignancy
):
    answer = replace(
        found.prediction, label=CODES.index(label), label_name=label, malignancy=malignancy
    )
    page = summary.summary(engine, replace(found, prediction=answer))
    assert page.count("the two answers disagree") == 1
    word = "malignant" if malignancy else "benign"
    assert f'ds-disagreement is-{word}"' in page and f"ds-if-{word}" in page.split("</dl>")[1]


def test_past_cases_agree_or_say_what_they_see(engine, found):
    answer = found.prediction.label_name
    other = next(code for code in found.vote if code != answer)
    agreeing = said(summary.summary(engine, replace(found, vote={answer: 0.7, other: 0.3})))[3]
    assert "Agree" in agreeing and "70 %" in agreeing
    page = summary.summary(engine, replace(found, vote={answer: 0.3, other: 0.7}))
    assert "Disagree" in said(page)[3] and diagnosis(other).name in said(page)[3]
    assert "is-disagreeing" in page


def test_the_chosen_line_is_drawn(engine, found):
    points = operating_slider.stops(engine.calibration)
    for stop in (0, len(points) - 1):
        page = summary.summary(engine, found, stop)
        word = "malignant" if found.prediction.malignancy >= points[stop].threshold else "benign"
        assert f"ds-cell-risk is-{word}" in page


def test_it_speaks_spanish(engine, found):
    page = summary.summary(engine, found, language="es")
    assert diagnosis(found.prediction.label_name).named("es") in page
    assert "Lo más probable" in page and "Most probable" not in page


def test_a_vote_for_a_class_of_an_added_case_is_escaped(engine, found):
    page = summary.summary(engine, replace(found, vote={NASTY: 1.0}))
    assert "<img" not in page


def test_a_brief_leaves_the_vote_out(engine, found):
    page = summary.brief(engine, found.prediction, title="Your picture")
    assert len(said(page)) == 4
    assert 'aria-label="Your picture"' in page
