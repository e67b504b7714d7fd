"""The one writer of CSV: every table that leaves the house goes through here.

Text that a spreadsheet would take for a formula, such as a file called ``=1+1.png``, begins with an
apostrophe; `plain` takes it off again where a table is read back.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dermsim.core.atomic import atomic_path

_FORMULA = frozenset("=+-@\t\r\n")
"""First characters by which a spreadsheet takes text for a formula; see
https://owasp.org/www-community/attacks/CSV_Injection."""

_MARK = "'"


def inert(value: object) -> object:
    """Return a cell that no spreadsheet evaluates and that UTF-8 can say.

    Args:
        value: Of a cell; what is no text stays as it is.
    """
    if not isinstance(value, str):
        return value
    sayable = value.encode("utf-8", "backslashreplace").decode("utf-8")
    # who marks what is marked already can take off one mark, and has the text as it was
    return f"{_MARK}{sayable}" if _is_formula(sayable.lstrip(_MARK)) else sayable


def plain(text: str) -> str:
    """Return the text that `inert` was given."""
    marked = text.startswith(_MARK) and _is_formula(text.lstrip(_MARK))
    return text.removeprefix(_MARK) if marked else text


def _is_formula(text: str) -> bool:
    # full-width signs count, too, and so does what follows blanks
    return unicodedata.normalize("NFKC", text.lstrip(" \u00a0\ufeff"))[:1] in _FORMULA


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Write rows as CSV (RFC 4180), with a first line that names the columns.

    Args:
        columns: Their names, in order.
        rows: A cell for each column; those that are missing stay empty.

    Raises:
        ValueError: If a row has a column that is not named.
    """
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, [inert(name) for name in columns])
    writer.writeheader()
    for row in rows:
        writer.writerow({inert(name): inert(value) for name, value in row.items()})
    return stream.getvalue()


def save_csv(
    path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]
) -> None:
    """Write `csv_text` into a UTF-8 file, atomically.

    Raises:
        OSError: If it cannot be written.
        ValueError: As `csv_text`.
    """
    data = csv_text(columns, rows).encode("utf-8")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
