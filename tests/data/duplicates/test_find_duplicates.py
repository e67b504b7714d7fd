"""From sources to tables and sheets: what is listed, read, passed over and written."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from refusals import refuses

from dermsim.data.duplicates import (
    check_folder,
    find_duplicates,
    list_source,
    load_components,
)
from dermsim.data.duplicates.report import COMPONENT_COLUMNS, PAIR_COLUMNS
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion, synthetic_ham10000

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def lesion(seed):
    return draw_lesion("bkl", seed=seed, size=(200, 150))


@pytest.fixture
def two(tmp_path):
    """A folder of five lesions with a table, and one of two copies and two others."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one / "pictures", other / "deep"):
        folder.mkdir(parents=True)
    for seed in range(5):
        lesion(seed).save(one / "pictures" / f"ISIC_000000{seed}.png")
    with (one / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "lesion_id", "patient_id"])
        writer.writerows([f"ISIC_000000{seed}", f"L{seed}", f"P{seed // 2}"] for seed in range(5))
    lesion(1).resize((120, 90)).save(other / "deep" / "copy.jpg", quality=60)
    lesion(4).crop((25, 0, 175, 150)).save(other / "ISIC_0000004.png")
    lesion(8).save(other / "a.png")
    lesion(9).save(other / "b.png")
    return one, other


def test_copies_are_found_across_folders(two):
    one, other = map(str, two)
    found = find_duplicates([one, other])
    assert len(found.pictures) == 9 and not found.unread
    names = {
        frozenset((found.pictures[a].image_id, found.pictures[b].image_id))
        for a, b in (pair.rows for pair in found.pairs)
    }
    assert names == {frozenset(("ISIC_0000001", "copy")), frozenset(("ISIC_0000004",))}
    assert found.between() == {(one, other): 2}
    assert found.shared_names() == (1, 1)
    assert len(found.components) == 2 and found.exam_copies() == []


def test_what_is_listed_of_a_folder(two):
    listed = list_source(str(two[0]))
    assert [(item.image_id, item.lesion_id, item.patient_id) for item in listed][:2] == [
        ("ISIC_0000000", "L0", "P0"),
        ("ISIC_0000001", "L1", "P0"),
    ]
    assert [item.image_id for item in list_source(str(two[1]))] == [
        "ISIC_0000004",
        "a",
        "b",
        "copy",
    ]


