"""Recognises what lies in a folder and reads its rows; pictures are found and not yet read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.labels import fold
from dermsim.core.refused import Phrase, Refused
from dermsim.data.archives import ARCHIVE
from dermsim.data.class_folder import is_diagnosis, read_class_folder
from dermsim.data.folders import walk_files
from dermsim.data.images import is_image_path, list_images
from dermsim.data.isic import find_ground_truth, read_challenge
from dermsim.data.matching import distinct_ids
from dermsim.data.parquet_folder import SUFFIX, ParquetFiles, find_parquet
from dermsim.data.table_folder import (
    attach_images,
    find_imagefolder,
    find_own_table,
    read_table_folder,
    why_no_table,
)
from dermsim.data.tables import TABLE_SUFFIXES, find_table, foreign_table, match_column, read_rows

if TYPE_CHECKING:
    from datasets import Dataset

LAYOUTS = Phrase("layouts.known")
"""What a source may be, for refusals."""

HAM10000 = "HAM10000"

NAMED = 5
"""Archives, and rows, that a sentence names."""


@dataclass(frozen=True)
class Layout:
    """What was found.

    Attributes:
        rows: What the source says of each picture, by column; ``dx`` in its own words.
        pictures: A path or encoded bytes for each row, empty where there is no picture, or what
            reads a column ``image`` with a row for each.
        name: What the data set is called; empty where the source itself says it.
        named: Whether the columns go by the schema's names already.
        mapped: Whether ``dx`` is a code or ``"other"`` already, by an adapter's decision.
    """

    rows: Sequence[dict[str, Any]]
    pictures: Sequence[str | bytes] | Callable[[], Dataset]
    name: str = ""
    named: bool = False
    mapped: bool = False


def read_layout(
    path: Path,
    *,
    label_column: str | None = None,
    mapping: Mapping[str, str] | None = None,
    labelled: bool = True,
) -> Layout:
    """Recognise a local source and read it.

    Pictures with a table that names them are what the folder is, whatever Parquet files lie there,
    too; Parquet files without a column of pictures are never taken for a data set.

    Args:
        path: A folder, or the table or Parquet file of one.
        label_column: The column of the diagnoses, if it is not ``dx``.
        mapping: What words mean, for an adapter.
        labelled: Whether diagnoses are needed. Without, any folder of pictures is a layout, and
            pictures that no table knows are rows, too.

    Raises:
        ValueError: If it is nothing known, or what was recognised cannot be read.
    """
    if path.is_file():
        return _read_file(path, label_column, mapping, labelled=labelled)
    files = list(walk_files(path))
    _refuse_dead_links(files)
    loose = any(is_image_path(file) for file in files)
    packed = find_parquet(path)
    if loose or not packed:
        for read in (_read_ham10000, _read_isic):
            if (layout := read(path)) and (_has_pictures(layout) or not packed):
                return layout
    if layout := _read_published(
        path, label_column, mapping, packed=packed is not None and not loose
    ):
        return layout
    if loose and not labelled and (not packed or _is_sorted(path)):
        return _read_pictures(path)
    known = mapping or {}
    if loose and (layout := _read_own(path, label_column, known, packed=packed is not None)):
        return layout
    if packed:
        return _from_parquet(packed)
    if why := why_no_table(path) if loose else None:
        raise why
    raise Refused("layouts.unknown", path=path, layouts=LAYOUTS, packed=packed_away(path))


def _refuse_dead_links(files: Sequence[Path]) -> None:
    """Refuse links to nothing; those that are called like pictures are their rows' affair."""
    for file in files:
        if not is_image_path(file) and file.is_symlink() and not file.exists():
            raise Refused("layouts.broken_link", file=file)


def packed_away(path: Path) -> Phrase | str:
    """Say which archives in a folder were not unpacked; nothing where there are none."""
    zips = sorted(file.name for file in walk_files(path) if file.suffix.lower() == ARCHIVE)
    if not zips:
        return ""
    more = ", …" if len(zips) > NAMED else ""
    return Phrase("layouts.packed", zips=zips[:NAMED], more=more)


def _read_file(
    path: Path,
    label_column: str | None,
    mapping: Mapping[str, str] | None,
    *,
    labelled: bool,
) -> Layout:
    """Read the folder that a file of it stands for."""
    if ground_truth := find_ground_truth(path):
        # Unpacked as downloaded, the table lies in a folder of its own beside the pictures' folder.
        nested = path.parent.name == path.stem
        rows = read_challenge(ground_truth, path.parent.parent if nested else path.parent)
        return _with_paths(rows, name=HAM10000)
    if path.suffix.lower() == SUFFIX and (packed := find_parquet(path)):
        return _from_parquet(packed)
    if refusal := foreign_table(path):
        raise refusal
    if path.suffix.lower() == ARCHIVE:
        raise Refused("layouts.archive", name=path.name)
    if path.suffix.lower() not in TABLE_SUFFIXES or is_image_path(path):
        raise Refused("layouts.file", path=path, layouts=LAYOUTS)
    if layout := _read_published(path, label_column, mapping):
        return layout
    rows = read_table_folder(path, path.parent, label_column=label_column, labelled=labelled)
    return _with_paths(rows, name=path.stem, named=True)


