"""What all adapters have in common: the contract, folders, vocabularies, rows as a data set."""

import warnings

import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.dataset import load_dataset, open_source
from dermsim.data.facts import SITES, facts_of
from dermsim.data.sources import (
    ADAPTERS,
    OTHER,
    SourceRow,
    derm7pt,
    find_adapter,
    isic2018_attributes,
    milk10k,
    pad_ufes_20,
)
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import (
    ISIC_SITES,
    marked,
    required,
    translate,
    words_by_code,
    years,
)
from dermsim.data.synthetic import draw_outline
from dermsim.data.tables import schema

ISIC_2020 = "ISIC_2020_Training_GroundTruth.head.csv"


def row(image_id="a", **facts):
    given = {"image": None, "source": "drawn", "modality": "dermoscopy", "licence": "CC0", **facts}
    return SourceRow(image_id=image_id, **given)


# --- every adapter --------------------------------------------------------------------------------


def test_names_are_different_and_every_diagnosis_is_decided():
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS) == 16
    for adapter in ADAPTERS:
        assert set(adapter.labels.values()) <= {*CODES, OTHER}
        assert adapter.title and adapter.licence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("isic2019", 9),
        ("isic2020", 9),
        ("pad_ufes_20", 6),
        ("derm7pt", 20),
        ("ddi", 78),
        ("fitzpatrick17k", 114),
        ("dermnet", 23),
        ("sd198", 198),
        ("milk10k", 11),
        ("ph2", 3),
    ],
)
def test_the_whole_vocabulary_is_listed(name, words):
    adapter = next(adapter for adapter in ADAPTERS if adapter.name == name)
    assert len(adapter.labels) == words


def test_the_sites_are_those_of_the_house():
    for words in (ISIC_SITES, milk10k.SITES, pad_ufes_20.SITES, derm7pt.SITES):
        assert {site for site in words.values() if site} <= set(SITES)


def test_an_empty_folder_is_no_data_set(tmp_path):
    assert find_adapter(tmp_path) is None
    for adapter in ADAPTERS:
        assert not adapter.recognises(tmp_path)
        with refuses("adapter.other_source"):
            adapter.read(tmp_path)


def test_a_path_that_leads_nowhere(tmp_path):
    with refuses("sources_folder.no_folder", FileNotFoundError):
        find_adapter(tmp_path / "nothing")


def test_two_data_sets_in_a_folder_are_named(drawn, shared):
    drawn.copy("a.csv", shared / "pad_ufes_20" / "metadata.csv", 5)
    drawn.copy("b.csv", shared / "tables" / "fitzpatrick17k.head.csv", 5)
    with refuses("sources_registry.several", titles=["PAD-UFES-20", "Fitzpatrick17k"]):
        find_adapter(drawn.path)
    assert find_adapter(drawn.path / "a.csv").name == "pad_ufes_20"
    assert find_adapter(drawn.path / "b.csv").name == "fitzpatrick17k"


def test_two_tables_of_one_data_set_are_named(drawn, shared):
    drawn.copy("metadata.csv", shared / "pad_ufes_20" / "metadata.csv", 5)
    drawn.copy("old/metadata (1).csv", shared / "pad_ufes_20" / "metadata.csv", 4)
    with refuses("sources_folder.ambiguous", names=["metadata.csv", "old/metadata (1).csv"]):
        find_adapter(drawn.path)


def test_a_word_of_ones_own_can_be_mapped(drawn, read, shared):
    table = drawn.copy("metadata.csv", shared / "pad_ufes_20" / "metadata.csv", 4)
    table.write_text(table.read_text(encoding="utf-8").replace(",NEV,", ",BLUE,"))
    with refuses(
        "sources_vocabulary.unknown_labels",
        shown=[Phrase("sources_vocabulary.word", word="BLUE", count=1)],
        column="diagnostic",
        first=0,
        known=["ACK", "BCC", "MEL", "NEV", "SEK", "SCC"],
    ):
        read("pad_ufes_20")
    assert read("pad_ufes_20", mapping={"BLUE": "nv"})[0].dx == "nv"
    assert read("pad_ufes_20", mapping={"blue": OTHER})[0].dx == OTHER
    with refuses("adapter.mapped", word="BLUE", code="naevus"):
        read("pad_ufes_20", mapping={"BLUE": "naevus"})


