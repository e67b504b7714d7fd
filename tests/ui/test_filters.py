import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.tasks.retrieve import CaseTable
from dermsim.ui import filters

CASES = [
    {"image_id": "a", "dx": "mel", "dx_type": "histo", "sex": "female", "age": 40.0},
    {"image_id": "b", "dx": "mel", "dx_type": "consensus", "sex": "male", "localization": "back"},
    {"image_id": "c", "dx": "wart", "dx_type": "histo", "sex": "male", "localization": "back"},
]


def test_menus_offer_what_the_cases_have_with_counts():
    offers = filters.offers(CaseTable.build(CASES))
    assert offers == {
        "dx": [("Melanoma (2)", "mel"), ("wart (1)", "wart")],
        "localization": [("back (2)", "back")],
        "sex": [("male (2)", "male"), ("female (1)", "female")],
        "dx_type": [("histopathology (2)", "histo"), ("expert consensus (1)", "consensus")],
    }


@pytest.mark.parametrize(
    ("chosen", "ages", "expected"),
    [
        (([], None, [], []), (0, 100), "abc"),
        ((["mel"], [], [], []), (0, 100), "ab"),
        ((["mel", "wart"], ["back"], ["male"], []), (0, 100), "bc"),
        (([], [], [], ["histo"]), (0, 100), "ac"),
        (([], [], [], []), (0, 95), "a"),  # once an age is asked for, unknown ones are left out
        (([], [], [], []), (45, 100), ""),
    ],
)
def test_the_filter_keeps_what_was_chosen(chosen, ages, expected):
    table = CaseTable.build(CASES)
    rows = table.matching(filters.where(chosen, *ages))
    kept = range(len(CASES)) if rows is None else rows
    assert "".join(CASES[row]["image_id"] for row in kept) == expected


@pytest.mark.parametrize(
    ("chosen", "ages", "sentence"),
    [
        (([],), (0, 100), Phrase("filters.choices", chosen_count=1, menus_count=4)),
        (([], [], [], []), (60, 40), Phrase("filters.no_age", youngest=60, oldest=40)),
        (([], [], [], []), (-1, 40), Phrase("filters.age", age=-1, least=0, most=100)),
        (([], [], [], []), (0, "old"), Phrase("filters.age", age="old")),
        (([], [], [], []), (0, float("nan")), Phrase("filters.age", age="nan")),
    ],
)
def test_bad_choices_are_refused(chosen, ages, sentence):
    with refuses(sentence):
        filters.where(chosen, *ages)
