"""Reads an Excel table as rows of text, as `dermsim.data.tables.read_rows` reads other tables."""

from __future__ import annotations

import zipfile
from pathlib import Path

from dermsim.core.optional import require
from dermsim.data.tables import Row


def read_workbook(path: Path, *, first_column: str | None = None) -> list[Row]:
    """Read the first sheet of a workbook.

    Args:
        path: An ``.xlsx`` file.
        first_column: A column by which the header is known, where a legend stands above it; by
            default the first row is the header.

    Returns:
        One dictionary for each row that is not blank; empty cells are None, line breaks in headers
        blanks.

    Raises:
        ImportError: If openpyxl is not installed.
        ValueError: If the file is no workbook, or has no such column.
    """
    openpyxl = require("openpyxl", extra="excel")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path.name} is damaged or not an Excel workbook: {error}") from error
    try:
        lines = [[_text(cell) for cell in line] for line in book.worksheets[0].values]
    finally:
        book.close()
    for number, line in enumerate(lines):
        if first_column in line or first_column is None:
            header = [name or "" for name in line]
            body = lines[number + 1 :]
            return [dict(zip(header, row, strict=False)) for row in body if any(row)]
    raise ValueError(f"{path.name} has no column {first_column}")


def _text(cell: object) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return " ".join(str(cell).split()) or None
