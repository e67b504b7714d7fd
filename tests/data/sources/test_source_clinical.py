"""PAD-UFES-20, MRA-MIDAS, DDI, Fitzpatrick17k, SkinCon, SkinCAP, Derm1M, DermNet and SD-198."""

from collections import Counter

import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.dataset import load_dataset
from dermsim.data.sources import ddi, dermnet, find_adapter, sd198, skincap, skincon

# --- PAD-UFES-20 ----------------------------------------------------------------------------------


def test_pad_ufes_20_as_published(read, shared):
    rows = read("pad_ufes_20", shared / "pad_ufes_20")
    assert len(rows) == 2298
    assert len({row.patient_id for row in rows}) == 1373
    assert len({row.lesion_id for row in rows}) >= 1641  # a number alone is not a lesion's own
    assert Counter(row.dx for row in rows) == {
        "bcc": 845,
        "akiec": 730,
        "nv": 244,
        "bkl": 235,
        "other": 192,
        "mel": 52,
    }
    assert {row.modality for row in rows} == {"clinical"}
    assert all(row.age is not None and row.localization is not None for row in rows)
    # what is missing from the questionnaire tells the diagnosis, so nothing of it is read
    assert all(row.sex is None for row in rows)
    assert Counter(row.dx_type for row in rows) == {"histo": 1342, None: 956}
    first = rows[0]
    assert (first.image_id, first.lesion_id) == ("PAT_1516_1765_530", "PAT_1516_1765")
    assert (first.age, first.localization, first.original_label) == (8, "upper extremity", "NEV")
    there = [row for row in rows if row.image is not None]
    assert len(there) == 109
    with refuses(
        "tables.row",
        reason=Phrase("dataset.no_image_file", beside=Phrase("dataset.more_rows", count=2188)),
    ):
        load_dataset(shared / "pad_ufes_20")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ",ARM,",
            ",KNEE,",
            Phrase(
                "sources_vocabulary.unknown_words",
                shown=[Phrase("sources_vocabulary.word", word="KNEE", count=1)],
                column="region",
            ),
        ),
        (
            ",NEV,",
            ",NEVUS,",
            Phrase(
                "sources_vocabulary.unknown_labels",
                shown=[Phrase("sources_vocabulary.word", word="NEVUS", count=1)],
                column="diagnostic",
            ),
        ),
        (",8,", ",800,", Phrase("tables.row", reason=Phrase("rows.age", text="800"))),
        ("PAT_1516,", ",", Phrase("tables.row", reason="pad_ufes_20.patient_id")),
        ("PAT_1516_1765_530.png", "", Phrase("sources_vocabulary.no_key", column="img_id")),
    ],
)
def test_pad_ufes_20_with_a_fault(drawn, read, shared, old, new, message):
    table = drawn.copy("metadata.csv", shared / "pad_ufes_20" / "metadata.csv", 2)
    table.write_text(table.read_text().replace(old, new, 1))
    with refuses(message):
        read("pad_ufes_20")


# --- MRA-MIDAS ------------------------------------------------------------------------------------


def midas(file, path="malignant- bcc", distance="6in", record="r1", control="no", **changed):
    return {
        "": 0,
        "midas_record_id": record,
        "midas_file_name": file,
        "midas_iscontrol": control,
        "midas_distance": distance,
        "midas_location": "l upper back",
        "midas_path": path,
        "midas_pathreport": "Mrs Example, born in 1950",
        "midas_gender": "female",
        "midas_age": 60,
        "clinical_impression_1": "malignant- melanoma",
        "length_(mm)": 5,
        **changed,
    }


MIDAS = [
    midas("s-prd-1.jpeg"),
    midas("s-prd-2.jpg", distance="1ft"),
    midas("s-prd-3.jpg", distance="dscope"),
    midas("s-prd-4.jpg", path="0", record="r2"),
    midas("s-prd-5.jpg", path="", control="yes"),
    midas("s-prd-6.jpg", path="malignant- sccis", distance="n/a - virtual", record="r3"),
]


@pytest.fixture(params=["csv", "xlsx"])
def mra_midas(request, drawn):
    drawn.picture(*(f"s-prd-{n}.jpg" for n in range(1, 7)))
    if request.param == "csv":
        drawn.table("release_midas.csv", MIDAS)
    else:
        lines = [[None if value == "" else value for value in row.values()] for row in MIDAS]
        drawn.book("release_midas.xlsx", [[name or None for name in MIDAS[0]], *lines])
    return drawn