def test_a_row_has_a_diagnosis_that_was_decided_about():
    assert row(dx="mel").dx == "mel" and row(dx=OTHER).dx == OTHER and row().dx is None
    with refuses("adapter.dx", image_id="a", dx="naevus"):
        row(dx="naevus")


# --- folders --------------------------------------------------------------------------------------


def test_pictures_are_found_by_name_whatever_case_and_ending(drawn):
    drawn.picture("x/IMG.1.JPG", "y/two.png")
    folder = Folder.at(drawn.path)
    assert folder.picture("img.1.jpg") == folder.picture("IMG.1") == str(drawn.path / "x/IMG.1.JPG")
    assert folder.picture(r"y\TWO.bmp") == str(drawn.path / "y/two.png")
    assert folder.picture("three") is None


def test_two_pictures_of_one_name_are_told_apart_by_their_folder(drawn):
    drawn.picture("NEL/a.jpg", "FAL/a.jpg")
    folder = Folder.at(drawn.path)
    assert folder.picture("nel/a.jpg") == str(drawn.path / "NEL/a.jpg")
    with refuses("matching.ambiguous", first="FAL/a.jpg", other="NEL/a.jpg"):
        folder.picture("a.jpg")


def test_links_are_followed_but_not_in_circles(drawn, tmp_path):
    drawn.picture("real/a.jpg")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (drawn.path / "real" / "a.jpg").rename(elsewhere / "b.jpg")
    (drawn.path / "linked").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(drawn.path)
    assert [path.name for path in Folder.at(drawn.path).pictures] == ["b.jpg"]


