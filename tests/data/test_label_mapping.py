"""What a source's words for diagnoses are taken for."""

import re

import pytest

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
    reason = re.escape("row 1 (image_id b): unknown dx 'scc' (and 'wart'): expected one of akiec")
    with pytest.raises(ValueError, match=reason + r".*--map 'scc=mel', or 'scc=other'"):
        map_labels(words, image_ids=["a", "b", "c", "d"])
    with pytest.raises(ValueError, match=r"\(and 'w2', 'w3', 'w4', 'w5', 'w6' and 3 more\)"):
        map_labels([f"w{number}" for number in range(1, 10)])


def test_unknown_words_may_be_taken_for_other():
    codes, found = map_labels(["mel", "scc"], unknown_is_other=True)
    assert codes == ["mel", "other"] and found.labels[1].code == "other"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"nevvus": "nv"}, "speaks of 'nevvus', but the words of this source are 'Basal cell"),
        ({"nevus": "mole"}, "takes 'nevus' for 'mole', which is none of akiec, .* and not other"),
        ({"nevus": "nv", "NEVUS": "mel"}, "gives 'NEVUS' two meanings"),
    ],
)
def test_a_mapping_that_cannot_be(mapping, words):
    with pytest.raises(ValueError, match=words):
        map_labels(WORDS, mapping)


def test_parse_mapping():
    assert parse_mapping([]) == {}
    assert parse_mapping(["nevus=nv", "a = b =mel", "SCC= other"]) == {
        "nevus": "nv",
        "a = b": "mel",
        "SCC": "other",
    }
    for pairs, words in (
        (["nevus"], "expects word=code"),
        (["=nv"], "expects word=code"),
        (["nevus="], "expects word=code"),
        (["a=nv", "a=mel"], "names 'a' twice"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_mapping(pairs)
