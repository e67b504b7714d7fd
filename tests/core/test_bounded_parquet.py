"""Small files that unpack to much are refused by what they say, or by what comes out of them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refuses

from dermsim.core import bounded_parquet
from dermsim.core.bounded_parquet import BATCH, LONGEST, read_bounded
from dermsim.core.refused import Phrase


@pytest.fixture
def strict(monkeypatch):
    """A megabyte, and no more than twice the file."""
    monkeypatch.setattr(bounded_parquet, "ALLOWED", 2**20)
    monkeypatch.setattr(bounded_parquet, "TIMES", 2)


@pytest.fixture
def unread(monkeypatch):
    """A file of which nothing but the footer may be read."""
    refuse = lambda *_, **__: pytest.fail("it was unpacked")  # noqa: E731
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", refuse)


def test_a_table_comes_back_as_it_was(tmp_path):
    rows = 2 * BATCH + 5
    table = pa.table(
        {
            "name": [f"a{row % 7}" for row in range(rows)],
            "age": pa.array([None if row % 3 else row / 2 for row in range(rows)], pa.float32()),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(np.arange(2 * rows, dtype=np.float16)), 2
            ),
        }
    ).replace_schema_metadata({"mark": "x"})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1000)
    found = read_bounded(tmp_path / "a.parquet")
    assert found.equals(table) and found.schema.metadata[b"mark"] == b"x"
    some = read_bounded(tmp_path / "a.parquet", needed=["age", "name"])
    assert some.column_names == ["age", "name"]
    with refuses("bounded_parquet.lacks_columns", name="a.parquet", missing=["sex"]):
        read_bounded(tmp_path / "a.parquet", needed=["sex"])


def test_a_table_without_rows_comes_back(tmp_path):
    table = pa.table({"name": pa.array([], pa.string()), "age": pa.array([], pa.float32())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_bounded(tmp_path / "a.parquet", columns=["name", "age"]).equals(table)


@pytest.mark.usefixtures("unread")
def test_the_number_of_rows_is_compared_first(tmp_path):
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "a.parquet")
    words = Phrase("bounded_parquet.rows", name="a.parquet", num_rows=2, rows=3)
    with refuses(words):
        read_bounded(tmp_path / "a.parquet", columns=["a"], rows=3)


@pytest.mark.usefixtures("strict", "unread")
@pytest.mark.parametrize("value", ["melanoma", 0.5])
def test_what_says_that_it_unpacks_to_too_much_is_not_unpacked(tmp_path, value):
    pq.write_table(pa.table({"a": [value] * 500_000}), tmp_path / "a.parquet")
    with refuses("bounded_parquet.too_large", name="a.parquet"):
        read_bounded(tmp_path / "a.parquet")


@pytest.mark.usefixtures("strict")
def test_what_says_less_than_it_holds_is_left_off(tmp_path):
    """A word of a thousand letters that comes a few thousand times is in the file once."""
    pq.write_table(pa.table({"a": ["x" * 1000] * 6000}), tmp_path / "a.parquet")
    with refuses("bounded_parquet.too_large"):
        read_bounded(tmp_path / "a.parquet")


def test_a_cell_of_endless_text_is_refused(tmp_path):
    pq.write_table(pa.table({"a": ["x" * (LONGEST + 1)] * 6000}), tmp_path / "a.parquet")
    with refuses("bounded_parquet.long_text", name="a.parquet", longest=4097):
        read_bounded(tmp_path / "a.parquet")


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more PAR1")
    with refuses("bounded_parquet.damaged", name="a.parquet"):
        read_bounded(tmp_path / "a.parquet")
