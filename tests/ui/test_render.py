import re
from dataclasses import replace

import pytest
from PIL import Image

from dermsim.core.labels import CODES, DISCLAIMER, LABELS
from dermsim.core.language import LANGUAGES
from dermsim.engine.results import NOTICES, Prediction, Recognised
from dermsim.tasks.classify import Calibration, OperatingPoint
from dermsim.tasks.detect import REASONS
from dermsim.tasks.retrieve import Neighbor
from dermsim.ui import cards, notices, operating_slider, render
from dermsim.ui.i18n import say

NASTY = "<img src=x onerror=\"alert('1')\">"

CALIBRATION = Calibration(
    temperature=1.0,
    alpha=0.1,
    set_thresholds=dict.fromkeys(CODES, 0.9),
    operating_points={
        "balanced": OperatingPoint(0.21, 0.86, 0.84),
        "sensitivity_95": OperatingPoint(0.06, 0.95, 0.61),
    },
)


def prediction(**changes) -> Prediction:
    probabilities = dict(zip(CODES, (0.02, 0.03, 0.05, 0.004, 0.62, 0.276, 0.0), strict=True))
    base = Prediction(4, "mel", probabilities, ("mel", "nv"), 0.67, True, 12.3, False)
    return replace(base, **changes)


def neighbor(**changes) -> Neighbor:
    facts = {"dx_type": "histo", "age": 45.0, "sex": "male", "localization": "back"}
    return replace(Neighbor("ISIC_0024306", "HAM_0000118", "nv", 0.934, facts), **changes)


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0, "0 %"),
        (0.004, "&lt;1 %"),
        (0.125, "12 %"),
        (0.62, "62 %"),
        (0.997, "&gt;99 %"),
        (1, "100 %"),
    ],
)
def test_a_percentage_is_never_a_false_certainty(probability, words):
    assert render.percent(probability).replace("\u00a0", " ") == words


def test_the_disclaimer_is_drawn_whole():
    assert DISCLAIMER in render.disclaimer()


def test_the_legend_explains_all_seven():
    page = render.legend()
    assert all(item.name in page for item in LABELS)
    assert page.count("counted as malignant") == 1 + 3  # the sentence, and one mark each


def test_a_verdict_says_what_stands_nowhere_else():
    meaning = operating_slider.meaning(prediction(), CALIBRATION)
    vote = {"mel": 0.7, "nv": 0.3}
    page = render.verdict(prediction(), CALIBRATION, meaning=meaning, vote=vote)
    page = page.replace("\u00a0", " ")
    assert meaning.replace("\u00a0", " ") in page
    assert page.count("62 %") == 2  # written once, and once for who hears it
    assert page.count('role="meter"') == 7
    assert page.count("ds-track-votes") == 7 and "70 %" in page and "30 %" in page
    assert "ds-track-votes" not in render.verdict(prediction(), CALIBRATION)


def test_taught_classes_stand_beside_the_seven():
    page = render.verdict(prediction(), CALIBRATION, enrolled={"mel": 0.4, NASTY: 0.6}, own=[NASTY])
    assert page.count('role="meter"') == 9 and page.count("yours") == 1
    assert "<img" not in page
    withheld = prediction(quality=("no_lesion",))
    assert "yours" not in render.verdict(withheld, CALIBRATION, enrolled={NASTY: 1}, own=[NASTY])


def test_a_comparison_of_what_is_not_to_be_judged_is_one_click_away():
    page = render.compared_anyway({"mel": 0.4, NASTY: 0.6}, [NASTY])
    assert page.index("Show it anyway") < page.index("Closest to")
    assert "open" not in page[page.index("<details") :].split(">")[0]


def test_the_probabilities_come_most_probable_first():
    page = render.verdict(prediction(), CALIBRATION)
    shares = [float(value) for value in re.findall(r'valuenow="(0\.\d{4})"', page)]
    assert len(shares) == 7
    assert shares == sorted(shares, reverse=True)


def test_only_a_strange_picture_is_warned_of_and_without_a_label():
    assert notices.notices(prediction()) == ""
    page = notices.notices(prediction(is_outlier=True, ood_limit=11.0))
    assert "No label is given for this picture" in page
    assert "Unlike anything in training" in page
    assert "score 12.3, the limit is 11.0" in page
    assert not any(item.name in page for item in LABELS)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_its_words(reason, language):
    page = notices.notices(prediction(quality=(reason,)), language=language)
    said = say(f"quality.{reason}_text", language)
    assert said in page and said.endswith(".")
    assert NOTICES[reason] in prediction(quality=(reason,)).notice


