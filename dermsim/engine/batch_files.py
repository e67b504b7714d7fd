"""The rows of many photographs as a file, of the kind that its name asks for: CSV or a workbook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.atomic import atomic_path
from dermsim.core.csv_table import inert
from dermsim.core.optional import require
from dermsim.core.refused import Refused
from dermsim.engine.batch import FileAnswer, columns, row_cells, save_csv
from dermsim.tasks.classify import POINTS

if TYPE_CHECKING:
    from dermsim.tasks.classify import Calibration

WORKBOOK = ".xlsx"

ENDINGS = (".csv", ".txt", "", WORKBOOK)
"""How the name of such a file may end; all but a workbook are CSV."""


def check_rows_file(path: Path) -> None:
    """Refuse, before any work is done, a file that rows cannot be written to.

    Raises:
        ImportError: If it is a workbook and openpyxl is not installed.
        ValueError: If its name asks for another kind of file.
    """
    if path.suffix.lower() not in ENDINGS:
        raise Refused("batch_files.ending", path=path)
    if path.suffix.lower() == WORKBOOK:
        require("openpyxl", extra="excel")


def save_rows(
    path: Path,
    rows: Sequence[FileAnswer],
    *,
    calibration: Calibration,
    fingerprint: str,
    point: str | float = POINTS[0],
    informed: Calibration | None = None,
) -> None:
    """Write rows into a file, atomically.

    Args:
        path: A workbook where it ends in ``.xlsx``, else CSV in UTF-8.
        rows: What `classify_photographs` found.
        calibration: Whose operating point makes the verdict.
        fingerprint: Names the encoder.
        point: Name of the operating point, or a threshold on malignancy.
        informed: Makes it for rows with facts of their own; None where there are none.

    Raises:
        ImportError: If it is a workbook and openpyxl is not installed.
        ValueError: If there is no such operating point, or `path` asks for another kind of file.
    """
    check_rows_file(path)
    if path.suffix.lower() != WORKBOOK:
        save_csv(
            path,
            rows,
            calibration=calibration,
            fingerprint=fingerprint,
            point=point,
            informed=informed,
        )
        return
    openpyxl = require("openpyxl", extra="excel")
    # XML cannot say these, however they are written
    unsayable = openpyxl.cell.cell.ILLEGAL_CHARACTERS_RE
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("dermsim")
    sheet.append(list(columns()))
    cells = row_cells(
        rows, calibration=calibration, fingerprint=fingerprint, point=point, informed=informed
    )
    for row in cells:
        values = (inert(row.get(column)) for column in columns())
        sheet.append([unsayable.sub("\ufffd", v) if isinstance(v, str) else v for v in values])
    with atomic_path(path) as temporary:
        book.save(temporary)
