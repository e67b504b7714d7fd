"""Labelled photographs of other clinics."""

import pandas as pd
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.elsewhere import load_elsewhere
from dermsim.data.synthetic import draw_lesion


def folder(path, words, lesions=None, names=None):
    names = names or [f"p{place}" for place in range(len(words))]
    for place, name in enumerate(dict.fromkeys(names)):
        draw_lesion("nv", seed=place).save(path / f"{name}.png")
    rows = {"file_name": [f"{name}.png" for name in names], "image_id": names, "dx": words}
    if lesions:
        rows["lesion_id"] = lesions
    pd.DataFrame(rows).to_csv(path / "metadata.csv", index=False)
    return path


def test_other_diagnoses_are_left_out_and_counted(tmp_path):
    source = folder(tmp_path, ["mel", "scc", "nv", "scc"])
    with pytest.warns(UserWarning, match=r"2 photographs of other diagnoses are left out: scc"):
        (rows,) = load_elsewhere([source]).labelled
    assert list(rows["image_id"]) == ["p0", "p2"]
    assert [CODES[dx] for dx in rows["dx"]] == ["mel", "nv"]
    assert rows[1]["image"].getpixel((0, 0)) == draw_lesion("nv", seed=2).getpixel((0, 0))


def test_a_photograph_of_no_known_lesion_is_one_of_its_own(tmp_path):
    source = folder(tmp_path, ["mel", "nv", "nv"], ["a", None, None])
    (rows,) = load_elsewhere([source]).labelled
    assert list(rows["lesion_id"]) == ["a", "p1", "p2"]


def test_a_source_of_other_diagnoses_alone_is_refused(tmp_path):
    with refuses(
        "opened_source.no_photograph", codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    ):
        load_elsewhere([folder(tmp_path, ["scc", "wart"])])


def test_a_photograph_that_is_named_twice_is_refused(tmp_path):
    with refuses(
        "tables.row",
        row=1,
        image_id="same",
        reason=Phrase("rows.contradicts", differing=["dx"], other=0),
    ):
        load_elsewhere([folder(tmp_path, ["mel", "nv"], names=["same", "same"])])


@pytest.fixture
def clinics(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return [
        folder(tmp_path / "one", ["mel", "SCC", "nv", "wart", "SCC"], [*"abcde"]),
        folder(tmp_path / "two", ["nv", "scar"], [*"ab"], names=["q0", "q1"]),
    ]


def test_a_word_may_count_as_one_of_the_seven(clinics):
    with pytest.warns(UserWarning, match=r"1 photographs of other diagnoses are left out: wart"):
        found = load_elsewhere(clinics, {"scc": "akiec", "scar": "nv"})
    assert [[CODES[dx] for dx in rows["dx"]] for rows in found.labelled] == [
        ["mel", "akiec", "nv", "akiec"],
        ["nv", "nv"],
    ]
    assert found.own == {}


def test_a_word_may_have_an_output_of_its_own(clinics):
    with pytest.warns(UserWarning, match=r"1 photographs of other diagnoses are left out: scar"):
        found = load_elsewhere(clinics, {"scc": "own", "wart": "own"})
    assert [list(rows["image_id"]) for rows in found.labelled] == [["p0", "p2"], ["q0"]]
    own = {word: [list(rows["image_id"]) for rows in sets] for word, sets in found.own.items()}
    assert own == {"scc": [["p1", "p4"]], "wart": [["p3"]]}
    assert found.own["scc"][0]["dx"] == [None, None]


def test_what_is_held_out_is_learned_neither_as_one_of_the_seven_nor_as_another(clinics):
    with pytest.warns(UserWarning, match="are left out"):
        found = load_elsewhere(clinics, {"scc": "own"})
    held_out = [found.labelled[0].select([1]), found.own["scc"][0].select([0])]
    with pytest.warns(UserWarning, match=r"1 of 2 pictures of (one|scc) are held out of the data"):
        apart = found.apart_from(held_out, names=["one", "two"])
    assert [list(rows["image_id"]) for rows in apart.labelled] == [["p0"], ["q0"]]
    assert [list(rows["image_id"]) for rows in apart.own["scc"]] == [["p4"]]


@pytest.mark.parametrize(
    ("meanings", "words"),
    [
        (
            {"moss": "own"},
            Phrase("elsewhere.no_such_word", strange="moss", words=["SCC", "scar", "wart"]),
        ),
        ({"nv": "mel"}, Phrase("elsewhere.no_such_word", strange="nv")),
        (
            {"scc": "lichen"},
            Phrase(
                "elsewhere.no_such_code",
                word="scc",
                meaning="lichen",
                codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
                own="own",
            ),
        ),
    ],
)
def test_meanings_that_mean_nothing_are_refused(clinics, meanings, words):
    with refuses(words):
        load_elsewhere(clinics, meanings)
