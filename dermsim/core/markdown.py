"""Tables in Markdown, for reports and cards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table.

    Args:
        header: Column titles.
        rows: Cells in the same order, as they are to be read.

    Raises:
        ValueError: If a row has another number of cells than the header.
    """
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells, but the table {len(header)} columns.")
        lines.append(f"| {' | '.join(row)} |")
    return lines