def test_hidden_files_are_passed_over(drawn):
    drawn.picture(".cache/a.jpg", "._b.jpg", "c.jpg")
    assert [path.name for path in Folder.at(drawn.path).pictures] == ["c.jpg"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_tables_are_known_by_their_columns(drawn, separator):
    (drawn.path / "t.csv").write_text(separator.join(["\ufeffa", '"b"', " c "]) + "\n1\n", "utf-8")
    folder = Folder.at(drawn.path)
    assert folder.table("a", "b", "c") == drawn.path / "t.csv"
    assert folder.table("a", "d") is None


def test_a_table_may_lie_in_a_folder_of_its_own(drawn):
    drawn.picture("pictures/a.jpg")
    table = drawn.table("truth/truth.csv", [{"a": 1}])
    folder = Folder.at(table)
    assert folder.root == drawn.path and folder.picture("a") is not None


# --- vocabularies ---------------------------------------------------------------------------------


def test_words_are_translated_whatever_their_case():
    rows = [{"x": " Nevus  NOS"}, {"x": None}, {}]
    assert translate(rows, "x", {"nevus nos": 1}, source="S") == [1, None, None]


def test_every_unknown_word_is_named_with_the_first_row():
    rows = [{"x": "a"}, {"x": "b"}, {"x": "c"}, {"x": "b"}]
    with pytest.raises(ValueError) as caught:
        translate(rows, "x", {"a": 1}, source="S")
    assert str(caught.value) == (
        "S is not known to write 'b' (2 rows), 'c' (1 rows) in the column x (first in row 1): "
        "known are a; correct the table"
    )


def test_many_unknown_words_are_counted():
    rows = [{"x": str(n)} for n in range(9)]
    with refuses(
        "sources_vocabulary.unknown_words", more=Phrase("sources_vocabulary.more", count=4)
    ):
        translate(rows, "x", {"a": 1}, source="S")


def test_one_column_must_be_marked():
    rows = [{"id": "p", "A": "1.0", "B": "0"}]
    assert marked(rows, ("A", "B"), source="S", key="id") == ["A"]
    for wrong in ({"A": "1", "B": "1"}, {"A": "0", "B": "0"}):
        with refuses(
            "tables.row",
            row=0,
            image_id="p",
            reason=Phrase("sources_vocabulary.one_mark", columns=["A", "B"]),
        ):
            marked([{"id": "p", **wrong}], ("A", "B"), source="S", key="id")


def test_names_must_be_there_and_differ():
    assert required([{"x": "a"}, {"x": "b"}], "x", source="S") == ["a", "b"]
    with refuses("sources_vocabulary.no_key", number=1, column="x"):
        required([{"x": "a"}, {"x": None}], "x", source="S")
    with refuses("sources_vocabulary.repeats", column="x", value="a", other=0, number=2):
        required([{"x": "a"}, {"x": "b"}, {"x": "a"}], "x", source="S")


@pytest.mark.parametrize(("text", "age"), [("45.0", 45), ("0", 0), (None, None), ("unknown", None)])
def test_ages(text, age):
    assert years(0, "a", text) == age


@pytest.mark.parametrize("text", ["-1", "121", "old", "nan years", "inf"])
def test_impossible_ages(text):
    with refuses("tables.row", row=3, image_id="a"):
        years(3, "a", text)


def test_a_word_cannot_mean_two_things():
    assert words_by_code(nv="a; b\n c", other=" d ") == {"a": "nv", "b c": "nv", "d": "other"}
    with refuses("sources_vocabulary.listed_twice", name="a"):
        words_by_code(nv="a", mel="a")


# --- through the door of the house ----------------------------------------------------------------


@pytest.fixture
def midas(drawn):
    """Three pictures of MRA-MIDAS: a melanoma twice, through a dermatoscope and not, and a wart."""
    drawn.picture("a.jpg", "b.jpg", "c.jpg")
    rows = [
        ("1", "a.jpeg", "dscope", "malignant- melanoma", "50"),
        ("1", "b.jpeg", "6in", "malignant- melanoma", "50"),
        ("2", "c.jpeg", "1ft", "benign-other", "NaN"),
    ]
    columns = ("record_id", "file_name", "distance", "path", "age")
    named = [dict(zip((f"midas_{c}" for c in columns), row, strict=True)) for row in rows]
    drawn.table(
        "release_midas.csv",
        [
            {**row, "midas_iscontrol": "no", "midas_location": "back", "midas_gender": "unknown"}
            for row in named
        ],
    )
    return drawn.path


@pytest.mark.filterwarnings("ignore:2 of 3 pictures are clinical")
def test_rows_become_the_schema_of_the_house(midas):
    data = load_dataset(midas, keep_other=True)
    assert data.features == schema(more=True)
    assert data["dx"][:] == [CODES.index("mel")] * 2 + [None]
    assert data["original_label"][2] == "benign-other" and set(data["source"]) == {"mra_midas"}
    assert data["modality"][:] == ["dermoscopy", "clinical", "clinical"]
    assert data["patient_id"][:] == ["midas_1", "midas_1", "midas_2"]
    assert [image.size for image in data["image"]] == [(32, 24)] * 3
    assert facts_of(data)[0].age == 50 and data["age"][2] is None and data["sex"][:] == [None] * 3


def test_other_never_reaches_the_seven_classes(midas):
    with pytest.warns(UserWarning) as told:
        kept = load_dataset(midas)
    assert kept["image_id"][:] == ["a", "b"] and kept.features["dx"].names == list(CODES)
    said = [str(warning.message) for warning in told]
    assert any("1 photographs of other diagnoses are left out: benign-other (1)" in s for s in said)
    assert any("1 of 2 pictures are clinical photographs, taken without a" in s for s in said)
    with refuses(
        "opened_source.no_photograph",
        codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
        named=["malignant- melanoma (2)", "benign-other (1)"],
    ):
        load_dataset(midas, mapping={"malignant- melanoma": OTHER})


def test_no_warning_where_all_is_dermoscopy(drawn):
    drawn.picture("a.jpg")
    truth = dict.fromkeys(("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"), "0.0")
    drawn.table("GroundTruth.csv", [{"image": "a", **truth, "NV": "1.0"}])
    person = {"image": "a", "age_approx": "NaN", "anatom_site_general": "NA", "sex": "null"}
    drawn.table("Metadata.csv", [{**person, "lesion_id": "L"}])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_dataset(drawn.path)
    assert data["lesion_id"][:] == ["L"] and data["localization"][:] == [None]


def test_a_set_without_diagnoses_says_so(shared):
    source = shared / "isic2018_attributes"
    with refuses(
        "opened_source.no_photograph",
        codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"],
        named=["no diagnosis (2065)"],
    ):
        open_source(source).load()


# --- what tables and folders look like after they went through other hands ------------------------


@pytest.mark.parametrize(
    ("head", "encoding"),
    [("", "utf-16"), ("sep=;\r\n", "utf-8"), ("", "cp1252"), ("\r\n\r\n", "utf-8-sig")],
)
def test_tables_saved_by_a_spreadsheet_are_known(drawn, read, shared, head, encoding):
    table = drawn.copy("metadata.csv", shared / "pad_ufes_20" / "metadata.csv", 6)
    text = table.read_text(encoding="utf-8")
    table.write_bytes((head + text.replace(",", ";")).encode(encoding))
    assert len(read("pad_ufes_20")) == 5


def test_a_copy_of_a_table_is_no_second_one(drawn, read, shared):
    for name in ("metadata.csv", "old/metadata (1).csv"):
        drawn.copy(name, shared / "pad_ufes_20" / "metadata.csv", 5)
    (drawn.path / "metadata.csv.bak").write_text("nothing")
    assert len(read("pad_ufes_20")) == 4


def test_words_for_nothing_are_none_and_new_words_are_named():
    words = {"nevus": "nv", "unknown": "other"}
    rows = [{"x": word} for word in ("NaN", "n/a", "#N/A", "Unknown", "NEVUS", None)]
    assert translate(rows, "x", words, source="S") == [None, None, None, "other", "nv", None]
    with refuses(
        "sources_vocabulary.unknown_words",
        source="S",
        shown=[Phrase("sources_vocabulary.word", word="naevus", count=1)],
    ):
        translate([{"x": "naevus"}], "x", words, source="S")


@pytest.mark.parametrize("part", ["train", "test"])
def test_pictures_of_one_name_in_two_parts_are_not_mixed_up(drawn, read, shared, part):
    drawn.copy("ISIC_2020_Training.csv", shared / "tables" / ISIC_2020, 2)
    name = read("isic2020")[0].image_id
    drawn.picture(f"jpeg/{part}/{name}.jpg")
    found = read("isic2020")[0].image
    assert found == (str(drawn.path / f"jpeg/train/{name}.jpg") if part == "train" else None)
    drawn.picture("x.png", f"jpeg/test/{name}.jpg", f"jpeg/train/{name}.jpg")
    assert read("isic2020")[0].image == str(drawn.path / f"jpeg/train/{name}.jpg")


def test_a_picture_of_another_folder_than_the_tables_is_missing(drawn):
    drawn.picture("FAL/a.jpg")
    folder = Folder.at(drawn.path)
    assert folder.picture("NEL/a.jpg") is None and folder.picture("fal/A.PNG") is not None


def test_a_photograph_is_told_from_the_outline_of_its_name(drawn):
    drawn.picture("images/a.jpg")
    (drawn.path / "masks").mkdir()
    draw_outline("mel", seed=1, size=(32, 24)).save(drawn.path / "masks" / "a.png")
    assert Folder.at(drawn.path).picture("a") == str(drawn.path / "images/a.jpg")


def test_a_layout_of_our_own_is_nobody_elses(shared):
    assert find_adapter(shared / "ham10000") is None
    assert find_adapter(shared / "isic2017") is None
    assert find_adapter(shared / "isic2018_attributes").name == "isic2018_attributes"
    assert isic2018_attributes.ADAPTER.recognises(shared / "isic2018_attributes")
