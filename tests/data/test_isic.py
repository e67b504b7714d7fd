import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.isic import find_ground_truth
from dermsim.data.tables import schema

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
PART = "ISIC2018_Task3_Test"
CONFIRMED = {
    "histo": "histopathology",
    "follow_up": "serial imaging showing no change",
    "consensus": "single image expert consensus",
    "confocal": "confocal microscopy with consensus dermoscopy",
}


def one_hot(row):
    return {
        "image": row["image_id"],
        **{c: "1.0" if c.lower() == row["dx"] else "0.0" for c in CLASSES},
    }


@pytest.fixture
def task3(layout, rows):
    """The official 2018 layout: pictures and truth in folders of their own."""
    layout.write_images(layout.folder / f"{PART}_Input", rows)
    table = layout.folder / f"{PART}_GroundTruth" / f"{PART}_GroundTruth.csv"
    layout.write_csv(table, [one_hot(row) for row in rows], columns=["image", *CLASSES])
    return table


def write_2017(layout, rows, part="Test_v2"):
    dx_of = {"mel": (1, 0), "bkl": (0, 1), "nv": (0, 0)}
    few = [row for row in rows if row["dx"] in dx_of]
    folder = layout.folder / f"ISIC-2017_{part}_Data"
    layout.write_images(folder, few)
    for row in few:
        (folder / f"{row['image_id']}_superpixels.png").write_bytes(b"not looked at")
        (folder / f"{row['image_id']}_features.json").write_text("{}")
    truth = [
        {
            "image_id": row["image_id"],
            "melanoma": f"{dx_of[row['dx']][0]}.0",
            "seborrheic_keratosis": f"{dx_of[row['dx']][1]}.0",
        }
        for row in few
    ]
    layout.write_csv(layout.folder / f"ISIC-2017_{part}_Part3_GroundTruth.csv", truth)
    return few


def test_2018_task3(task3, layout, rows):
    with pytest.warns(UserWarning, match="no lesion_id"):
        dataset = load_ham10000(layout.folder)
    assert dataset.features == schema()
    expected = {row["image_id"]: CODES.index(row["dx"]) for row in rows}
    assert dict(zip(dataset["image_id"], dataset["dx"], strict=True)) == expected


def test_2018_task3_with_lesion_groupings(task3, layout, rows):
    groupings = [
        {
            "image": row["image_id"],
            "lesion_id": row["lesion_id"],
            "diagnosis_confirm_type": CONFIRMED[row["dx_type"]],
        }
        for row in rows
    ]
    table = layout.folder / f"{PART}_LesionGroupings.csv"
    layout.write_csv(table, groupings, columns=list(groupings[0]))
    # those of another part know nothing of these pictures and are left alone
    other = layout.folder / "ISIC2018_Task3_Training_LesionGroupings.csv"
    layout.write_csv(other, groupings[:1], columns=list(groupings[0]))
    dataset = load_ham10000(layout.folder)
    by_id = {row["image_id"]: row for row in rows}
    for row in dataset.remove_columns("image"):
        assert row["lesion_id"] == by_id[row["image_id"]]["lesion_id"]
        assert row["dx_type"] == by_id[row["image_id"]]["dx_type"]


def test_2018_truth_with_facts_as_dataverse_serves_it(layout, rows, lesions):
    layout.write_images(layout.folder / "ISIC2018_Task3_Test_Images", rows)
    table = layout.folder / f"{PART}_GroundTruth.csv"
    layout.write_csv(table, [{**row, "dataset": "rosendahl"} for row in rows])
    dataset = load_ham10000(layout.folder)
    assert dataset.remove_columns("image").to_list() == lesions.remove_columns("image").to_list()


