"""The tab *Concepts* and the menu of concepts, apart from any browser."""

import math
import re
from dataclasses import replace
from html import escape

import numpy as np
import pytest
from PIL import Image

from dermsim.core.concept_schema import STATES
from dermsim.core.language import LANGUAGES, written
from dermsim.data.concepts import load_schema
from dermsim.data.synthetic import draw_lesion
from dermsim.engine.descriptions import Description, Sentence
from dermsim.engine.results import UNFAMILIAR
from dermsim.tasks.caption import Evidence, Fact
from dermsim.ui import callbacks, concept_callbacks, concept_view
from dermsim.ui.case_concepts import concept_section
from dermsim.ui.case_page import case_html
from dermsim.ui.case_report import examine
from dermsim.ui.i18n import say
from dermsim.ui.render import percent


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("concepts") / "mel.png"
    draw_lesion("mel", seed=3, size=(160, 120)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def found(concept_engine, picture) -> Description:
    described = concept_engine.describe(picture)
    assert described.notice is None and described.reading.melanoma is not None
    return described


@pytest.fixture
def unfamiliar(concept_engine, picture, monkeypatch) -> Description:
    """What the engine answers of a picture whose verdict is withheld."""
    (prediction,) = concept_engine.predict(picture)
    strange = replace(prediction, is_outlier=True)
    assert strange.withheld == (UNFAMILIAR,)
    told = Description(strange.notice, (), "en", prediction=strange)
    monkeypatch.setattr(type(concept_engine), "describe", lambda *_, **__: told)
    return told


def changes(html: str) -> dict[str, list[float]]:
    """By concept what each choice of its switch adds to the log-odds."""
    parts = re.split(r'<li data-concept="([^"]+)"', html)[1:]
    return {
        name: [float(value) for value in re.findall(r'data-change="([^"]+)"', part)]
        for name, part in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_concept_comes_with_what_it_rests_on(concept_engine, picture, found, language):
    html = concept_callbacks.describe(concept_engine, picture, language=language)
    part, schema = concept_engine.concept_part, load_schema()
    parts = re.split(r'<li data-concept="([^"]+)"', html)[1:]
    rows = dict(zip(parts[::2], parts[1::2], strict=True))
    assert rows.keys() == found.reading.findings.keys()
    for name, finding in found.reading.findings.items():
        title = schema[finding.concept].names[language]
        assert title[1:] in rows[name]
        assert escape(schema[finding.concept].definitions[language]) in rows[name]
        assert f"AUC {written(f'{finding.auc:.2f}', language)}" in rows[name]
        assert f"n {finding.n}" in rows[name]
        state = finding.state or "unsaid"
        assert f">{say(f'concepts.state_{state}', language)}<" in rows[name]
        assert percent(finding.probability) in rows[name]
        pointing = [say(f"concepts.{key}", language) for key in ("points", "points_not_here")]
        assert any(text in rows[name] for text in pointing) == finding.may_point
    unusable = {head.concept for head in part.heads.heads} - {
        head.concept for head in part.usable.heads
    }
    assert not unusable & rows.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_description_and_both_scores_are_told(concept_engine, picture, language):
    described = concept_engine.describe(picture, language=language)
    html = concept_callbacks.describe(concept_engine, picture, language=language)
    assert described.sentences
    for sentence in described.sentences:
        assert escape(sentence.text) in html
    for score in (described.reading.melanoma, described.melanoma_direct):
        assert f'<p class="ds-figure">{percent(score)}</p>' in html
    (prediction,) = concept_engine.predict(picture)
    assert described.melanoma_direct == pytest.approx(prediction.probabilities["mel"], abs=1e-6)


def test_switches_add_up_to_what_the_engine_says(concept_engine, picture, found):
    html = concept_callbacks.describe(concept_engine, picture)
    start = float(re.search(r'data-log-odds="([^"]+)"', html)[1])
    told, reading = changes(html), found.reading
    assert told.keys() == reading.findings.keys()
    for name, (as_found, *others) in told.items():
        assert as_found == 0
        for change, state in zip(others, STATES, strict=True):
            expected = reading.with_concept(name, absent=state == "absent")
            assert 1 / (1 + math.exp(-(start + change))) == pytest.approx(expected, abs=1e-4)
            assert f"{say(f'concepts.state_{state}')} <b>{percent(expected)}</b>" in html
    # several at once: the score is a sum, so they add up
    first, second = list(told)[:2]
    own = reading._inputs()
    for name in (first, second):
        finding = reading.findings[name]
        own = reading.bottleneck.set(own, f"{finding.concept}@{finding.source}", absent=True)
    both = start + told[first][2] + told[second][2]
    assert 1 / (1 + math.exp(-both)) == pytest.approx(float(reading.bottleneck.score(own)[0]), 1e-3)


def test_a_concept_that_the_score_does_not_read_has_no_switch(concept_engine, found):
    bottleneck = found.reading.bottleneck
    kept = {
        name: getattr(bottleneck, name)[1:]
        for name in ("inputs", "weight", "absent_at", "present_at")
    }
    reading = replace(found.reading, bottleneck=replace(bottleneck, **kept))
    html = concept_view.concepts(
        replace(found, reading=reading), concept_engine.concept_part, Image.new("RGB", (160, 120))
    )
    first, *others = changes(html).values()
    assert first == [] and all(others)
    assert html.count(say("concepts.not_read")) == 1


def test_without_a_melanoma_score_there_is_no_switch(concept_engine, found):
    reading = replace(found.reading, bottleneck=None, melanoma=None)
    html = concept_view.concepts(
        replace(found, reading=reading), concept_engine.concept_part, Image.new("RGB", (160, 120))
    )
    assert "data-change" not in html and "data-log-odds" not in html
    assert "data-concept" in html


def test_without_usable_heads_that_is_said(concept_engine, found):
    nothing = replace(found.reading, findings={}, log_odds=np.zeros(0), bottleneck=None)
    bare = replace(found, reading=nothing, sentences=(), outline=None)
    html = concept_view.concepts(bare, concept_engine.concept_part, Image.new("RGB", (8, 8)))
    assert say("concepts.none_usable") in html and say("concepts.no_words") in html
    assert "<img" not in html


def test_a_place_is_shown_where_it_is_said(concept_engine, found):
    part = concept_engine.concept_part
    head = next(head for head in part.usable.heads if part.may_point(head))
    outline, region = np.zeros((2, 120, 160), bool)
    outline[20:100, 30:130] = True
    region[40:60, 50:80] = True
    sentence = Sentence(
        "It is there.",
        Fact(head.concept, "present", 90, 80, "centre"),
        Evidence(head.source, head.auc.value, head.auc.n, 0.91, 1.5, 0.25),
        region,
    )
    drawn = replace(found, sentences=(sentence,), outline=outline, withheld=())
    html = concept_view.concepts(drawn, part, Image.new("RGB", (160, 120), "white"))
    assert html.count("<img") == 2
    dense = part.structures[head.source].figures[head.concept].dense
    assert f"with an AUC of {dense.value:.2f} on {dense.n}" in html
    assert "fall by 1.50, without others of its size by 0.25" in html
    assert "right 91\u00a0% of the time" in html
    kept = replace(drawn, sentences=(replace(sentence, region=None),), withheld=(head.concept,))
    html = concept_view.concepts(kept, part, Image.new("RGB", (160, 120), "white"))
    assert html.count("<img") == 1 and "fall by" not in html
    assert html.count(say("concepts.points_not_here")) == 1


def test_lines_and_regions_lie_where_they_belong():
    outline, region = np.zeros((2, 280, 280), bool)
    outline[70:210, 70:210] = True
    region[100:140, 100:140] = True
    drawn = np.asarray(concept_view.draw(Image.new("RGB", (280, 280), "#808080"), outline, region))
    assert drawn.shape == (560, 560, 3)
    assert drawn[20, 20].tolist() == [128, 128, 128]  # outside, nothing is changed
    assert drawn[300, 400].tolist() == [128, 128, 128]  # in the lesion, neither
    red, green, blue = drawn[240, 240].astype(int)
    assert red > green > blue
    assert drawn[140:144, 280].min() == 255 or drawn[139:143, 280].max() == 255
    without = np.asarray(concept_view.draw(Image.new("RGB", (280, 280), "#808080"), outline))
    assert without[240, 240].tolist() == [128, 128, 128]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_withheld_picture_gets_why_and_nothing_else(
    concept_engine, picture, unfamiliar, language
):
    html = concept_callbacks.describe(concept_engine, picture, language=language)
    assert say("concepts.withheld", language) in html
    reason = say("quality.unfamiliar", language)
    assert reason[1:] in html
    assert not re.search(r"data-concept|ds-figure|<img|AUC", html)


def test_without_a_picture_or_concepts_there_is_nothing(concept_engine, engine, picture):
    assert say("concepts.nothing") in concept_callbacks.describe(concept_engine, None)
    assert concept_callbacks.has_concepts(concept_engine)
    assert not concept_callbacks.has_concepts(engine)
    assert concept_callbacks.describe(engine, picture) == ""
    assert concept_callbacks.case_choices(engine) == []


def test_what_is_no_picture_is_refused(concept_engine, tmp_path):
    (tmp_path / "not.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"not\.png"):
        concept_callbacks.describe(concept_engine, str(tmp_path / "not.png"))


def test_the_endpoint_answers_as_the_engine(concept_engine, picture, engine):
    told = concept_callbacks.describe_data(concept_engine, picture, "es")
    assert told["text"] == concept_engine.describe(picture, language="es").text
    assert told["melanoma_direct"] is not None and "not a medical device" in told["disclaimer"]
    for asked, message in (
        ((concept_engine, None), "There is no picture yet"),
        ((concept_engine, picture, "xx"), "Unknown language"),
        ((engine, picture), "has no concept heads"),
    ):
        with pytest.raises(ValueError, match=message):
            concept_callbacks.describe_data(*asked)


# -- search by concept -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_menu_offers_what_cases_show(concept_engine, language):
    part = concept_engine.concept_part
    choices = concept_callbacks.case_choices(concept_engine, language=language)
    assert choices
    for text, value in choices:
        name, _, state = value.partition("=")
        cases = part.cases.matching(part.head_of(name), state)
        assert cases and text.endswith(f"({len(cases)})")
        assert load_schema()[name].names[language] in text
    offered = {value for _, value in choices}
    for head in part.usable.heads:
        for state, limit in zip(STATES, (head.present, head.absent), strict=True):
            said = limit is not None and bool(part.cases.matching(head, state))
            assert (f"{part.name_of(head)}={state}" in offered) == said


def test_cases_that_nobody_looked_through_are_not_offered(concept_engine, monkeypatch):
    part = replace(concept_engine.concept_part, cases=None)
    monkeypatch.setattr(concept_engine, "concept_part", part)
    assert concept_callbacks.case_choices(concept_engine) == []


def test_similar_cases_keep_to_the_concepts_chosen(concept_engine, picture):
    part = concept_engine.concept_part
    _, value = concept_callbacks.case_choices(concept_engine)[0]
    name, _, state = value.partition("=")
    allowed = set(part.cases.matching(part.head_of(name), state))
    every = [[], [], [], [], 0, 100]
    cases = callbacks.similar_data(concept_engine, picture, 5, False, *every, concepts=[value])
    assert cases and {case["image_id"] for case in cases} <= allowed
    html = callbacks.similar(concept_engine, picture, 3, False, *every, concepts=[value])
    assert str(len(allowed)) in html and say("similar.vote_these", count=16)[:20] in html
    with pytest.raises(ValueError, match="asked for with its state"):
        callbacks.similar_data(concept_engine, picture, 5, concepts=["streaks"])


# -- the case report -------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report_says_what_the_tab_says(concept_engine, picture, language):
    report = examine(concept_engine, picture)
    described = concept_engine.describe(picture, language=language)
    html = case_html(report, language=language)
    assert f"<h2>{say('concepts.report', language)}</h2>" in html
    assert f"<p>{escape(described.text)}</p>" in html
    section = concept_section(report.description, language=language)
    assert section in html and len(section) < 3000
    for score in (described.reading.melanoma, described.melanoma_direct):
        assert percent(score) in section
    for finding in described.reading.findings.values():
        title = load_schema()[finding.concept].names[language]
        mark = "*" if finding.may_point else ""
        assert f"{title}{mark} {written(f'{finding.auc:.2f}', language)}" in section


def test_a_report_says_nothing_of_a_withheld_picture(unfamiliar):
    assert concept_section(unfamiliar) == ""
    assert concept_section(None) == ""


def test_the_report_of_a_checkpoint_without_concepts_has_no_section(engine, picture):
    report = examine(engine, picture)
    assert report.description is None
    assert say("concepts.report") not in case_html(report)


def test_without_figures_the_report_has_no_melanoma_line(found):
    bottleneck = replace(found.reading.bottleneck, figures={})
    bare = replace(found, reading=replace(found.reading, bottleneck=bottleneck))
    assert "Melanoma from concepts" in concept_section(found)
    assert "Melanoma from concepts" not in concept_section(bare)