def _read_ham10000(path: Path) -> Layout | None:
    if (table := find_table(path, "HAM10000_metadata")) is None:
        return None
    return _with_paths(attach_images(read_rows(table), path, name=table.name), name=HAM10000)


def _read_isic(path: Path) -> Layout | None:
    if (ground_truth := find_ground_truth(path)) is None:
        return None
    return _with_paths(read_challenge(ground_truth, path), name=HAM10000)


def _read_published(
    path: Path,
    label_column: str | None,
    mapping: Mapping[str, str] | None,
    *,
    packed: bool = False,
) -> Layout | None:
    """Ask the adapters of published data sets; of Parquet files alone, those that read such."""
    from dermsim.data.sources import find_adapter

    if (adapter := find_adapter(path)) is None or (packed and not adapter.packed):
        return None
    if label_column:
        raise Refused(
            "layouts.own_columns", path=path, title=adapter.title, label_column=label_column
        )
    found = adapter.read(path, mapping=mapping or {})
    rows = [
        {field.name: getattr(row, field.name) for field in fields(row) if field.name != "image"}
        for row in found
    ]
    pictures = [row.image or "" for row in found]
    return Layout(rows, pictures, name=adapter.name, named=True, mapped=True)


def _read_own(
    path: Path, label_column: str | None, mapping: Mapping[str, str], *, packed: bool
) -> Layout | None:
    """Read what no publisher has named: tables beside pictures, and a folder per class.

    Args:
        path: The folder.
        label_column: As for `read_layout`.
        mapping: Likewise.
        packed: Whether there are Parquet files of pictures, too: then a folder must say more
            clearly that its loose pictures are the data.
    """
    name = path.absolute().name
    tables = {table: table.parent for table in find_imagefolder(path)}
    if not tables and (own := find_own_table(path, label_column)):
        tables = {own: path}
    if tables and not (packed and not _names_diagnoses(next(iter(tables)), label_column)):
        rows = [
            row
            for table, folder in tables.items()
            for row in read_table_folder(table, folder, label_column=label_column)
        ]
        layout = _with_paths(rows, name=name, named=True)
        if _has_pictures(layout) or not packed:
            return layout
    if label_column or (packed and not _sorted_by_diagnosis(path)):
        return None
    if not (classes := read_class_folder(path)):
        return None
    words = list(dict.fromkeys(row["dx"] for row in classes))
    understood = any(is_diagnosis(word) or fold(word) in map(fold, mapping) for word in words)
    if not understood and (why := why_no_table(path)):
        called = ", ".join(words[:NAMED]) + (", …" if len(words) > NAMED else "")
        raise Refused("layouts.no_classes", why=why, called=called)
    return _with_paths(classes, name=name, named=True)


def _read_pictures(path: Path) -> Layout:
    """Read all pictures of a folder, and what tables say of them."""
    tables = {table: table.parent for table in find_imagefolder(path)}
    if not tables and (own := find_own_table(path, None)):
        tables = {own: path}
    rows = [
        row
        for table, folder in tables.items()
        for row in read_table_folder(table, folder, labelled=False)
    ]
    told = {row["image"] for row in rows}
    rest = [picture for picture in list_images([path.absolute()]) if str(picture) not in told]
    names = distinct_ids(rest, path.absolute())
    rows += [{"image": str(picture), "image_id": names[picture]} for picture in rest]
    return _with_paths(rows, name=path.absolute().name, named=True)


def _is_sorted(path: Path) -> bool:
    """Say whether loose pictures are what a folder is about, whatever Parquet files it holds."""
    own = find_own_table(path, None)
    return _sorted_by_diagnosis(path) or (own is not None and _names_diagnoses(own, None))


def _sorted_by_diagnosis(path: Path) -> bool:
    """Say whether loose pictures lie in a folder that is called like one of the seven."""
    loose = (file for file in walk_files(path) if is_image_path(file))
    return any(is_diagnosis(p) for file in loose for p in file.relative_to(path).parts[:-1])


def _names_diagnoses(table: Path, label_column: str | None) -> bool:
    rows = read_rows(table)
    return bool(rows) and match_column(list(rows[0]), label_column or "dx") is not None


def _from_parquet(files: ParquetFiles) -> Layout:
    return Layout(files.facts(), files.photographs, name=HAM10000)


def _with_paths(rows: Sequence[Mapping[str, Any]], *, name: str, named: bool = False) -> Layout:
    """Take the paths of pictures out of rows."""
    pictures = [row.get("image") or "" for row in rows]
    bare = [{c: value for c, value in row.items() if c != "image"} for row in rows]
    return Layout(bare, pictures, name=name, named=named)


def _has_pictures(layout: Layout) -> bool:
    return not callable(layout.pictures) and any(layout.pictures)