def test_mra_midas(mra_midas, read):
    rows = read("mra_midas")
    assert [row.dx for row in rows] == ["bcc", "bcc", "bcc", None, "other", "akiec"]
    assert [row.modality for row in rows] == [
        "clinical",
        "clinical",
        "dermoscopy",
        "clinical",
        "clinical",
        "clinical",
    ]
    assert rows[0].image.endswith("s-prd-1.jpg")  # the table says .jpeg
    assert len({row.lesion_id for row in rows[:3]}) == 1
    assert rows[4].lesion_id != rows[0].lesion_id and rows[4].patient_id == rows[0].patient_id
    assert rows[4].original_label == "control (healthy skin)"
    assert [row.dx_type for row in rows[:5]] == ["histo"] * 3 + [None] * 2
    assert rows[0].age == 60 and rows[0].sex == "female"
    assert "Example" not in str(rows) and "melanoma" not in str(rows)


def test_mra_midas_of_another_word(drawn, read):
    drawn.table("release_midas.csv", [midas("a.jpg", path="malignant- merkel")])
    with refuses(
        "sources_vocabulary.unknown_labels",
        shown=[Phrase("sources_vocabulary.word", word="malignant- merkel", count=1)],
        column="midas_path",
    ):
        read("mra_midas")
    assert read("mra_midas", mapping={"malignant- merkel": "other"})[0].dx == "other"


# --- DDI ------------------------------------------------------------------------------------------


def ddi_row(number, disease, malignant="FALSE", tone=12):
    return {
        "": number,
        "DDI_ID": number,
        "DDI_file": f"{number:06d}.png",
        "skin_tone": tone,
        "malignant": malignant,
        "disease": disease,
    }


def test_ddi(drawn, read):
    drawn.picture("000001.png")
    drawn.table("ddi_metadata.csv", [ddi_row(n, word) for n, word in enumerate(ddi.LABELS)])
    rows = read("ddi")
    dx_of = {row.original_label: row.dx for row in rows}
    assert dx_of["melanoma-acral-lentiginous"] == "mel" and dx_of["melanocytic-nevi"] == "nv"
    assert dx_of["squamous-cell-carcinoma-in-situ"] == "akiec"
    assert dx_of["squamous-cell-carcinoma"] == dx_of["epidermal-nevus"] == "other"
    assert rows[1].image_id == "000001" and rows[1].image is not None
    assert all(row.patient_id is None and row.lesion_id is None for row in rows)
    assert {row.modality for row in rows} == {"clinical"}


def test_ddi_that_was_edited(drawn, read):
    drawn.table("ddi_metadata.csv", [ddi_row(1, "melanoma", malignant="perhaps")])
    with refuses(
        "sources_vocabulary.unknown_words",
        shown=[Phrase("sources_vocabulary.word", word="perhaps", count=1)],
        column="malignant",
    ):
        read("ddi")


# --- Fitzpatrick17k, SkinCon, SkinCAP -------------------------------------------------------------


def test_fitzpatrick17k_as_published(drawn, read, shared):
    drawn.copy("fitzpatrick17k.csv", shared / "tables" / "fitzpatrick17k.head.csv")
    drawn.picture("images/5e82a45bc5d78bd24ae9202d194423f8.jpg")
    rows = read("fitzpatrick17k")
    assert len(rows) == 200 and rows[0].image is not None and rows[1].image is None
    counted = Counter(row.dx for row in rows)
    assert counted["other"] > 150 and counted["mel"] == 6 and counted["bcc"] == 6
    assert counted["df"] == 5 and counted["akiec"] == 2 and counted["vasc"] == 2
    assert counted["nv"] == 3  # nevocytic, congenital, halo
    assert all("http" not in str(row) for row in rows)


def test_fitzpatrick17k_called_by_its_address(drawn, read, shared):
    drawn.copy("fitzpatrick17k.csv", shared / "tables" / "fitzpatrick17k.head.csv", 2)
    name = (
        "httpwwwdermaamincomsiteimagesclinicalpicmminocyclinepigmentationminocyclinepigmentation1"
    )
    drawn.picture(f"images/{name}jpg.jpg")
    (row,) = read("fitzpatrick17k")
    assert row.image is not None


