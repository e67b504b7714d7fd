"""What a protocol found: rows of figures with intervals, as JSON and as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermsim.core.bootstrap import Interval
from dermsim.core.markdown import markdown_table
from dermsim.core.refused import Refused
from dermsim.core.storage import save_json

Key = str | int
"""What tells rows apart, such as a diagnosis or a number of shots."""


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        keys: What the row is of, by the name of the column.
        figures: What was measured, by the name of the column; a row may lack some.
        notes: What else belongs beside the figures, in words or a number without an interval.
    """

    keys: Mapping[str, Key]
    figures: Mapping[str, Interval]
    notes: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """What a protocol found.

    Attributes:
        protocol: Name of the protocol.
        summary: Sentences that say what was measured, on what and how.
        rows: All with the same keys.
        facts: What else is needed to repeat it: fingerprint, seed, numbers of draws.
    """

    protocol: str
    summary: str
    rows: tuple[TableRow, ...]
    facts: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse rows that do not make a table."""
        if not self.rows:
            raise Refused("protocol_tables.no_row", protocol=self.protocol)
        names = list(self.rows[0].keys)
        if any(list(row.keys) != names for row in self.rows):
            raise Refused("protocol_tables.keys", protocol=self.protocol, names=names)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Table:
        """Read what `to_dict` returned.

        Args:
            values: Keys stand before the first figure of each row, notes after it.

        Raises:
            ValueError: If it is not a table.
        """
        try:
            rows = tuple(_row(row) for row in values["rows"])
            return cls(values["protocol"], values["summary"], rows, values["facts"])
        except (AttributeError, KeyError, TypeError) as error:
            raise Refused("protocol_tables.no_table", error=repr(error)) from error

    def to_dict(self) -> dict[str, object]:
        """Return plain Python values, figures rounded to 4 decimals."""
        rows = [
            {
                **row.keys,
                **{name: figure.to_dict() for name, figure in row.figures.items()},
                **row.notes,
            }
            for row in self.rows
        ]
        return {
            "protocol": self.protocol,
            "summary": self.summary,
            "facts": dict(self.facts),
            "rows": rows,
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        save_json(path, self.to_dict())

    def markdown(self) -> str:
        """Return the summary and the table, each figure with its interval and n."""
        keys = list(self.rows[0].keys)
        columns = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        notes = list(dict.fromkeys(name for row in self.rows for name in row.notes))
        header = [*keys, *columns, *notes]
        body = []
        for row in self.rows:
            cells = [str(row.keys[name]) for name in keys]
            cells += [_cell(row.figures.get(name)) for name in columns]
            cells += [_note(row.notes.get(name, "")) for name in notes]
            body.append(cells)
        return "\n".join([self.summary, "", *markdown_table(header, body)]) + "\n"


def _row(values: Mapping[str, Any]) -> TableRow:
    figures = {name: Interval(**found) for name, found in values.items() if isinstance(found, dict)}
    first = next((place for place, name in enumerate(values) if name in figures), len(values))
    others = [(place, name) for place, name in enumerate(values) if name not in figures]
    return TableRow(
        {name: values[name] for place, name in others if place < first},
        figures,
        {name: values[name] for place, name in others if place > first},
    )


def _cell(figure: Interval | None) -> str:
    return "" if figure is None else f"{figure}, {figure.n:,}"


def _note(note: str | float) -> str:
    return f"{note:.3f}" if isinstance(note, float) else note
