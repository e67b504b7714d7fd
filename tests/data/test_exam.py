"""The exam is refused, however its pictures are called."""

from pathlib import Path

import pytest
from datasets import Dataset
from refusals import refuses

from dermsim.data.exam import exam_of, refuse_exam, without_exam
from dermsim.data.synthetic import synthetic_ham10000

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TASK_3, ISIC_2017 = "ISIC 2018 Task 3 test", "ISIC 2017 test"


@pytest.mark.parametrize(
    ("image_id", "exam"),
    [
        ("ISIC_0034321", TASK_3),
        ("ISIC_0036064", TASK_3),
        ("ISIC_0034320", None),  # the last of HAM10000
        ("ISIC_0036065", None),
        ("ISIC_0012086", ISIC_2017),
        ("ISIC_0016072", ISIC_2017),
        ("ISIC_0012087", None),
        ("ISIC_0012086_downsampled", ISIC_2017),
        ("isic_0012086.JPG", ISIC_2017),
        ("ISIC-2017_Test_v2_Data/ISIC_0012086.jpg", ISIC_2017),
        (r"ISIC-2017_Test_v2_Data\ISIC_0012086_superpixels.png", ISIC_2017),
        ("ISIC2018_Task3_Test_Input/ISIC_0035000.jpg", TASK_3),
        ("ISIC-0012086 (1)", ISIC_2017),
        ("ISIC_12086", ISIC_2017),  # a table program ate the zeros
        ("SYN_0012086", None),
        ("0012086", None),  # a number alone is anybody's
        ("ISIC_00120860", None),
        ("ISIC_0000000", None),
        ("", None),
        (None, None),
    ],
)
def test_a_picture_is_known_by_its_number(image_id, exam):
    assert exam_of(image_id) == exam


def test_the_refusal_counts_and_names():
    ids = ["ISIC_0024306", *(f"ISIC_00343{n}" for n in range(21, 29)), "ISIC_0012086"]
    with pytest.raises(ValueError) as caught:
        refuse_exam(ids, source="isic2019")
    text = str(caught.value)
    assert text.startswith(
        "9 of the pictures of isic2019 belong to the ISIC 2017 test and the ISIC"
    )
    assert "ISIC_0034321" in text and "ISIC_0034325" in text and "ISIC_0034326" not in text
    assert "leave them out" in text and "\n" not in text


def test_what_is_no_exam_passes():
    refuse_exam([])
    refuse_exam([None, "ISIC_0024306"])
    refuse_exam(synthetic_ham10000(2, size=(32, 24))["image_id"])


def test_the_exam_can_be_left_out():
    rows = Dataset.from_dict(
        {"image_id": ["b", "ISIC_0034400", "a", "ISIC_0012086"], "n": range(4)}
    )
    kept = without_exam(rows)
    assert kept["image_id"][:] == ["b", "a"] and kept["n"][:] == [0, 2]
    refuse_exam(kept["image_id"])
    with refuses("exam.only_exam"):
        without_exam(rows.select([1, 3]))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_exactly_the_600_of_2017_are_refused():
    ids = (SHARED / "tables" / "isic2017_test_ids.txt").read_text().split()
    assert len(ids) == 600
    assert {exam_of(name) for name in ids} == {ISIC_2017}
    every = [f"ISIC_{number:07d}" for number in range(100_000)]
    refused = [name for name in every if exam_of(name) == ISIC_2017]
    assert sorted(refused) == sorted(ids)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", ["ham10000_256", "isic2017", "isic2019_84", "isic2018_attributes"])
def test_the_sets_to_train_on_hold_none(name):
    import pyarrow.parquet as pq

    for table in (SHARED / name / "data").glob("*.parquet"):
        refuse_exam(pq.read_table(table, columns=["image_id"])["image_id"].to_pylist(), source=name)