def test_fitzpatrick17k_gives_no_label_that_was_found_wrong(drawn, read, shared):
    table = drawn.copy("t.csv", shared / "tables" / "fitzpatrick17k.head.csv", 4)
    text = table.read_text()
    assert ",benign dermal,benign,," in text
    table.write_text(text.replace(",benign dermal,benign,,", ",benign,benign,3 Wrongly labelled,"))
    wrong = read("fitzpatrick17k")[2]
    assert (wrong.dx, wrong.original_label) == (None, "dermatofibroma")


def skincon_row(name, unfit=0, *present):
    states = {concept: int(concept in present) for concept in skincon.CONCEPTS}
    return {"": 0, "ImageID": name, **states, skincon.UNFIT: unfit}


def test_skincon(drawn, read):
    assert len(skincon.CONCEPTS) == len(set(skincon.CONCEPTS)) == 48
    drawn.picture("000001.png")
    drawn.table(
        "annotations_fitzpatrick17k.csv",
        [skincon_row("5e82.jpg", 0, "Papule", "Dome-shaped"), skincon_row("fa29.jpg", 1)],
    )
    drawn.table("annotations_ddi.csv", [skincon_row("000001.png", 0, "Brown(Hyperpigmentation)")])
    rows = {row.image_id: row for row in read("skincon")}
    assert set(rows) == {"000001", "5e82"}  # one is unfit
    assert all(row.dx is None and len(row.concepts) == 48 for row in rows.values())
    present = [c for c, state in rows["5e82"].concepts.items() if state == "present"]
    assert present == ["Papule", "Dome-shaped"]
    assert rows["000001"].image is not None


def test_skincon_that_lacks_a_concept(drawn, read):
    row = skincon_row("a.jpg")
    del row["Burrow"], row["Cyst"]
    drawn.table("annotations_ddi.csv", [row])
    with refuses("skincon.no_column", source="SkinCon", missing=["Burrow", "Cyst"]):
        read("skincon")


def skincap_row(number, disease, original=None, unfit=0):
    row = {
        "id": number,
        "skincap_file_path": f"{number}.png",
        "disease": disease,
        "caption_zh": "面部红斑",
        "caption_zh_polish": "面部可见红斑",
        "caption_zh_polish_en": "It is discoid lupus.",
        **skincon_row("x", unfit, "Erythema"),
    }
    del row[""], row["ImageID"]
    return row if original is None else {**row, "ori_file_path": original}


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_skincap(drawn, read, form):
    table = [
        skincap_row(1, "melanocytic nevi", "DDI/000123.png"),
        skincap_row(2, "squamous cell carcinoma in situ", "fitz/5e82.jpg"),
        skincap_row(3, "psoriasis", "fitz/77.jpg", unfit=1),
    ]
    drawn.picture("skincap/1.png")
    if form == "csv":
        drawn.table("skincap_v240623.csv", table)
    else:
        drawn.book("skincap_v240715.xlsx", [list(table[0]), *(list(r.values()) for r in table)])
    first, second = read("skincap")
    assert (first.image_id, first.dx, first.caption) == ("000123", "nv", "面部红斑")
    assert second.image_id == "5e82" and second.dx == "akiec" and second.image is None
    assert first.concepts["Erythema"] == "present" and first.image is not None
    assert "lupus" not in str(first)


def test_skincap_without_original_names(drawn, read):
    drawn.table("skincap.csv", [skincap_row(7, "acne vulgaris")])
    assert read("skincap")[0].image_id == "skincap_7"
    assert len(skincap.LABELS) == 178  # as many as the paper counts


def test_concepts_beside_their_pictures_table_are_two_sets(drawn, shared):
    drawn.copy("fitzpatrick17k.csv", shared / "tables" / "fitzpatrick17k.head.csv", 4)
    table = drawn.table("annotations_fitzpatrick17k.csv", [skincon_row("a.jpg")])
    with refuses("sources_registry.several", titles=["Fitzpatrick17k", "SkinCon"]):
        find_adapter(drawn.path)
    assert find_adapter(table).name == "skincon"


# --- Derm1M ---------------------------------------------------------------------------------------


def derm1m(filename, disease="no definitive diagnosis", **changed):
    return {
        "filename": filename,
        "caption": "A brown macule on the back.",
        "truncated_caption": "A brown macule.",
        "source": "youtube",
        "source_type": "edu",
        "disease_label": disease,
        "hierarchical_disease_label": disease,
        "skin_concept": "No visual concepts",
        "body_location": "No body location information",
        "symptoms": "No symptom information",
        "age": "No age information",
        "gender": "No gender information",
        **changed,
    }


