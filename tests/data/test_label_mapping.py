"""What a source's words for diagnoses are taken for."""

import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.label_mapping import map_labels, parse_mapping

WORDS = ["Nevus", "melanoma", "nevus", "Basal cell carcinoma"]


def test_known_words_need_no_mapping():
    codes, found = map_labels(WORDS)
    assert codes == ["nv", "mel", "nv", "bcc"]
    assert {(item.label, item.code, item.images) for item in found.labels} == {
        ("Nevus", "nv", 1),
        ("melanoma", "mel", 1),
        ("nevus", "nv", 1),
        ("Basal cell carcinoma", "bcc", 1),
    }
    assert found.translates and not map_labels(["mel", "nv"])[1].translates


def test_the_mapping_goes_first_whatever_the_spelling():
    words = ["Lunar común", "SCC", "scc ", "melanoma"]
    codes, found = map_labels(words, {"lunar comun": "nv", "scc": "other", "Melanoma": "Melanom"})
    assert codes == ["nv", "other", "other", "mel"]
    assert "SCC          is read as other, and left out  (1 picture)" in found.lines()


def test_all_unknown_words_are_named_at_once_and_the_first_row():
    words = ["mel", "scc", "wart", "scc"]
    with refuses(
        "tables.row",
        row=1,
        image_id="b",
        reason=Phrase(
            "label_mapping.several_unknown",
            label="scc",
            more=["wart"],
            codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
            other="other",
        ),
    ):
        map_labels(words, image_ids=["a", "b", "c", "d"])
    with refuses(
        "tables.row",
        reason=Phrase("label_mapping.many_unknown", more=["w2", "w3", "w4", "w5", "w6"], count=3),
    ):
        map_labels([f"w{number}" for number in range(1, 10)])


def test_unknown_words_may_be_taken_for_other():
    codes, found = map_labels(["mel", "scc"], unknown_is_other=True)
    assert codes == ["mel", "other"] and found.labels[1].code == "other"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (
            {"nevvus": "nv"},
            Phrase(
                "label_mapping.no_such_word",
                label="nevvus",
                counts=["Basal cell carcinoma", "Nevus", "melanoma", "nevus"],
            ),
        ),
        (
            {"nevus": "mole"},
            Phrase(
                "label_mapping.no_such_code",
                label="nevus",
                code="mole",
                codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
                other="other",
            ),
        ),
        ({"nevus": "nv", "NEVUS": "mel"}, Phrase("label_mapping.two_meanings", label="NEVUS")),
    ],
)
def test_a_mapping_that_cannot_be(mapping, words):
    with refuses(words):
        map_labels(WORDS, mapping)


def test_parse_mapping():
    assert parse_mapping([]) == {}
    assert parse_mapping(["nevus=nv", "a = b =mel", "SCC= other"]) == {
        "nevus": "nv",
        "a = b": "mel",
        "SCC": "other",
    }
    for pairs, words in (
        (["nevus"], "label_mapping.pair"),
        (["=nv"], "label_mapping.pair"),
        (["nevus="], "label_mapping.pair"),
        (["a=nv", "a=mel"], Phrase("label_mapping.twice", label="a")),
    ):
        with refuses(words):
            parse_mapping(pairs)