def test_several_truths_must_be_told_apart(task3, layout, rows):
    other = layout.folder / "ISIC2018_Task3_Validation_GroundTruth.csv"
    layout.write_csv(other, [one_hot(rows[0])], columns=["image", *CLASSES])
    with refuses(
        "isic.several_truths",
        names=["ISIC2018_Task3_Test_GroundTruth.csv", "ISIC2018_Task3_Validation_GroundTruth.csv"],
    ):
        load_ham10000(layout.folder)
    with pytest.warns(UserWarning, match="no lesion_id"):
        assert len(load_ham10000(task3)) == len(rows)
    with pytest.warns(UserWarning, match="no lesion_id"):
        assert len(load_ham10000(str(other))) == 1


def test_2018_without_a_class(task3, layout, rows):
    truth = [one_hot(row) for row in rows]
    truth[3] = {c: "0.0" for c in CLASSES} | {"image": rows[3]["image_id"]}
    layout.write_csv(task3, truth, columns=["image", *CLASSES])
    reason = Phrase("isic.one_class", count=0)
    with refuses("tables.row", row=3, image_id=rows[3]["image_id"], reason=reason):
        load_ham10000(layout.folder)


def test_2018_with_a_probability(task3, layout, rows):
    truth = [one_hot(row) for row in rows]
    truth[2]["NV"] = "0.4"
    layout.write_csv(task3, truth, columns=["image", *CLASSES])
    with refuses(
        "tables.row",
        row=2,
        image_id="SYN_0000005",
        reason=Phrase("isic.zero_or_one", column="NV", value="0.4"),
    ):
        load_ham10000(layout.folder)


def test_2018_missing_picture(task3, layout, rows):
    (layout.folder / f"{PART}_Input" / f"{rows[9]['image_id']}.jpg").unlink()
    with (
        pytest.warns(UserWarning, match="no lesion_id"),
        refuses("tables.row", row=9, image_id="SYN_0000019", reason="dataset.no_image_file"),
    ):
        load_ham10000(layout.folder)


def test_2018_without_any_picture(tmp_path, layout, rows):
    table = tmp_path / f"{PART}_GroundTruth.csv"
    layout.write_csv(table, [one_hot(rows[0])], columns=["image", *CLASSES])
    with refuses("images.empty_folder"):
        load_ham10000(tmp_path)


def test_2017_part3(layout, rows):
    few = write_2017(layout, rows)
    with pytest.warns(UserWarning, match="no lesion_id"):
        dataset = load_ham10000(layout.folder)
    expected = {row["image_id"]: CODES.index(row["dx"]) for row in few}
    assert dict(zip(dataset["image_id"], dataset["dx"], strict=True)) == expected
    assert set(dataset["age"]) == {None}


def test_2017_part3_with_metadata(layout, rows):
    few = write_2017(layout, rows)
    people = [
        {"image_id": row["image_id"], "age_approximate": row["age"] or "unknown", "sex": row["sex"]}
        for row in few
    ]
    layout.write_csv(layout.folder / "ISIC-2017_Test_v2_Data_metadata.csv", people)
    with pytest.warns(UserWarning, match="no lesion_id"):
        dataset = load_ham10000(layout.folder)
    expected = {row["image_id"]: (row["age"], row["sex"]) for row in few}
    for row in dataset.remove_columns("image"):
        assert (row["age"], row["sex"]) == expected[row["image_id"]]


def test_2017_with_two_classes(layout, rows):
    write_2017(layout, rows)
    table = layout.folder / "ISIC-2017_Test_v2_Part3_GroundTruth.csv"
    both = [{"image_id": "ISIC_1", "melanoma": "1.0", "seborrheic_keratosis": "1.0"}]
    layout.write_csv(table, both)
    with refuses("tables.row", row=0, image_id="ISIC_1", reason="isic.at_most_one"):
        load_ham10000(layout.folder)


def test_truth_of_another_form(layout, rows):
    layout.write_csv(layout.folder / f"{PART}_GroundTruth.csv", [{"image": "a", "MEL": "1"}])
    with refuses("isic.not_a_truth"):
        load_ham10000(layout.folder)


def test_find_ground_truth(tmp_path):
    assert find_ground_truth(tmp_path) is None
    other = tmp_path / "labels.csv"
    other.touch()
    assert find_ground_truth(other) is None
