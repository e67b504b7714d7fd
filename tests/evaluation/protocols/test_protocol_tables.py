import json

import pytest
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow


@pytest.fixture
def table():
    first = TableRow(
        {"held out": "mel", "shots": 1}, {"accuracy": Interval(0.5, 0.4, 0.61234, 1200)}
    )
    second = TableRow(
        {"held out": "mel", "shots": 5},
        {"AUC": Interval(0.75, 0.7, 0.8, 30)},
        {"spread": 0.0125, "inside": "yes"},
    )
    return Table("few-shot", "What was measured.", (first, second), {"seed": 0})


def test_markdown_shows_figure_interval_and_n(table):
    assert table.markdown().splitlines() == [
        "What was measured.",
        "",
        "| held out | shots | accuracy | AUC | spread | inside |",
        "|---|---|---|---|---|---|",
        "| mel | 1 | 0.500 (0.400 to 0.612), 1,200 |  |  |  |",
        "| mel | 5 |  | 0.750 (0.700 to 0.800), 30 | 0.013 | yes |",
    ]


def test_json_holds_everything(table, tmp_path):
    table.save(tmp_path / "table.json")
    kept = json.loads((tmp_path / "table.json").read_text())
    assert kept == table.to_dict()
    assert kept["facts"] == {"seed": 0}
    assert kept["rows"][0] == {
        "held out": "mel",
        "shots": 1,
        "accuracy": {"value": 0.5, "low": 0.4, "high": 0.6123, "n": 1200},
    }
    assert kept["rows"][1]["spread"] == 0.0125


def test_rows_must_make_a_table(table):
    with refuses("protocol_tables.no_row"):
        Table("few-shot", "", ())
    with refuses("protocol_tables.keys"):
        Table("few-shot", "", (*table.rows, TableRow({"shots": 1}, {})))


def test_what_was_kept_is_read_back(table):
    again = Table.from_dict(table.to_dict())
    assert again.to_dict() == table.to_dict()
    assert again.markdown() == table.markdown()


@pytest.mark.parametrize("values", [{}, {"rows": 3}, {"protocol": "p", "rows": ["x"]}, []])
def test_what_is_no_table_is_refused(values):
    with refuses("protocol_tables.no_table"):
        Table.from_dict(values)
