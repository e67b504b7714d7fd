from dermsim.core.labels import CODES
from dermsim.data.tables import case_records


def test_case_records_are_plain_facts(synthetic):
    records = case_records(synthetic["test"])
    row = synthetic["test"][0]
    assert len(records) == len(synthetic["test"])
    assert records[0].pop("dx") == CODES[row["dx"]]
    assert records[0] == {name: row[name] for name in row if name not in ("image", "dx")}