def test_a_withheld_verdict_is_one_click_away_and_claims_nothing():
    page = render.verdict(
        prediction(quality=("no_lesion",)), CALIBRATION, meaning="MEANING", vote={"nv": 1.0}
    )
    assert "MEANING" not in page and "votes" not in page
    assert "Show it anyway" in page[: page.index("Melanoma")]
    assert "<details" in page and "open" not in page[page.index("<details") :].split(">")[0]
    for claim in ("alibrated", "gree", "is-benign", "is-malignant", "Reads as"):
        assert claim not in page


def test_the_set_is_marked_on_the_bars_and_a_likelier_one_outside_is_explained():
    limits = dict.fromkeys(CODES, 0.01) | {"nv": 0.3}
    page = render.verdict(
        prediction(prediction_set=("mel", "bkl"), set_limits=limits), CALIBRATION
    ).replace("\u00a0", " ")
    bars = page[page.index("Calibrated probabilities") :]
    assert bars.count("in the 90 % list") == 2
    assert bars.count("listed from 30 %") == 1  # the naevus, at 28 %
    assert bars.count("does not exclude it") == 1
    usual = render.verdict(prediction(prediction_set=("mel", "nv")), CALIBRATION)
    assert "does not exclude it" not in usual


def test_a_photograph_of_the_gallery_and_a_drawn_model_are_told():
    known = Recognised(NASTY, None, "nv", learned=True)
    page = notices.notices(prediction(recognised=known, drawn=True))
    assert "A training photograph" in page and "Trained on drawings" in page
    assert "<img" not in page
    other = notices.notices(prediction(recognised=replace(known, learned=False)))
    assert "One of the past cases" in other and "The model learned" not in other


def test_a_sentence_says_when_label_and_malignancy_disagree():
    benign = {"nv": 0.62, "mel": 0.38} | dict.fromkeys(CODES, 0.0)
    page = operating_slider.conflict(
        prediction(label_name="nv", probabilities=benign | {"nv": 0.62, "mel": 0.38})
    )
    assert 'ds-conflict ds-if-malignant">The most probable diagnosis is benign' in page
    page = operating_slider.conflict(prediction())
    assert 'ds-conflict ds-if-benign">The most probable diagnosis is a malignant one' in page


@pytest.mark.parametrize(
    "page",
    [
        render.bars({NASTY: 1.0}, enrolled=[NASTY]),
        render.comparison({NASTY: 0.9, "nv": 0.1}, [NASTY]),
        render.bank_panel({NASTY: 2}),
        render.masthead([NASTY]),
        cards.neighbors([neighbor(image_id=NASTY)], None, 1),
        cards.neighbors([neighbor(facts={"localization": NASTY, "dx_type": NASTY})], None, 1),
    ],
)
def test_what_a_visitor_or_a_file_wrote_is_escaped(page):
    assert "onerror" in page
    assert "<img" not in page
    assert not re.search(r'onerror="', page)


def test_enrolled_classes_are_marked_as_the_visitors_own():
    page = render.comparison({"nv": 0.2, "clover": 0.8}, ["clover"])
    assert page.count("yours") == 1
    assert page.index("clover") < page.index("Melanocytic")


def test_the_bank_counts_pictures():
    page = render.bank_panel({"one": 1, "five": 5})
    assert "1 picture<" in page
    assert "5 pictures<" in page
    assert "None yet" in render.bank_panel({})


def test_a_case_shows_its_facts_and_leaves_out_the_unknown():
    page = cards.neighbors([neighbor()], None, 8012)
    assert "of 8,012 past cases" in page
    assert all(word in page for word in ("histopathology", "45", "male", "back", "0.934"))
    unknown = {"dx_type": None, "age": float("nan"), "sex": "unknown", "localization": ""}
    assert "<dt>" not in cards.neighbors([neighbor(facts=unknown)], None, 1)


def test_only_cases_of_the_archive_link_to_it():
    link = 'href="https://api.isic-archive.com/images/ISIC_0024306/" target="_blank" rel="noopener'
    assert link in cards.neighbors([neighbor()], None, 1)
    assert "href" not in cards.neighbors([neighbor(image_id="SYN_000001")], None, 1)
    assert "href" not in cards.neighbors([neighbor(image_id="ISIC_../../x")], None, 1)


def test_pictures_are_shown_where_a_data_set_has_them():
    drawn = Image.new("RGB", (200, 150), "#a05040")
    known = {"ISIC_0024306": drawn}
    page = cards.neighbors([neighbor(), neighbor(image_id="ISIC_0024307")], known.get, 2)
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert "--dataset" not in page
    assert "--dataset" in cards.neighbors([neighbor()], None, 1)


def test_the_census_counts_each_diagnosis():
    found = [neighbor(), neighbor(dx="mel"), neighbor()]
    page = cards.neighbors(found, None, 3)
    assert "2 × Melanocytic naevus" in page
    assert "1 × Melanoma" in page