def test_tables_and_sheets_are_written(two, tmp_path):
    found = find_duplicates([str(folder) for folder in two])
    folder = tmp_path / "out"
    found.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "components.csv",
        "duplicates.csv",
        "pairs-01.jpg",
    ]
    with (folder / "duplicates.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames) == PAIR_COLUMNS and len(rows) == 2
    copy = next(row for row in rows if row["image_id"] == "ISIC_0000001")
    assert copy["lesion_id"] == "L1" and copy["other_image_id"] == "copy"
    assert float(copy["detail"]) > 0.95 and copy["exam"] == "" and copy["similarity"] == ""
    with (folder / "components.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert len(list(reader)) == 4 and tuple(reader.fieldnames) == COMPONENT_COLUMNS
    sheet = np.asarray(Image.open(folder / "pairs-01.jpg"))
    assert (sheet[:60].std(axis=2) > 10).mean() > 0.3  # pictures, not a blank page
    found.save(folder)  # over its own, again
    check_folder(folder)


def test_nothing_found_is_written_too(two, tmp_path):
    found = find_duplicates([str(two[0])])
    found.save(tmp_path / "out")
    assert found.pairs == [] and load_components(tmp_path / "out") == []
    assert not (tmp_path / "out" / "pairs-01.jpg").exists()


def test_other_things_are_not_overwritten(two, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with refuses("duplicates_report.other_things", FileExistsError):
        find_duplicates([str(two[0])]).save(tmp_path / "out")


def test_components_keep_splits_apart(two, tmp_path):
    data = synthetic_ham10000(40, size=(24, 16))
    splits = grouped_splits(data)
    pair = (splits["train"]["image_id"][0], splits["test"]["image_id"][0])
    file = tmp_path / "components.csv"
    file.write_text("component,source,image_id\n" + "".join(f"1,x,{name}\n" for name in pair))
    joined = grouped_splits(data, near_duplicates=load_components(tmp_path))
    assert any(set(pair) <= set(part["image_id"]) for part in joined.values())
    file.write_text("a,b\n1,2\n")
    with refuses("components.no_columns"):
        load_components(file)
    with refuses("components.no_file", FileNotFoundError):
        load_components(tmp_path / "two")


def test_copies_of_the_exam_are_named(tmp_path):
    lesion(1).save(tmp_path / "ISIC_0034400.png")
    lesion(1).resize((160, 120)).save(tmp_path / "mole.jpg")
    lesion(2).save(tmp_path / "ISIC_0012086.jpg")
    found = find_duplicates([str(tmp_path)])
    assert [picture.image_id for picture in found.exam_copies()] == ["mole"]
    found.save(tmp_path / "out")
    row = next(csv.DictReader((tmp_path / "out" / "duplicates.csv").open()))
    assert row["exam"] == "ISIC 2018 Task 3 test" and row["other_exam"] == ""


def test_what_cannot_be_read_keeps_the_others(two):
    (two[1] / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    found = find_duplicates([str(folder) for folder in two])
    assert len(found.pictures) == 9 and len(found.pairs) == 2
    ((item, reason),) = found.unread
    assert item.image_id == "broken" and "broken.jpg" in reason
    for path in two[1].rglob("*.*"):
        path.write_bytes(b"nothing")
    with refuses("scan.nothing_readable"):
        find_duplicates([str(two[1])])


def test_outlines_are_no_photographs(two):
    for seed in range(3):
        mask = Image.new("L", (200, 150))
        ImageDraw.Draw(mask).ellipse((60, 40, 140, 110), fill=255)
        mask.save(two[0] / f"outline{seed}.png")
    found = find_duplicates([str(two[0])])
    assert found.outlines == 3 and found.pairs == [] and len(found.pictures) == 5


def test_a_quick_look_takes_the_first_by_name(two):
    found = find_duplicates([str(folder) for folder in two], at_most=2)
    assert [picture.image_id for picture in found.pictures] == [
        "ISIC_0000000",
        "ISIC_0000001",
        "ISIC_0000004",
        "a",
    ]


def test_each_picture_is_embedded_once_in_order(two):
    (two[1] / "broken.jpg").write_bytes(b"nothing")
    seen = []

    def embed(images):
        seen.extend(image.size for image in images)
        return np.eye(len(seen))

    found = find_duplicates([str(folder) for folder in two], embed=embed)
    assert len(seen) == 9 and {pair.similarity for pair in found.pairs} == {0.0}


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([], {}, "scan.no_source"),
        (["synthetic", "synthetic"], {}, "scan.source_twice"),
        (["synthetic"], {"at_most": 0}, "scan.at_most"),
    ],
)
def test_what_cannot_be_asked(sources, options, message):
    with refuses(message):
        find_duplicates(sources, **options)


def test_sources_without_pictures(tmp_path):
    with refuses("layouts.unknown"):
        list_source(str(tmp_path))
    (tmp_path / "letter.txt").write_text("dear")
    with refuses("table_folder.no_rows", table=tmp_path / "letter.txt"):
        list_source(str(tmp_path / "letter.txt"))
    with pytest.raises(FileNotFoundError):
        list_source(str(tmp_path / "nothing"))


def test_drawn_pictures_are_a_source():
    listed = list_source("synthetic")
    assert len(listed) == 480 and listed[0].lesion_id == "SYNL_0000000"


def test_parquet_needs_no_diagnosis(layout, rows):
    plain = [{"image": row["image"], "image_id": row["image_id"]} for row in rows]
    folder = layout.parquet(plain)
    found = find_duplicates([str(folder)])
    assert len(found.pictures) == len(rows)
    assert list_source(str(folder))[0].lesion_id is None
    (folder / "data" / "second.parquet").write_bytes(b"PAR1 nothing")
    with refuses("parquet_folder.unreadable", path=folder / "data" / "second.parquet"):
        list_source(str(folder))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_real_frames_and_crops_are_the_same():
    found = find_duplicates([str(SHARED / "ham10000"), str(SHARED / "ham10000_256")], at_most=150)
    named, matched = found.shared_names()
    assert named == 150 and matched >= 149
    for pair in found.pairs:
        one, other = (found.pictures[row] for row in pair.rows)
        assert one.lesion_id == other.lesion_id
