"""The one door for tables: the schema every source is brought to, and reading what people have."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, fold
from dermsim.core.refused import Keyed, Refused
from dermsim.data.delimited import decode_table, read_delimited
from dermsim.data.workbook import read_workbook

if TYPE_CHECKING:
    from datasets import Dataset, Features

Row = dict[str, str | None]
"""One line of a table: column name to text; ``"image"`` holds the picture's path or None."""

TABLE_SUFFIXES = ("", ".csv", ".tsv", ".tab", ".txt", ".jsonl", ".xlsx", ".xlsm")
"""How the names of tables end, in lower case; without an ending, as Dataverse serves them."""

DELIMITED_SUFFIXES = ("", ".csv", ".tsv", ".tab", ".txt")
"""Those of them that are delimited text."""

FOREIGN_TABLES = (".xls", ".xlsb", ".ods", ".numbers", ".json", ".sav", ".dta", ".rds", ".gz")
"""How tables end that are not read; what to do is in the table ``foreign_tables`` of refusals."""

OTHER = "other"
"""What stands for ``dx`` in a row whose diagnosis is none of the seven, by decision."""

COLUMNS: tuple[str, ...] = (
    "image",
    "image_id",
    "lesion_id",
    "dx",
    "dx_type",
    "age",
    "sex",
    "localization",
)
"""The columns of the schema, in order."""

MORE_COLUMNS: tuple[str, ...] = (
    "patient_id",
    "source",
    "modality",
    "original_label",
    "concepts",
    "caption",
    "licence",
    "split",
)
"""What `load_dataset` adds, in order. All but ``source`` may be None:

- ``patient_id``: photographs of one patient share it; never split them.
- ``source``: what the data set is called.
- ``modality``: ``"dermoscopy"`` or ``"clinical"``.
- ``original_label``: the diagnosis in the source's own words, before it was mapped.
- ``concepts``: what a person saw, pairs of a ``concept`` and its ``state``, in the source's words.
- ``caption``, ``licence``: as the source has them.
- ``split``: the source's own, for whoever compares with its figures; never trusted.
"""


def schema(*, more: bool = False) -> Features:
    """Return the features of a loaded data set.

    ``image`` decodes to an RGB PIL image, ``dx`` is a class label over the seven codes, ``age`` is
    in years; ``dx_type``, ``age``, ``sex`` and ``localization`` may be None.

    Args:
        more: Whether `MORE_COLUMNS` follow: text, but for ``concepts``.
    """
    from datasets import ClassLabel, Features, List, Value

    from dermsim.data.picture_column import Photograph

    text = Value("string")
    further: dict[str, object] = dict.fromkeys(MORE_COLUMNS, text)
    further["concepts"] = List({"concept": text, "state": text})
    return Features(
        {
            "image": Photograph(mode="RGB"),
            "image_id": text,
            "lesion_id": text,
            "dx": ClassLabel(names=list(CODES)),
            "dx_type": text,
            "age": Value("float32"),
            "sex": text,
            "localization": text,
            **(further if more else {}),
        }
    )


def foreign_table(path: Path) -> Refused | None:
    """Say what to do about a table that is not read; None for any other file."""
    ending = path.suffix.lower()
    known = ending in FOREIGN_TABLES
    return Refused(f"foreign_tables.{ending[1:]}", name=path.name) if known else None


def row_error(row: int, image_id: str | None, reason: BaseException | Keyed) -> Refused:
    """Word an error so that the row can be found in the source."""
    return Refused("tables.row", row=row, image_id=image_id, reason=reason)


