"""Excel workbooks, as people fill them in."""

import sys

import pytest
from refusals import refuses

from dermsim.data.tables import read_rows

openpyxl = pytest.importorskip("openpyxl", reason="needs dermsim[excel]")


def workbook(path, *sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"S{number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


ROWS = [["image_id", "dx", "age"], ["I1", "mel", 40], [None, None, None], ["I2", "nv", 40.5]]


def test_the_sheet_that_holds_something(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [], ROWS, [[None]])
    assert read_rows(path) == [
        {"image_id": "I1", "dx": "mel", "age": "40"},
        {"image_id": "I2", "dx": "nv", "age": "40.5"},
    ]


def test_zeros_that_are_shown_are_kept(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [["image_id", "dx"], [7, "mel"], [12, "nv"]])
    book = openpyxl.load_workbook(path)
    book["S0"]["A2"].number_format = "0000000"
    book.save(path)
    assert [row["image_id"] for row in read_rows(path)] == ["0000007", "12"]


def test_a_number_longer_than_excel_keeps_is_refused(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [["lesion_id"], [1234567890123456]])
    with refuses("workbook.digits", value=1234567890123456, coordinate="A2"):
        read_rows(path)
    assert read_rows(workbook(path, [["lesion_id"], [240000000000]])) == [
        {"lesion_id": "240000000000"}
    ]


def test_a_formula_that_was_never_calculated_is_refused(tmp_path):
    path = workbook(tmp_path / "t.xlsx", [["image_id", "age"], ["I1", "=20+20"]])
    with refuses("workbook.formula", value="=20+20", coordinate="B2"):
        read_rows(path)


def test_two_tables_in_one_workbook_are_refused(tmp_path):
    with refuses("workbook.sheets", count=2, filled=["S0", "S1"]):
        read_rows(workbook(tmp_path / "t.xlsx", ROWS, ROWS))


@pytest.mark.parametrize("data", [b"", b"no workbook", b"PK\x03\x04 damaged"])
def test_what_is_no_workbook_is_refused(tmp_path, data):
    path = tmp_path / "t.xlsx"
    path.write_bytes(data)
    with refuses("workbook.damaged", name="t.xlsx"):
        read_rows(path)


def test_without_openpyxl_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with refuses("optional.not_installed", ImportError, extra="excel"):
        read_rows(tmp_path / "t.xlsx")
