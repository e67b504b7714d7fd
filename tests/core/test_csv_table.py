"""One writer of CSV: a spreadsheet shows whatever a cell begins with, and evaluates nothing."""

import ast
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermsim.core.csv_table import csv_text, inert, plain, save_csv

PACKAGE = Path(__file__).parents[2] / "dermsim"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", " =1+1", "＝1+1", "\u00a0@x", "\ufeff=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text(text):
    (row,) = csv.DictReader(io.StringIO(csv_text(["name"], [{"name": text}]), newline=""))
    assert row["name"] == f"'{text}"
    assert plain(row["name"]) == text


def test_numbers_stay_numbers():
    assert csv_text(["a", "b"], [{"a": -0.5, "b": None}]) == "a,b\r\n-0.5,\r\n"
    assert inert(-3) == -3


def test_a_column_may_not_be_a_formula_either():
    assert csv_text(["=1"], [{"=1": "x"}]) == "'=1\r\nx\r\n"


def test_what_utf8_cannot_say_is_spelled(tmp_path):
    save_csv(tmp_path / "a.csv", ["name"], [{"name": "a\udcff"}])
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "name\na\\udcff\n"


def test_a_column_that_is_not_named_is_refused(tmp_path):
    with pytest.raises(ValueError, match="other"):
        save_csv(tmp_path / "a.csv", ["name"], [{"name": "a", "other": "b"}])
    assert not list(tmp_path.iterdir())


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_is_read_back_is_what_was_written(text):
    written = inert(text)
    assert plain(written) == text
    assert written[:1] not in set("=+-@\t\r\n")


def test_no_other_module_writes_csv():
    writers = {"writer", "DictWriter", "to_csv", "write_csv"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in writers:
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"core/csv_table.py"}