def read_rows(path: Path, *, first_column: str | None = None) -> list[Row]:
    """Read a table with a header line, whatever saved it.

    Args:
        path: Delimited text (see `read_delimited`), lines of JSON (``.jsonl``) or an Excel workbook
            (``.xlsx``).
        first_column: Of a workbook the column by which sheet and header are known, where other
            sheets or a legend above the header may hold something, too.

    Returns:
        One dictionary per row that holds something, by column, empty cells as None. Words such as
        NaN or unknown are left as they are: what they mean is the column's affair.

    Raises:
        ImportError: If it is a workbook and openpyxl is not installed.
        ValueError: If the file is no table, two columns have one name, or a row has too many or too
            few cells.

    Warns:
        UserWarning: That a text was read as Windows-1252, because it is no Unicode.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _read_json_lines(path)
    if suffix in (".xlsx", ".xlsm"):
        lines = read_workbook(path, first_column=first_column)
    else:
        lines = read_delimited(path)
    columns = [" ".join(name.split()) for name in lines[0]] if lines else []
    if twice := [name for name, count in Counter(columns).items() if name and count > 1]:
        raise Refused("tables.two_columns", name=path.name, twice=twice[0])
    return [
        {name: cell or None for name, cell in zip(columns, line, strict=True) if name}
        for line in lines[1:]
    ]


def _read_json_lines(path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(decode_table(path.read_bytes(), path.name).splitlines()):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Refused(
                "tables.line_not_json", number=number + 1, name=path.name, error=error
            ) from error
        if not isinstance(row, dict):
            raise Refused("tables.line_not_object", number=number + 1, name=path.name)
        rows.append({name: _plain(value) for name, value in row.items()})
    return rows


def _plain(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def find_table(folder: Path, name: str) -> Path | None:
    """Find a table by name, and tell it from copies that lie beside it.

    Args:
        folder: Looked into, but not below.
        name: Without an ending; capitals do not matter.

    Returns:
        The table, or None where there is none. ``name (1).csv``, ``name - Copy.csv``,
        ``name.csv.bak`` and the like are not taken for it.

    Raises:
        ValueError: If there is none but copies, or there are several with different contents; the
            message names them.
    """
    beside = sorted(
        path
        for path in folder.iterdir()
        if path.name.lower().startswith(name.lower()) and path.is_file()
    )
    exact = [
        path
        for path in beside
        if path.stem.lower() == name.lower() and path.suffix.lower() in TABLE_SUFFIXES
    ]
    copies = [path.name for path in beside if path not in exact and _is_copy(path.name, name)]
    if not exact and copies:
        raise Refused("tables.copies", folder=folder, name=name, copies=list(copies))
    return one_of_alike(exact, folder)


def _is_copy(file: str, name: str) -> bool:
    """Say whether a file is called like a copy of a table: what is added is no word of its own."""
    rest = re.sub(r"\.(csv|tsv|tab|txt|xlsx|xlsm)", "", file[len(name) :].lower())
    return bool(
        re.fullmatch(
            r"[\s_.~()-]*(\d*|copy|copia|kopie|copie|bak|backup|old|orig|original|new|final|save)"
            r"[\s_.~()\d-]*",
            rest,
        )
    )


def one_of_alike(tables: Sequence[Path], folder: Path) -> Path | None:
    """Return the first of tables that say the same; None where there is none.

    Raises:
        ValueError: If they say different things; the message names both.
    """
    if len(tables) > 1:
        first = read_rows(tables[0])
        for other in tables[1:]:
            if read_rows(other) != first:
                raise Refused(
                    "tables.different", folder=folder, name=tables[0].name, other_name=other.name
                )
    return tables[0] if tables else None


def match_column(columns: Sequence[str], wanted: str) -> str | None:
    """Find a column by its name, else by the name but for case, accents, blanks and signs.

    Raises:
        ValueError: If several columns are called so.
    """
    if wanted in columns:
        return wanted
    alike = [column for column in columns if fold(column) == fold(wanted)]
    if len(alike) > 1:
        raise Refused("tables.alike", alike=list(alike), wanted=wanted)
    return alike[0] if alike else None


def to_dataset(rows: list[Row]) -> Dataset:
    """Turn rows into a data set of text columns and an image column that is read when asked for."""
    from datasets import Dataset, Features, Image, Value

    columns = list(dict.fromkeys(column for row in rows for column in row))
    features = Features({c: Image() if c == "image" else Value("string") for c in columns})
    return Dataset.from_dict({c: [row.get(c) for row in rows] for c in columns}, features=features)


def case_records(dataset: Dataset) -> list[dict[str, object]]:
    """Return the facts of every row, as a gallery keeps them: all columns but the image.

    Args:
        dataset: Rows of `schema`.

    Returns:
        One dict per row; ``dx`` is the diagnosis code, what is not known is None.
    """
    columns = {name: list(dataset[name]) for name in COLUMNS if name != "image"}
    columns["dx"] = [CODES[label] for label in columns["dx"]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
