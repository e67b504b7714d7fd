"""The one door for data sets: whatever a source is, what comes out are checked rows of one schema.

Opening a source reads its facts and settles what its words mean, which takes a moment, imports
neither torch nor 🤗 datasets, and is when everything that is wrong with a table or folder is said.
Loading it then reads every picture once.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase, Refused, RefusedFileNotFoundError
from dermsim.data.columns import find_label_column, house_names, lacks, renamed
from dermsim.data.components import COMPONENTS, join_lesions, load_components
from dermsim.data.label_mapping import LabelMapping, count_labels, map_labels
from dermsim.data.layouts import LAYOUTS, NAMED, Layout, packed_away, read_layout
from dermsim.data.opened_source import OpenedSource
from dermsim.data.rows import Facts, distinct_rows, known, normalise_all
from dermsim.data.tables import OTHER, row_error

if TYPE_CHECKING:
    from datasets import Dataset

SYNTHETIC = "synthetic"
"""The source of drawn pictures, see `dermsim.data.synthetic`."""

Report = Callable[[LabelMapping], object]
"""Is told what the words of a source were taken for, before a picture is read."""


def load_dataset(
    source: str | Path,
    *,
    label_column: str | None = None,
    mapping: Mapping[str, str] | None = None,
    keep_other: bool = False,
    report: Report | None = None,
) -> Dataset:
    """Load any source of photographs and diagnoses, check every row and every image.

    The source's own splits are noted and not trusted: use `dermsim.data.splits.grouped_splits`.
    Rows that repeat an image_id with the same facts are merged.

    Args:
        source: One of

            - a Hub id, or a folder of Parquet files in the Hub's layout;
            - a folder with a folder of pictures per class;
            - a folder of pictures with a table beside them (CSV, TSV, JSON lines, Excel), or that
              table;
            - the layouts of HAM10000 and ISIC, and of the data sets of `dermsim.data.sources`;
            - ``"synthetic"``: drawn pictures.
        label_column: The column that holds the diagnoses; ``dx`` when None.
        mapping: What words for diagnoses mean, such as ``{"nevus": "nv", "scc": "other"}``: one of
            the seven codes, or ``"other"`` for none of these. Names of the seven in English and
            Spanish, and many others, are known without it.
        keep_other: Keep the photographs of other diagnoses, ``dx`` being None, for what is no
            classifier; else they are left out, which is said.
        report: Is told what the words were taken for, before a picture is read.

    Returns:
        Rows sorted by image_id with the columns of `load_ham10000` and those of
        `dermsim.data.tables.MORE_COLUMNS`, which see.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ConnectionError: If a Hub id cannot be reached.
        ValueError: If the layout is not recognised, a column is missing, a word for a diagnosis,
            sex or site is not known, or a row has no readable photograph, contradicts another of
            the same image, or bears an id that a spreadsheet shortened; the message names it.

    Warns:
        UserWarning: What was merged, left out, or read in a way that may be wrong.

    Examples:
        >>> from dermsim import load_dataset
        >>> rows = load_dataset("synthetic")
        >>> len(rows), rows[0]["image_id"]
        (480, 'SYN_0000000')
    """
    opened = open_source(source, label_column=label_column, mapping=mapping)
    if report is not None:
        report(opened.mapping)
    return opened.load(keep_other=keep_other)


def open_source(
    source: str | Path,
    *,
    label_column: str | None = None,
    mapping: Mapping[str, str] | None = None,
    unknown_is_other: bool = False,
) -> OpenedSource:
    """Read the facts of a source and settle what its words mean; see `load_dataset`.

    Args:
        source: As for `load_dataset`.
        label_column: Likewise.
        mapping: Likewise.
        unknown_is_other: Take words for none of the seven where nobody said what they mean.

    Raises:
        FileNotFoundError: As `load_dataset`, as are the others, for all but the pictures.
        ConnectionError: Likewise.
        ValueError: Likewise.
    """
    layout = read_rows_of(source, label_column=label_column, mapping=mapping)
    codes, found = _settle_labels(layout, mapping, unknown_is_other=unknown_is_other)
    rows = [
        {"source": layout.name, "original_label": row.get("dx"), **row, "dx": code}
        for row, code in zip(layout.rows, codes, strict=True)
    ]
    facts = normalise_all(rows, name=str(source))
    _refuse_missing(str(source), layout, facts)
    _join_near_duplicates(source, facts)
    kept = distinct_rows(facts)
    if len(kept) < len(facts):
        warnings.warn(
            f"{source}: {len(facts) - len(kept)} of {len(facts)} rows repeat an image_id with the "
            f"same facts and were merged; {len(kept)} images remain",
            stacklevel=2,
        )
    return OpenedSource(str(source), layout.name, facts, kept, layout.pictures, found)


def _join_near_duplicates(source: str | Path, facts: Sequence[Facts]) -> None:
    """Heed what `dermsim duplicates` found, where that lies in the source's folder."""
    folder = Path(source)
    if not (folder / COMPONENTS).is_file():
        return
    if fewer := join_lesions(facts, load_components(folder, source=folder)):
        warnings.warn(
            f"{source}: {fewer:,} lesions are one with others, because {COMPONENTS} says that they "
            "have photographs in common",
            stacklevel=3,
        )