def test_derm1m(drawn, read):
    drawn.picture("youtube/ab_c_frame_35881_3.jpg", "IIYI/0_1.png", "20385_2.png")
    drawn.table(
        "Derm1M_v2_pretrain.csv",
        [
            derm1m("youtube/ab_c_frame_35881_3.jpg", "melanoma", age="49", gender="male"),
            derm1m("IIYI/0_1.png", "libido racemosa", skin_concept="red, patch"),
            derm1m("IIYI/20385_2.png", "foot ulcer, ulcer", source_type="forum"),
            derm1m("pubmed/98_a8_PMC9907656_SRT-28-g001_0.jpg", "Seborrheic keratosis", age="old"),
            derm1m("edu/Atlas part1_00311_12159.png", truncated_caption=""),
        ],
    )
    drawn.table(
        "Derm1M_v2_validation.csv",
        [derm1m("public/dermoscopy-00--1.png", caption="Dermatoscopic image.")],
    )
    rows = read("derm1m")
    assert [row.dx for row in rows] == ["mel", "other", "other", "bkl", None, None]
    assert [row.split for row in rows] == ["train"] * 5 + ["validation"]
    assert [row.modality for row in rows] == ["clinical"] * 5 + ["dermoscopy"]
    assert [row.lesion_id for row in rows] == [
        "derm1m_youtube/ab_c",
        "derm1m_IIYI/0",
        "derm1m_IIYI/20385",
        "derm1m_PMC9907656",
        "derm1m_edu/Atlas part1_00311",
        None,
    ]
    assert [row.age for row in rows[:4]] == [49, None, None, None]
    assert rows[0].sex == "male" and rows[1].sex is None
    assert rows[0].concepts == {} and rows[1].concepts == {"red": "present", "patch": "present"}
    assert rows[0].caption == "A brown macule." and rows[4].caption == "A brown macule on the back."
    assert rows[0].image_id == "youtube/ab_c_frame_35881_3"
    assert [row.image is not None for row in rows[:4]] == [True, True, True, False]
    assert len(read("derm1m", drawn.path / "Derm1M_v2_validation.csv")) == 1


def test_derm1m_of_another_word(drawn, read):
    drawn.table("Derm1M_v2_pretrain.csv", [derm1m("a/b.png", gender="both")])
    with refuses(
        "sources_vocabulary.unknown_words",
        shown=[Phrase("sources_vocabulary.word", word="both", count=1)],
        column="gender",
        first=0,
        known=["female", "f", "male", "m", "unknown", "No gender information"],
    ):
        read("derm1m")


# --- folders of diseases --------------------------------------------------------------------------


def test_dermnet(drawn, read):
    names = list(dermnet.LABELS)[:3]
    drawn.picture(
        f"train/{names[0]}/acne-1.jpg", f"train/{names[1]}/bcc-1.jpg", f"test/{names[2]}/bcc-1.jpg"
    )
    rows = read("dermnet")
    assert {row.dx for row in rows} == {"other"} and len({row.image_id for row in rows}) == 3
    assert [row.split for row in rows] == ["test", "train", "train"]
    assert rows[0].original_label == names[2]
    drawn.picture("train/Moles/a.jpg")
    with refuses(
        "sources_vocabulary.unknown_labels",
        shown=[Phrase("sources_vocabulary.word", word="Moles", count=1)],
    ):
        read("dermnet")


def test_a_test_in_a_name_is_no_split(drawn, read):
    drawn.path.joinpath("latest").mkdir()
    drawn.picture(*(f"contest/{name}/a.jpg" for name in list(dermnet.LABELS)[:3]))
    assert {row.split for row in read("dermnet")} == {None}


def test_sd198(drawn, read):
    names = list(sd198.LABELS)[:20]
    drawn.picture(*(f"images/{name}/1.jpg" for name in names))
    rows = read("sd198")
    assert {row.original_label for row in rows} == set(names)
    assert {row.original_label: row.dx for row in rows}["Bowen's_Disease"] == "akiec"
    assert len({row.image_id for row in rows}) == 20


def test_ones_own_folder_for_each_class_is_not_sd198(drawn):
    drawn.picture("Basal_Cell_Carcinoma/1.jpg", "Seborrheic_Keratosis/1.jpg", "Eczema/1.jpg")
    assert find_adapter(drawn.path) is None
    drawn.path.joinpath("8_2_split").mkdir()
    drawn.path.joinpath("8_2_split/train_0.txt").write_text("Eczema/1.jpg 0\n")
    assert find_adapter(drawn.path).name == "sd198"
