"""One row after another, brought to the schema's values."""

import warnings

import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.rows import check_id, distinct_rows, known, normalise, normalise_all, parse_age

ROW = {"image_id": "I1", "lesion_id": "L1", "dx": "mel"}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        *((None, None), (float("nan"), None), ("  ", None), ("NaN", None), ("N/A", None)),
        *((" a ", "a"), (7, "7"), (1765.0, "1765"), (2.5, "2.5"), (True, "True")),
    ],
)
def test_known(given, read):
    assert known(given) == read


@pytest.mark.parametrize(
    ("text", "age"),
    [(None, None), ("40", 40.0), ("40,5", 40.5), ("0", 0.0), ("120", 120.0), ("1e1", 10.0)],
)
def test_ages(text, age):
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["-1", "121", "1965", "999", "inf", "nan", "-inf"])
def test_ages_that_nobody_has(text):
    with refuses("rows.age", text=text):
        parse_age(text)


@pytest.mark.parametrize(
    "text",
    ["forty", "40 years", "40-50", "85+", "1,000,000", "02.03.1985", "1985-03-02", "05.06", "1_0"],
)
def test_ages_that_are_no_number(text):
    with refuses("rows.age_not_number"):
        parse_age(text)


@pytest.mark.parametrize("column", ["image_id", "lesion_id", "patient_id"])
@pytest.mark.parametrize("text", ["2.4E+11", "2,40E+11", "1e+15", "-3E+02", "2.4E11", "2,4e9"])
def test_ids_that_a_spreadsheet_shortened_are_refused(column, text):
    with refuses("tables.row", row=3, reason=Phrase("rows.shortened", column=column, text=text)):
        normalise(3, {**ROW, column: text})


@pytest.mark.parametrize("text", ["12345e6789", "HAM_2E+11", "240000000000", "1E5", None])
def test_ids_that_only_look_so_pass(text):
    check_id("lesion_id", text)


def test_words_become_the_houses():
    row = {
        **ROW,
        "image_id": "ISIC_1.JPG",
        "dx": "Melanocytic Nevus",
        "dx_type": "Histopathology",
        "age": "40,0",
        "sex": "Female",
        "localization": "Lower Extremity",
        "modality": "Dermoscopic",
        "concepts": {"pigment_network": "typical"},
        "patient_id": 17.0,
    }
    assert normalise(0, row) == {
        "image_id": "ISIC_1",
        "lesion_id": "L1",
        "dx": 5,
        "dx_type": "histo",
        "age": 40.0,
        "sex": "female",
        "localization": "lower extremity",
        "patient_id": "17",
        "source": None,
        "modality": "dermoscopy",
        "original_label": None,
        "concepts": [{"concept": "pigment_network", "state": "typical"}],
        "caption": None,
        "licence": None,
        "split": None,
    }


def test_what_is_missing_is_none_in_every_column():
    columns = ("lesion_id", "dx_type", "age", "sex", "localization", "patient_id", "caption")
    for word in ("", "NaN", "NA", "null", "unknown", "None", "-"):
        facts = normalise(0, {**ROW, **dict.fromkeys(columns, word)})
        assert facts.pop("lesion_id") == "I1"
        assert {facts[column] for column in columns[1:]} == {None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"image_id": "NaN"},
            Phrase(
                "tables.row", row=0, image_id=None, reason=Phrase("rows.missing", column="image_id")
            ),
        ),
        (
            {"dx": "null"},
            Phrase("tables.row", row=0, image_id="I1", reason=Phrase("rows.missing", column="dx")),
        ),
        (
            {"dx": "wart"},
            Phrase(
                "tables.row", row=0, image_id="I1", reason=Phrase("labels.unknown_dx", text="wart")
            ),
        ),
        (
            {"sex": "diverse"},
            Phrase(
                "tables.row",
                row=0,
                image_id="I1",
                reason=Phrase("core_vocabulary.sex", text="diverse"),
            ),
        ),
        (
            {"localization": "Vienna"},
            Phrase(
                "tables.row",
                row=0,
                image_id="I1",
                reason=Phrase("core_vocabulary.localization", text="Vienna"),
            ),
        ),
        (
            {"age": "430"},
            Phrase("tables.row", row=0, image_id="I1", reason=Phrase("rows.age", text="430")),
        ),
    ],
)
def test_what_cannot_be_names_the_row(change, words):
    with refuses(words):
        normalise(0, {**ROW, **change})


def test_another_diagnosis_has_no_number():
    assert normalise(0, {**ROW, "dx": "other"})["dx"] is None


def test_what_m_means_is_found_out_from_the_whole_column():
    rows = [{**ROW, "image_id": f"I{n}", "sex": sex} for n, sex in enumerate(["H", "M", "NA"])]
    assert [fact["sex"] for fact in normalise_all(rows, name="x")] == ["male", "female", None]
    with refuses("core_vocabulary.sex_m", word="H", other="F"):
        normalise_all([*rows, {**ROW, "sex": "F"}], name="x")


def test_lesions_that_differ_in_capitals_alone_are_one():
    rows = [{**ROW, "image_id": f"I{n}", "lesion_id": name} for n, name in enumerate("aAb")]
    with pytest.warns(
        UserWarning, match="lesion_ids that differ in capitals,.* such as a and A, a"
    ):
        assert [fact["lesion_id"] for fact in normalise_all(rows, name="x")] == ["a", "a", "b"]


def test_ids_that_lost_zeros_or_became_numbers_are_one():
    names = ["007", "7", "8.0", "8", "70", "0", "00", "A07", "A7"]
    rows = [{**ROW, "image_id": f"I{n}", "patient_id": name} for n, name in enumerate(names)]
    with pytest.warns(UserWarning, match="patient_ids that differ in .* such as 007 and 7, are"):
        facts = normalise_all(rows, name="x")
    joined = ["007", "007", "8.0", "8.0", "70", "0", "0", "A07", "A7"]
    assert [fact["patient_id"] for fact in facts] == joined


def test_a_known_patient_keeps_photographs_together_as_a_lesion_does():
    row = {"image_id": "I1", "dx": "mel", "patient_id": "P1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalise_all([row], name="x")
    with pytest.warns(UserWarning, match="x has no lesion_id"):
        normalise_all([{**row, "patient_id": "#NV", "lesion_id": "n/a"}], name="x")


def test_unknown_lesions_are_counted():
    rows = [{**ROW, "image_id": f"I{n}", "lesion_id": name} for n, name in enumerate(["NaN", "b"])]
    with pytest.warns(UserWarning, match="x does not know the lesion of 1 of 2 images, so each"):
        facts = normalise_all(rows, name="x")
    assert [fact["lesion_id"] for fact in facts] == ["I0", "b"]
    with pytest.warns(UserWarning, match="x has no lesion_id, so each image counts as a lesion"):
        normalise_all(rows[:1], name="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalise_all(rows[1:], name="x")


def test_rows_of_one_image_are_merged_unless_they_contradict_each_other():
    first = normalise(0, {**ROW, "original_label": "mel"})
    again = normalise(1, {**ROW, "dx": "Melanoma", "original_label": "Melanoma", "split": "test"})
    other = normalise(2, {**ROW, "image_id": "A"})
    assert distinct_rows([first, again, other]) == [2, 0]
    with refuses(
        "tables.row",
        row=1,
        image_id="I1",
        reason=Phrase("rows.contradicts", differing=["dx", "age"], other=0),
    ):
        distinct_rows([first, normalise(1, {**ROW, "dx": "nv", "age": "4"})])
