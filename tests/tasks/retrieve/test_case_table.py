import numpy as np
import pytest
from refusals import refuses

from dermsim.tasks.retrieve import CaseTable
from dermsim.tasks.retrieve import case_table as module


@pytest.fixture
def table(make_records):
    return CaseTable.build(make_records(60))


def test_it_reads_like_the_list_it_was_made_of(table, make_records):
    records = make_records(60)
    assert list(table) == records
    assert (table[7], table[-1]) == (records[7], records[-1])
    assert list(table[10:13]) == records[10:13]
    assert list(table[10:20:4]) == records[10:20:4]
    assert list(table[20:10]) == []
    assert table.values("age") == [record["age"] for record in records]
    with refuses("case_table.no_row", IndexError, row=60, total=60):
        table[60]


def test_tables_are_equal_by_their_facts(table, make_records):
    halves = CaseTable.join([table[:30], table[30:]])
    assert halves == table
    assert table[:59] != table
    assert table != make_records(60)


def test_codes_number_the_values(table, make_records):
    names, codes = table.codes("sex")
    spelled = [names[code] if code >= 0 else None for code in codes]
    assert spelled == [record["sex"] for record in make_records(60)]


def test_codes_forget_values_whose_last_case_is_gone(table):
    names, codes = table.codes("dx")
    kept = table.take(np.flatnonzero(codes != 1))
    found, places = kept.codes("dx")
    assert found == (names[0], *names[2:])
    assert [found[place] for place in places] == kept.values("dx")


def test_rows_of_finds_every_bearer(table):
    one, several, none, unknown = table.rows_of(
        "lesion_id", [{"HAM_3"}, {"HAM_9", "HAM_1"}, (), {"HAM_777"}]
    )
    assert one.tolist() == [9, 10, 11]
    assert several.tolist() == [3, 4, 5, 27, 28, 29]
    assert none.tolist() == unknown.tolist() == []


def test_large_tables_describe_neighbours_as_small_ones_do(table, monkeypatch):
    rows, similarity = np.array([5, 3, 40]), np.array([1.0000001, 0.5, -0.2])
    small = table.neighbors(rows, similarity)
    monkeypatch.setattr(module, "LISTED", 10)
    assert table.neighbors(rows, similarity) == small
    assert [n.image_id for n in small] == ["ISIC_0000005", "ISIC_0000003", "ISIC_0000040"]
    assert [n.similarity for n in small] == [1.0, 0.5, -0.2]
