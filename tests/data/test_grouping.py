"""What belongs together stays together, whatever the order of the rows."""

import numpy as np
import pytest
from datasets import Dataset

from dermsim.data.grouping import UnionFind, group_ids
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import synthetic_ham10000


def rows(*lines):
    names = ("image_id", "lesion_id", "patient_id")
    return Dataset.from_dict({n: [line[i] for line in lines] for i, n in enumerate(names)})


def test_sets_are_joined():
    sets = UnionFind(5)
    sets.union(3, 1)
    sets.union(4, 3)
    assert [sets.find(item) for item in range(5)] == [0, 1, 2, 1, 1]
    sets.join_equal(["x", None, "x", "y", None])
    assert sets.find(2) == 0 and sets.find(4) == 1


def test_patient_lesion_near_duplicate_picture_in_this_order():
    data = rows(
        ("a", "L1", "P1"),
        ("b", "L2", "P1"),  # the same patient
        ("c", "L2", None),  # the same lesion as b
        ("d", None, None),  # a copy of c
        ("e", None, None),  # nothing is known
        ("f", "L3", None),
        ("g", "L3", None),
    )
    groups = group_ids(data, near_duplicates=[["c", "d", "not here"]])
    assert groups == ["P1", "P1", "P1", "P1", "e", "L3", "L3"]
    assert group_ids(data) == ["P1", "P1", "P1", "d", "e", "L3", "L3"]


def test_what_is_not_known_joins_nothing():
    data = rows(*((name, None, None) for name in "abc"))
    assert group_ids(data) == ["a", "b", "c"]
    assert group_ids(data.select_columns(["image_id"])) == ["a", "b", "c"]


def test_the_same_picture_of_two_sets_is_one():
    data = rows(("ISIC_1", "HAM_1", None), ("ISIC_1", None, None), ("ISIC_2", "HAM_1", None))
    assert len(set(group_ids(data))) == 1


def test_the_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(0)
    lines = [
        (f"i{n}", f"L{rng.integers(30)}", f"P{rng.integers(20)}" if rng.random() < 0.5 else None)
        for n in range(80)
    ]
    pairs = [[f"i{a}", f"i{b}"] for a, b in rng.integers(0, 80, (5, 2))]
    straight = dict(
        zip(
            [line[0] for line in lines], group_ids(rows(*lines), near_duplicates=pairs), strict=True
        )
    )
    mixed = [lines[i] for i in rng.permutation(80)]
    again = dict(
        zip(
            [line[0] for line in mixed], group_ids(rows(*mixed), near_duplicates=pairs), strict=True
        )
    )
    assert straight == again


def test_lesions_are_split_as_before():
    data = synthetic_ham10000(60, size=(24, 16))
    assert group_ids(data) == data["lesion_id"][:]


@pytest.fixture
def patients():
    """60 lesions of 30 patients."""
    data = synthetic_ham10000(60, size=(24, 16))
    number = [int(lesion.removeprefix("SYNL_")) for lesion in data["lesion_id"]]
    return data.add_column("patient_id", [f"P{n // 2}" for n in number])


def test_no_split_cuts_a_patient(patients):
    splits = grouped_splits(patients)
    seen = [set(part["patient_id"]) for part in splits.values()]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    cut = grouped_splits(patients.remove_columns("patient_id"))
    kept = dict(zip(patients["image_id"], patients["patient_id"], strict=True))
    seen = [{kept[name] for name in part["image_id"]} for part in cut.values()]
    assert seen[0] & seen[1]  # without patients some are cut


def test_no_split_cuts_near_duplicates():
    data = synthetic_ham10000(60, size=(24, 16))
    plain = grouped_splits(data)
    pair = [plain["train"]["image_id"][0], plain["test"]["image_id"][0]]
    splits = grouped_splits(data, near_duplicates=[pair])
    assert any(set(pair) <= set(part["image_id"]) for part in splits.values())


def test_unknown_lesions_are_no_lesion():
    data = synthetic_ham10000(60, size=(24, 16), images_per_lesion=1)
    unknown = data.remove_columns("lesion_id").add_column("lesion_id", [None] * len(data))
    splits = grouped_splits(unknown)
    assert min(len(part) for part in splits.values()) >= 5
