"""Reads pictures in folders with a table beside them that says what they show."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dermsim.core.labels import fold
from dermsim.core.refused import Refused
from dermsim.data.columns import (
    ALIASES,
    find_file_column,
    find_label_column,
    house_names,
    lacks,
    renamed,
)
from dermsim.data.components import COMPONENTS
from dermsim.data.folders import walk_files
from dermsim.data.images import list_images
from dermsim.data.matching import BESIDE, PictureIndex, distinct_ids, picture_id
from dermsim.data.rows import known
from dermsim.data.tables import (
    FOREIGN_TABLES,
    TABLE_SUFFIXES,
    Row,
    foreign_table,
    match_column,
    one_of_alike,
    read_rows,
)

LabelledRow = dict[str, Any]
"""A row in the schema's columns, ``dx`` in the source's words and ``image`` the picture's path."""


def attach_images(rows: Sequence[Row], folder: Path, *, name: str = "") -> list[Row]:
    """Give each row the picture that its ``image_id`` means.

    Args:
        rows: Rows with an ``image_id``.
        folder: Searched to any depth, links followed.
        name: What the table is called, to say how many pictures it does not know; empty to say
            nothing, as where a folder holds more than the table is about.

    Returns:
        New rows with ``image`` set to the path and ``image_id`` to what the picture is called, or
        to None and as they were where there is no such picture.

    Raises:
        ValueError: If the folder holds no pictures at all, or two different photographs are meant.

    Warns:
        UserWarning: How many pictures have no row, if `name` is given.
    """
    index = _index(folder)
    found = [index.find(text) if (text := known(row.get("image_id"))) else None for row in rows]
    names = distinct_ids(list(dict.fromkeys(filter(None, found))), index.folder)
    if name:
        _warn_of_others(index, found, name)
    return [
        {**row, "image": str(path) if path else None} | ({"image_id": names[path]} if path else {})
        for row, path in zip(rows, found, strict=True)
    ]


def find_own_table(folder: Path, label_column: str | None) -> Path | None:
    """Find the table that says what the pictures of a folder show.

    Args:
        folder: Looked into, and below where no table in it names pictures.
        label_column: What the user calls the column of the diagnoses.

    Returns:
        The only one that names pictures and diagnoses, or names pictures where none does both; of
        those below only one that does both. None where there is no such table.

    Raises:
        ValueError: If there are several with different contents; the message names two.
    """
    here: list[Path] = []
    below: list[Path] = []
    for path in sorted(_tables(folder)):
        (here if path.parent == folder else below).append(path)
    naming = [path for path in here if _names_pictures(_columns(path))]
    if not naming:
        naming = [path for path in below if _is_labelled(_columns(path), label_column)]
    labelled = [path for path in naming if _is_labelled(_columns(path), label_column)]
    return one_of_alike(labelled or naming, folder)


def why_no_table(folder: Path) -> Exception | None:
    """Say why the tables in a folder are not the one about its pictures; None if there are none."""
    for path in sorted(_tables(folder, foreign=True)):
        if refusal := foreign_table(path):
            return refusal
        try:
            columns = _read_columns(path)
        except (ValueError, ImportError) as error:
            return error
        if len(columns) > 1:
            return Refused("table_folder.no_pictures", name=path.name, columns=columns)
        if path.suffix.lower() != ".txt":  # which is a letter to the reader
            return Refused("table_folder.no_rows", table=path.name)
    return None


def _tables(folder: Path, *, foreign: bool = False) -> Iterator[Path]:
    """Go through what may be tables, at any depth."""
    endings = {*TABLE_SUFFIXES[1:], *(FOREIGN_TABLES if foreign else ())}
    for path in walk_files(folder):
        # The second is what Excel keeps while one is open.
        if path.suffix.lower() not in endings or path.name.startswith("~$"):
            continue
        if path.name != COMPONENTS and path.is_file():
            yield path


def _names_pictures(columns: Sequence[str]) -> bool:
    return bool(find_file_column(columns)) or any(
        match_column(columns, name) for name in ("image_id", *ALIASES["image_id"])
    )


def _is_labelled(columns: Sequence[str], label_column: str | None) -> bool:
    return _names_pictures(columns) and match_column(columns, label_column or "dx") is not None


def find_imagefolder(folder: Path) -> list[Path]:
    """Find the tables called ``metadata`` of an imagefolder, at any depth, one for each folder."""
    found: dict[Path, list[Path]] = {}
    for path in walk_files(folder):
        if path.stem.lower() == "metadata" and path.suffix.lower() in TABLE_SUFFIXES[1:]:
            found.setdefault(path.parent, []).append(path)
    tables = (one_of_alike(sorted(paths), place) for place, paths in sorted(found.items()))
    return [table for table in tables if table is not None]


def read_table_folder(
    table: Path, folder: Path, *, label_column: str | None = None, labelled: bool = True
) -> list[LabelledRow]:
    """Read a table and attach the pictures that it names.

    Args:
        table: Any table with a column ``image_id`` or one that names files.
        folder: Where the pictures are, at any depth.
        label_column: The column of the diagnoses; ``dx`` when None.
        labelled: Whether there must be one, and pictures without a row are to be counted.

    Raises:
        ValueError: If the table has no rows, or lacks a column that nothing can stand in for.

    Warns:
        UserWarning: How many pictures have no row.
    """
    rows = read_rows(table)
    if not rows:
        raise Refused("table_folder.no_rows", table=table)
    columns = list(rows[0])
    label = find_label_column(columns, label_column, source=table.name)
    names = house_names(columns, label)
    files = find_file_column([column for column in columns if column not in names])
    own_id = next((column for column, house in names.items() if house == "image_id"), None)
    missing = [
        *([] if label or not labelled else ["dx"]),
        *([] if files or own_id else ["image_id"]),
    ]
    if missing:
        raise lacks(columns, missing, source=table.name)
    told = renamed(rows, names)
    named = [{"image_id": row[files or own_id]} for row in rows]  # type: ignore[index]
    attached = attach_images(named, folder, name=table.name if labelled else "")
    return [
        {
            **row,
            "image": found["image"],
            "image_id": _name(row, found) if files else found["image_id"],
        }
        for row, found in zip(told, attached, strict=True)
    ]


def _name(row: LabelledRow, found: Row) -> str | None:
    """Return what a picture goes by: its own id where the table has one that is not its file's."""
    own = known(row.get("image_id"))
    if own is None or found["image"] is None:
        return own or found["image_id"]
    meant = picture_id(own)
    return found["image_id"] if fold(meant) == fold(Path(found["image"]).stem) else meant


def _columns(table: Path) -> list[str]:
    """Return a table's columns; none where it cannot be read, and `why_no_table` says why."""
    try:
        return _read_columns(table)
    except (ValueError, ImportError):
        return []


def _read_columns(table: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it is read again if it is the one
        rows = read_rows(table)
    return list(rows[0]) if rows else []


def _index(folder: Path) -> PictureIndex:
    place = folder.absolute()
    return PictureIndex(list_images([place]), place)


def _warn_of_others(index: PictureIndex, found: Sequence[Path | None], name: str) -> None:
    """Say how many photographs a table does not know; outlines of those it knows are none."""
    stems = {path.stem.casefold() for path in found if path}
    others = [
        path
        for path in index.paths
        if path.stem.casefold() not in stems and not BESIDE.search(path.stem)
    ]
    if others and stems:
        warnings.warn(
            f"{len(others):,} of {len(index.paths):,} pictures, such as {others[0].name}, have no "
            f"row in {name} and are left out",
            stacklevel=3,
        )
