"""Tables in Markdown, for reports and cards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dermsim.core.refused import Refused


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
            raise Refused("markdown.cells", row_count=len(row), header_count=len(header))
        lines.append(f"| {' | '.join(row)} |")
    return lines
