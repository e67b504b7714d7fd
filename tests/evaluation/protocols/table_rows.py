"""One row of a protocol's table, by what it is of."""

from dermsim.evaluation.protocols.protocol_tables import Table, TableRow


def row_of(table: Table, **keys: str | int) -> TableRow:
    """Return the one row with these keys, written as they are or with _ for a blank."""
    wanted = {name.replace("_", " "): value for name, value in keys.items()}
    (row,) = (row for row in table.rows if wanted.items() <= dict(row.keys).items())
    return row
