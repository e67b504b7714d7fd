"""ISIC 2019 and 2020, BCN20000, MILK10k, derm7pt, PH2 and the attributes of ISIC 2018."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.sources import derm7pt
from dermsim.data.sources.isic2018_attributes import CONCEPTS, AttributeOutlines

CLASSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")


def one_hot(image, label):
    return {"image": image, **{c: float(c == label) for c in CLASSES}}


# --- ISIC 2019 ------------------------------------------------------------------------------------


@pytest.fixture
def isic2019(drawn):
    names = ["ISIC_0000000", "ISIC_0000001_downsampled", "ISIC_0053453", "ISIC_0024306"]
    drawn.picture(*(f"ISIC_2019_Training_Input/ISIC_2019_Training_Input/{n}.jpg" for n in names))
    truth = drawn.table(
        "ISIC_2019_Training_GroundTruth.csv",
        [one_hot(*pair) for pair in zip(names, ("NV", "MEL", "SCC", "AK"), strict=True)],
    )
    people = [
        ("ISIC_0000000", "55.0", "anterior torso", "", "female"),
        ("ISIC_0000001_downsampled", "", "", "MSK4_0011169", "male"),
        ("ISIC_0053453", "85.0", "head/neck", "BCN_0003884", ""),
        ("ISIC_0024306", "45.0", "palms/soles", "HAM_0000550", "male"),
    ]
    columns = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    drawn.table(
        "ISIC_2019_Training_Metadata.csv", [dict(zip(columns, p, strict=True)) for p in people]
    )
    return truth


def test_isic2019(isic2019, read):
    rows = read("isic2019")
    assert [row.image_id for row in rows] == [
        "ISIC_0000000",
        "ISIC_0000001",
        "ISIC_0053453",
        "ISIC_0024306",
    ]
    assert [row.dx for row in rows] == ["nv", "mel", "other", "akiec"]
    assert [row.original_label for row in rows] == ["NV", "MEL", "SCC", "AK"]
    assert [row.lesion_id for row in rows] == [None, "MSK4_0011169", "BCN_0003884", "HAM_0000550"]
    assert [row.age for row in rows] == [55, None, 85, 45]
    assert [row.sex for row in rows] == ["female", "male", None, "male"]
    assert [row.localization for row in rows] == ["trunk", None, None, "acral"]
    assert {row.modality for row in rows} == {"dermoscopy"} and {row.split for row in rows} == {
        "train"
    }
    assert all(row.image.endswith(".jpg") for row in rows)
    assert read("isic2019", isic2019) == rows


def test_isic2019_without_metadata(isic2019, read):
    (isic2019.parent / "ISIC_2019_Training_Metadata.csv").unlink()
    assert all(row.lesion_id is None and row.age is None for row in read("isic2019"))


def test_isic2019_marks_one_class(drawn, read):
    drawn.table("truth.csv", [{**one_hot("ISIC_1", "NV"), "MEL": 1}])
    with refuses(
        "tables.row",
        image_id="ISIC_1",
        reason=Phrase(
            "sources_vocabulary.one_mark",
            columns=["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"],
            chosen=["MEL", "NV"],
        ),
    ):
        read("isic2019")


def test_isic2019_of_another_word(drawn, read):
    drawn.table("truth.csv", [one_hot("ISIC_1", "NV")])
    drawn.table(
        "meta.csv",
        [{"image": "ISIC_1", "age_approx": 5, "anatom_site_general": "torso front", "sex": "male"}],
    )
    with refuses(
        "sources_vocabulary.unknown_words",
        source="ISIC 2019",
        shown=[Phrase("sources_vocabulary.word", word="torso front", count=1)],
        column="anatom_site_general",
    ):
        read("isic2019")


def test_isic2019_as_published(drawn, read, shared):
    drawn.copy(
        "ISIC_2019_Training_GroundTruth.csv",
        shared / "tables" / "ISIC_2019_Training_GroundTruth.head.csv",
    )
    rows = read("isic2019")
    assert len(rows) == 300 and Counter(row.dx for row in rows) == {"nv": 217, "mel": 83}
    assert not any("downsampled" in row.image_id for row in rows)
    assert all(row.image is None for row in rows)


# --- ISIC 2020 ------------------------------------------------------------------------------------


def test_isic2020_as_published(drawn, read, shared):
    drawn.copy("train.csv", shared / "tables" / "ISIC_2020_Training_GroundTruth.head.csv")
    rows = read("isic2020")
    assert len(rows) == 300
    assert Counter(row.dx for row in rows) == {"other": 245, "nv": 52, "mel": 2, "bkl": 1}
    assert all(row.patient_id.startswith("IP_") and row.lesion_id is None for row in rows)
    assert {row.localization for row in rows} == {
        "trunk",
        "upper extremity",
        "lower extremity",
        "acral",
        None,
    }
    first = rows[0]
    assert (first.image_id, first.age, first.sex) == ("ISIC_2637011", 45, "male")
    assert (first.dx, first.original_label) == ("other", "unknown")  # benign, but not a naevus


def test_isic2020_leaves_second_copies_out(drawn, read, shared):
    drawn.copy("train.csv", shared / "tables" / "ISIC_2020_Training_GroundTruth.head.csv")
    drawn.table(
        "ISIC_2020_Training_Duplicates.csv",
        [{"image_name_1": "ISIC_2637011", "image_name_2": "ISIC_0015719"}],
    )
    names = {row.image_id for row in read("isic2020")}
    assert len(names) == 299 and "ISIC_2637011" in names and "ISIC_0015719" not in names


def test_isic2020_that_contradicts_itself(drawn, read, shared):
    table = drawn.copy("t.csv", shared / "tables" / "ISIC_2020_Training_GroundTruth.head.csv", 3)
    table.write_text(table.read_text().replace("benign,0", "malignant,0", 1))
    with refuses("tables.row", row=0, image_id="ISIC_2637011", reason="isic2020.contradict"):
        read("isic2020")


# --- BCN20000 -------------------------------------------------------------------------------------


def bcn(number, diagnosis, split="train"):
    return {
        "bcn_filename": f"BCN_{number:010d}.jpg",
        "age_approx": 55.0,
        "anatom_site_general": "anterior torso",
        "diagnosis": diagnosis,
        "lesion_id": "BCN_0003884",
        "capture_date": "2012-05-16",
        "sex": "male",
        "split": split,
    }


def test_bcn20000(drawn, read):
    words = ("MEL", "NV", "BCC", "BKL", "AK", "DF", "VASC", "SCC", "OOD")
    drawn.picture(*(f"BCN_20k_train/BCN_{n:010d}.jpg" for n in range(9)))
    drawn.table("bcn_20k_train.csv", [bcn(n, word) for n, word in enumerate(words)])
    drawn.table("bcn_20k_test.csv", [bcn(99, "", "test")])
    rows = read("bcn20000")
    unknown, *rows = rows
    assert unknown.dx is None and unknown.split == "test" and unknown.image is None
    seven = ["mel", "nv", "bcc", "bkl", "akiec", "df", "vasc"]
    assert [row.dx for row in rows] == [*seven, "other", "other"]
    assert rows[0].image_id == "BCN_0000000000" and rows[0].lesion_id == "BCN_0003884"
    assert rows[0].split == "train" and rows[0].localization == "trunk" and rows[0].age == 55
    assert len(read("bcn20000", drawn.path / "bcn_20k_train.csv")) == 9


def test_bcn20000_as_the_archive_exports_it(drawn, read):
    row = {
        "isic_id": "ISIC_0053453",
        "attribution": "Department of Dermatology, Hospital Clínic de Barcelona",
        "copyright_license": "CC-BY-NC",
        "age_approx": 85,
        "diagnosis_1": "Malignant",
        "diagnosis_3": "Melanoma, NOS",
        "sex": "female",
    }
    table = drawn.table("metadata.csv", [row])
    (found,) = read("bcn20000")
    assert (found.dx, found.original_label, found.licence) == ("mel", "Melanoma, NOS", "CC-BY-NC")
    table.write_text(table.read_text().replace("Barcelona", "Wien"))
    from dermsim.data.sources import find_adapter

    assert find_adapter(drawn.path) is None


# --- MILK10k --------------------------------------------------------------------------------------


@pytest.fixture
def milk(drawn, shared):
    for name in ("Metadata", "GroundTruth", "Supplement"):
        drawn.copy(
            f"MILK10k_Training_{name}.csv", shared / "tables" / f"MILK10k_Training_{name}.head.csv"
        )
    return drawn


def test_milk10k_as_published(milk, read):
    milk.picture("MILK10k_Training_Input/IL_0000652/ISIC_8149219.jpg")
    rows = read("milk10k")
    assert len(rows) == 300
    assert Counter(row.modality for row in rows) == {"clinical": 150, "dermoscopy": 150}
    assert all(count == 2 for count in Counter(row.lesion_id for row in rows).values())
    first = rows[0]
    assert (first.image_id, first.dx, first.original_label) == ("ISIC_8149219", "bcc", "BCC")
    assert (first.age, first.sex, first.localization) == (70, "male", None)
    assert first.licence == "CC-BY-NC" and first.image is not None and rows[1].image is None
    assert {row.dx for row in rows} <= {"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc", "other"}
    full = [row for row in rows if row.dx_type]
    assert len(full) == 7 and all(row.original_label not in ("BCC", "NV") for row in full)
    assert {row.dx_type for row in full} <= {"histo", "single contributor clinical assessment"}


def test_milk10k_without_truth(milk, read):
    (milk.path / "MILK10k_Training_GroundTruth.csv").unlink()
    rows = read("milk10k", milk.path / "MILK10k_Training_Metadata.csv")
    assert len(rows) == 300 and all(row.dx is None and row.split is None for row in rows)


# --- derm7pt --------------------------------------------------------------------------------------


def seven_point(number, diagnosis, derm, clinic, **states):
    row = {
        "case_num": number,
        "diagnosis": diagnosis,
        "seven_point_score": 1,
        **dict.fromkeys(derm7pt.CRITERIA, "absent"),
        "level_of_diagnostic_difficulty": "low",
        "elevation": "flat",
        "location": "lower limbs",
        "sex": "female",
        "management": "excision",
        "clinic": clinic,
        "derm": derm,
        "case_id": "",
        "notes": "told by a person",
    }
    return {**row, **states}


def test_derm7pt(drawn, read):
    drawn.picture("images/NEL/Nel026.JPG", "images/NEL/nel027.jpg", "images/FAL/Fal1.jpg")
    drawn.table(
        "meta/meta.csv",
        [
            seven_point(1, "clark nevus", "NEL/Nel026.jpg", "NEL/Nel027.jpg", streaks="regular"),
            seven_point(
                2,
                "melanoma (less than 0.76 mm)",
                "FAL/Fal1.jpg",
                "FAL/Fal1.jpg",
                pigmentation="localized irregular",
            ),
        ],
    )
    drawn.table("meta/train_indexes.csv", [{"indexes": 1}])
    drawn.table("meta/valid_indexes.csv", [{"indexes": 0}])
    rows = read("derm7pt")
    assert [(row.image_id, row.modality) for row in rows] == [
        ("NEL/Nel026", "dermoscopy"),
        ("NEL/Nel027", "clinical"),
        ("FAL/Fal1", "dermoscopy"),  # named as both pictures, read once
    ]
    assert [row.dx for row in rows] == ["nv", "nv", "mel"]
    assert [row.split for row in rows] == ["validation", "validation", "train"]
    assert rows[0].lesion_id == rows[1].lesion_id == "derm7pt_1"
    assert rows[0].concepts["streaks"] == "regular" and len(rows[0].concepts) == 7
    assert rows[2].concepts["pigmentation"] == "localized irregular"
    assert all(row.image is not None for row in rows)
    assert rows[0].localization == "lower extremity" and "told" not in str(rows)


@pytest.mark.parametrize(
    ("column", "word"),
    [("diagnosis", "spitz naevus"), ("pigment_network", "broken"), ("location", "knee")],
)
def test_derm7pt_of_another_word(drawn, read, column, word):
    drawn.table("meta.csv", [{**seven_point(1, "melanoma", "a.jpg", "b.jpg"), column: word}])
    kind = "unknown_labels" if column == "diagnosis" else "unknown_words"
    shown = [Phrase("sources_vocabulary.word", word=word)]
    with refuses(f"sources_vocabulary.{kind}", source="derm7pt", shown=shown, column=column):
        read("derm7pt")


def test_derm7pt_splits_that_name_no_row(drawn, read):
    drawn.table("meta.csv", [seven_point(1, "melanoma", "a.jpg", "b.jpg")])
    drawn.table("test_indexes.csv", [{"indexes": 1}])
    with refuses("derm7pt.index", name="test", index=1, rows=1):
        read("derm7pt")


# --- PH2 ------------------------------------------------------------------------------------------

PH2_HEADER = [
    "Image Name",
    "Histological Diagnosis",
    "Common Nevus",
    "Atypical Nevus",
    "Melanoma",
    "Asymmetry\n(0/1/2)",
    "Pigment Network\n(AT/T)",
    "Dots/Globules\n(A/AT/T)",
    "Streaks\n(A/P)",
    "Regression Areas\n(A/P)",
    "Blue-Whitish Veil\n(A/P)",
    "White",
    "Red",
    "Light-Brown",
    "Dark-Brown",
    "Blue-Gray",
    "Black",
]


def ph2(name, label, asymmetry=0, colours=("Light-Brown",), **changed):
    crosses = {column: "X" for column in (label, *colours)}
    states = dict(zip(PH2_HEADER[5:11], (asymmetry, "T", "A", "A", "P", "A"), strict=True))
    row = {"Image Name": name, **crosses, **states, **changed}
    return [row.get(column) for column in PH2_HEADER]


def write_ph2(drawn, *lines):
    legend = [["Legends"], [None, "0 - Fully Symmetric"], *[[None]] * 10]
    drawn.book("PH2_dataset.xlsx", [*legend, PH2_HEADER, *lines])


def test_ph2(drawn, read):
    drawn.picture(
        "PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp",
        "PH2 Dataset images/IMD003/IMD003_lesion/IMD003_lesion.bmp",
        "PH2 Dataset images/IMD058/IMD058_Dermoscopic_Image/IMD058.bmp",
    )
    write_ph2(
        drawn,
        ph2("IMD003", "Common Nevus"),
        ph2("IMD058", "Melanoma", 2, ("Black", "Red"), **{"Histological Diagnosis": "Melanoma"}),
        [None] * 17,
    )
    first, second = read("ph2")
    assert (first.image_id, first.dx, first.original_label) == ("IMD003", "nv", "Common Nevus")
    assert first.image.endswith("IMD003.bmp") and first.lesion_id is None
    assert first.concepts["asymmetry"] == "symmetric"
    assert first.concepts["pigment network"] == "typical"
    assert first.concepts["regression areas"] == "present"
    assert first.concepts["light-brown"] == "present" and first.concepts["black"] == "absent"
    assert len(first.concepts) == 12 and first.dx_type is None
    assert (second.dx, second.dx_type) == ("mel", "histo")
    assert second.concepts["asymmetry"] == "asymmetric in both axes"
    assert second.concepts["black"] == second.concepts["red"] == "present"


def test_ph2_of_another_word(drawn, read):
    write_ph2(drawn, ph2("IMD003", "Melanoma", 3))
    with refuses(
        "sources_vocabulary.unknown_words",
        source="PH2",
        shown=[Phrase("sources_vocabulary.word", word="3", count=1)],
        column="Asymmetry",
    ):
        read("ph2")


def test_ph2_of_two_diagnoses(drawn, read):
    write_ph2(drawn, ph2("IMD003", "Melanoma", 0, ("Atypical Nevus",)))
    with refuses("tables.row", image_id="IMD003", reason=Phrase("ph2.one_diagnosis", count=2)):
        read("ph2")


def test_ph2_needs_openpyxl(drawn, read, monkeypatch):
    import sys

    write_ph2(drawn, ph2("IMD003", "Melanoma"))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with refuses("optional.not_installed", ImportError, extra="excel"):
        read("ph2")


def test_ph2_that_is_damaged(drawn, read):
    (drawn.path / "PH2_dataset.xlsx").write_bytes(b"PK nothing")
    with refuses("workbook.damaged"):
        read("ph2")


# --- ISIC 2018 Task 2 -----------------------------------------------------------------------------


def write_masks(drawn, image_id, **present):
    for concept in CONCEPTS:
        mask = np.zeros((24, 32), np.uint8)
        if concept in present:
            mask[:6] = 255
        folder = drawn.path / "ISIC2018_Task2_Training_GroundTruth_v3"
        folder.mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / f"{image_id}_attribute_{concept}.png")


def test_attributes_as_published(drawn, read):
    drawn.picture("ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg")
    write_masks(drawn, "ISIC_0000000", streaks=True)
    (row,) = read("isic2018_attributes")
    assert row.dx is None and row.image.endswith("ISIC_0000000.jpg")
    assert row.concepts == {c: "present" if c == "streaks" else "absent" for c in CONCEPTS}
    outlines = AttributeOutlines(drawn.path)
    region = outlines.region("ISIC_0000000", "streaks")
    assert region.shape == (24, 32) and region.sum() == 6 * 32
    assert outlines.region("ISIC_0000000", "globules") is None
    with pytest.raises(KeyError):
        outlines.region("ISIC_0000001", "streaks")


def test_attributes_of_which_a_mask_is_missing(drawn, read):
    write_masks(drawn, "ISIC_0000000")
    (
        drawn.path / "ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000000_attribute_globules.png"
    ).unlink()
    with refuses("isic2018_attributes.no_mask", image_id="ISIC_0000000", missing=["globules"]):
        read("isic2018_attributes")


def test_attributes_in_parquet(read, shared):
    rows = read("isic2018_attributes", shared / "isic2018_attributes")
    assert len(rows) == 2065 and all(isinstance(row.image, bytes) for row in rows)
    present = Counter(c for row in rows for c, state in row.concepts.items() if state == "present")
    assert present == {
        "pigment_network": 1211,
        "milia_like_cyst": 560,
        "globules": 483,
        "negative_network": 151,
        "streaks": 91,
    }
    outlines = AttributeOutlines(shared / "isic2018_attributes")
    with_network = next(row for row in rows if row.concepts["pigment_network"] == "present")
    assert outlines.region(with_network.image_id, "pigment_network").any()
