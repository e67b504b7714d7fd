"""The right table, when copies of it lie beside it."""

import pytest
from refusals import refuses

from dermsim.data.tables import find_table, match_column

NAME = "HAM10000_metadata"
TEXT = "image_id,dx\nI1,mel\n"


def write(folder, *names, text=TEXT):
    for name in names:
        (folder / name).write_text(text)


COPIES = (
    *(f"{NAME} (1).csv", f"{NAME} - Copy.csv", f"{NAME} - Copy (2).csv", f"{NAME}.csv.bak"),
    *(f"{NAME}_old.csv", f"{NAME}.csv~", f"{NAME} - copia.csv", f"{NAME}_backup.csv"),
    *(f"{NAME}2.csv", f"{NAME}.bak", f"{NAME}_final(1).csv", f"Copy of {NAME}.csv", f".{NAME}.csv"),
)


@pytest.mark.parametrize(
    "name",
    [f"{NAME}.csv", NAME, f"{NAME}.tab", f"{NAME}.tsv", f"{NAME}.txt", f"{NAME.lower()}.CSV"],
)
def test_copies_are_not_taken_for_it(tmp_path, name):
    write(tmp_path, *COPIES, text="another")
    write(tmp_path, name)
    assert find_table(tmp_path, NAME) == tmp_path / name


@pytest.mark.parametrize("copy", COPIES[:-2])
def test_a_copy_alone_is_named(tmp_path, copy):
    write(tmp_path, copy)
    with refuses("tables.copies") as refused:
        find_table(tmp_path, NAME)
    assert copy in str(refused.value)


def test_tables_that_say_the_same_are_one(tmp_path):
    write(tmp_path, f"{NAME}.csv", NAME)
    (tmp_path / f"{NAME}.tab").write_text(TEXT.replace(",", "\t"))
    assert find_table(tmp_path, NAME) == tmp_path / NAME


def test_tables_that_say_different_things_are_both_named(tmp_path):
    write(tmp_path, f"{NAME}.csv")
    write(tmp_path, f"{NAME}.tab", text="image_id\tdx\nI1\tnv\n")
    with refuses(
        "tables.different", name="HAM10000_metadata.csv", other_name="HAM10000_metadata.tab"
    ):
        find_table(tmp_path, NAME)


@pytest.mark.parametrize("other", [f"{NAME}_description.md", "metadata.csv", f"{NAME}_images"])
def test_other_files_are_no_copies(tmp_path, other):
    write(tmp_path, other)
    assert find_table(tmp_path, NAME) is None


def test_columns_are_found_whatever_their_spelling():
    assert match_column(["Image ID", "DX "], "image_id") == "Image ID"
    assert match_column(["image_id", "Image ID"], "image_id") == "image_id"
    assert match_column(["a"], "image_id") is None
    with refuses("tables.alike", alike=["Image ID", "IMAGE_ID"], wanted="image_id"):
        match_column(["Image ID", "IMAGE_ID"], "image_id")
