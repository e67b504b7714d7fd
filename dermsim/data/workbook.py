"""Reads a table out of an Excel workbook (.xlsx), as text, the way the sheet shows it.

Needs ``pip install "dermsim[excel]"``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.optional import require
from dermsim.core.refused import Refused
from dermsim.data.delimited import squared

if TYPE_CHECKING:
    from openpyxl.cell import ReadOnlyCell

EXACT_DIGITS = 15
"""Digits of a number that Excel keeps; of a longer one the rest became zeros."""

_ZEROS = re.compile(r"0+")


def read_workbook(path: Path, *, first_column: str | None = None) -> list[list[str]]:
    """Read the only sheet of a workbook that holds something.

    Args:
        path: Ends in ``.xlsx`` or ``.xlsm``.
        first_column: A column by which sheet and header are known, where other sheets or a legend
            above the header may hold something, too.

    Returns:
        The cells of each row as text, the header first, as `read_delimited` returns them. A number
        that is shown with leading zeros keeps them.

    Raises:
        ImportError: If openpyxl is not installed.
        ValueError: If it is no workbook, several sheets hold something, there is no such column, a
            formula was never calculated, or a number has more digits than Excel keeps.
    """
    openpyxl = require("openpyxl", extra="excel")
    try:
        shown = openpyxl.load_workbook(path, read_only=True, data_only=True)
        typed = openpyxl.load_workbook(path, read_only=True)
    except Exception as error:  # a zip, its XML or what that says: anything can be wrong
        raise Refused("workbook.damaged", name=path.name, error=error) from error
    try:
        pairs = zip(shown.worksheets, typed.worksheets, strict=True)
        sheets = {sheet.title: _cells(sheet, formulas, path.name) for sheet, formulas in pairs}
    finally:
        shown.close()
        typed.close()
    filled = {title: rows for title, rows in sheets.items() if any(map(any, rows))}
    if first_column is not None:
        filled = _from_header(filled, first_column)
        if not filled:
            raise Refused("workbook.no_column", name=path.name, first_column=first_column)
    if len(filled) > 1:
        raise Refused("workbook.sheets", name=path.name, count=len(filled), filled=list(filled))
    return list(squared(next(iter(filled.values()), []), path.name))


def _from_header(
    sheets: dict[str, list[list[str]]], first_column: str
) -> dict[str, list[list[str]]]:
    """Keep the sheets with a column of this name, from their header on."""
    found = {}
    for title, rows in sheets.items():
        start = next((n for n, row in enumerate(rows) if first_column in row), None)
        if start is not None:
            found[title] = rows[start:]
    return found


def _cells(shown: Any, typed: Any, name: str) -> list[list[str]]:
    """Read a sheet as it is shown; a formula that shows nothing is not taken for an empty cell.

    Returns:
        Rows of one length: a workbook may leave empty cells out.
    """
    rows = []
    for values, formulas in zip(shown, typed, strict=True):
        for value, formula in zip(values, formulas, strict=True):
            if value.value is None and formula.value is not None:
                raise Refused(
                    "workbook.formula",
                    name=name,
                    value=formula.value,
                    coordinate=formula.coordinate,
                )
        rows.append([_text(value, name) for value in values])
    width = max(map(len, rows), default=0)
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _text(cell: ReadOnlyCell, name: str) -> str:
    value: Any = cell.value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).strip()
    if abs(value) >= 10**EXACT_DIGITS:
        raise Refused(
            "workbook.digits",
            name=name,
            value=value,
            coordinate=cell.coordinate,
            exact_digits=EXACT_DIGITS,
        )
    if float(value).is_integer():
        shown = cell.number_format or ""
        return str(int(value)).zfill(len(shown) if _ZEROS.fullmatch(shown) else 0)
    return repr(float(value))