def _settle_labels(
    layout: Layout, mapping: Mapping[str, str] | None, *, unknown_is_other: bool
) -> tuple[Sequence[str], LabelMapping]:
    """Translate the words for diagnoses; an adapter has done so and knows what has none."""
    if layout.mapped:
        codes = [row["dx"] or OTHER for row in layout.rows]
        return codes, count_labels([row["original_label"] or "" for row in layout.rows], codes)
    ids = [known(row.get("image_id")) for row in layout.rows]
    words = [known(row.get("dx")) for row in layout.rows]
    for number, (image_id, word) in enumerate(zip(ids, words, strict=True)):
        if word is None:
            raise row_error(number, image_id, Phrase("dataset.dx_missing"))
    return map_labels(
        [str(word) for word in words],
        mapping,
        image_ids=ids,
        unknown_is_other=unknown_is_other,
    )


def read_rows_of(
    source: str | Path,
    *,
    label_column: str | None = None,
    mapping: Mapping[str, str] | None = None,
    labelled: bool = True,
) -> Layout:
    """Recognise what a source is and read its rows, facts and diagnoses in the source's own words.

    Args:
        source: As for `load_dataset`, as are the others.
        label_column: Likewise.
        mapping: Likewise.
        labelled: Whether diagnoses are needed, as for `dermsim.data.layouts.read_layout`.

    Raises:
        FileNotFoundError: As `load_dataset`, as are the others.
        ConnectionError: Likewise.
        ValueError: Likewise.
    """
    if str(source) == SYNTHETIC:
        layout = _synthetic()
    else:
        path = Path(source)
        if path.exists():
            layout = read_layout(
                path, label_column=label_column, mapping=mapping, labelled=labelled
            )
        # What cannot be a Hub id ("name" or "owner/name") was meant as a path.
        elif isinstance(source, Path) or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source):
            raise RefusedFileNotFoundError("dataset.no_folder", source=source)
        else:
            from dermsim.data.hub_source import read_hub

            layout = read_hub(source)
    if not layout.rows:
        raise Refused("dataset.no_rows", source=source, layouts=LAYOUTS)
    if layout.named:
        return layout
    return _name_columns(layout, str(source), label_column, labelled=labelled)


def _name_columns(
    layout: Layout, source: str, label_column: str | None, *, labelled: bool
) -> Layout:
    """Give rows the schema's columns; those that nothing can stand in for must be there."""
    columns = list(dict.fromkeys(column for row in layout.rows for column in row))
    label = find_label_column(columns, label_column, source=source)
    names = house_names(columns, label)
    if missing := {"image_id", *(["dx"] if labelled else [])} - set(names.values()):
        raise lacks(["image", *columns], sorted(missing), source=source)
    return Layout(renamed(layout.rows, names), layout.pictures, name=layout.name, named=True)


def _synthetic() -> Layout:
    from dermsim.data.synthetic import synthetic_ham10000

    drawn = synthetic_ham10000()
    rows = drawn.remove_columns("image").to_list()
    coded = [{**row, "dx": CODES[row["dx"]]} for row in rows]
    return Layout(coded, lambda: drawn, name=SYNTHETIC, named=True)


def _refuse_missing(source: str, layout: Layout, facts: Sequence[Facts]) -> None:
    """Refuse rows without a picture file, naming the first five and counting the others."""
    if callable(layout.pictures):
        return
    lacking = [row for row, path in enumerate(layout.pictures) if not path]
    if lacking:
        first, *more = lacking
        named = [facts[row]["image_id"] for row in more[: NAMED - 1]]
        rest = ", …" if len(more) >= NAMED else ""
        beside = Phrase("dataset.more_rows", count=len(more), named=named, rest=rest)
        folder = Path(source) if Path(source).is_dir() else Path(source).parent
        raise row_error(
            first,
            facts[first]["image_id"],
            Phrase(
                "dataset.no_image_file", beside=beside if more else "", packed=packed_away(folder)
            ),
        )
