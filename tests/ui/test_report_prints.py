"""A case report on paper: A4 pages are counted as a browser prints them."""

import re
from dataclasses import replace

import pytest

from dermsim.core.bootstrap import Interval
from dermsim.core.explain_worth import MethodWorth, Worth
from dermsim.core.language import LANGUAGES
from dermsim.data.synthetic import draw_lesion
from dermsim.tasks.classify import Reached
from dermsim.tasks.retrieve import Neighbor
from dermsim.ui.case_page import case_html
from dermsim.ui.case_report import MAX_NEIGHBORS, examine
from dermsim.ui.i18n import say

LONG = {
    "dx_type": "confocal",
    "age": 75.0,
    "sex": "female",
    "localization": "upper extremity",
}


@pytest.fixture(scope="module")
def longest(engine):
    """As long as a report gets: every figure measured, the longest names, the most cases."""
    share, gain = Interval(0.853, 0.795, 0.911, 1244), Interval(-0.1, -0.2, -0.05, 1126)
    found = examine(engine, draw_lesion("mel", seed=1, size=(320, 320)), name="lesion.png")
    figures = MethodWorth("gradcam", None, share, gain, share, gain)
    origins = (("held_out", "HAM10000"), ("elsewhere", "ISIC 2017"))
    return replace(
        found,
        neighbors=tuple(
            Neighbor(f"ISIC_{number:07d}", None, "akiec", 0.9, LONG, 0.9)
            for number in range(MAX_NEIGHBORS)
        ),
        worth=Worth(figures, "HAM10000", "validation", None),
        reached=tuple(Reached(origin, name, 0.2, share, share) for origin, name in origins),
    )


@pytest.fixture
def printed(browser):
    page = browser.new_page()
    yield lambda html: (page.set_content(html), page)[1]
    page.close()


def pages(page) -> int:
    return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(prefer_css_page_size=True)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_two_pages_at_most(longest, printed, language):
    assert pages(printed(case_html(longest, language=language))) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_so_is_one_without_a_verdict(longest, printed, language):
    prediction = replace(
        longest.prediction, quality=("no_lesion", "too_dark"), is_outlier=True, drawn=True
    )
    withheld = replace(longest, prediction=prediction)
    assert pages(printed(case_html(withheld, language=language))) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_so_is_one_that_speaks_of_structures(concept_engine, printed, language):
    found = examine(concept_engine, draw_lesion("mel", seed=1), name="lesion.png")
    assert found.description is not None and found.description.reading is not None
    html = case_html(found, language=language)
    assert say("concepts.report", language) in html
    assert pages(printed(html)) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_so_is_the_longest_of_these(longest, concept_engine, printed, language):
    description = concept_engine.describe(draw_lesion("mel", seed=1))
    assert description.reading is not None
    found = replace(longest, description=description)
    assert pages(printed(case_html(found, language=language))) == 2


@pytest.mark.parametrize("size", [(300, 900), (900, 300)])
def test_so_is_one_of_a_picture_of_another_shape(engine, printed, size):
    found = examine(engine, draw_lesion("mel", seed=1, size=size))
    assert pages(printed(case_html(found))) == 2


def test_no_table_is_broken_between_pages(longest, printed):
    page = printed(case_html(longest))
    page.emulate_media(media="print")
    kept = page.eval_on_selector_all(
        "table", "tables => tables.map(t => getComputedStyle(t).breakInside)"
    )
    assert len(kept) == 3 and set(kept) == {"avoid"}


def test_no_mark_begins_a_line(longest, printed):
    page = printed(case_html(longest))
    page.set_viewport_size({"width": 390, "height": 844})
    apart = page.eval_on_selector_all(
        ".whole", "all => all.filter(e => e.getClientRects().length > 1).length"
    )
    assert apart == 0


def test_nothing_of_it_is_cut_off_on_a_phone(engine, printed):
    found = examine(engine, draw_lesion("mel", seed=1, size=(320, 320)))
    page = printed(case_html(found))
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_there_is_room_for_notes(longest):
    html = case_html(longest)
    assert "<h2>Notes</h2>" in html
    for word in ("Patient", "Date", "Signature"):
        assert f"<span>{word}</span>" in html
    assert "<h2>Notas</h2>" in case_html(longest, language="es")


def test_it_says_what_its_heatmap_is_worth(longest):
    html = case_html(longest).replace("\u00a0", " ")
    assert "they are worse than a blob in the middle of the picture" in html
    assert "difference -10.0 %, 95 % interval -20.0 % to -5.0 %, 1,126 pictures" in html
    unknown = case_html(replace(longest, worth=Worth()))
    assert "Nobody has measured" in unknown and "1,126 pictures" not in unknown
