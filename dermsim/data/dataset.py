"""The one door for data sets: whatever a source is, what comes out are checked rows of one schema.

Opening a source reads its facts and settles what its words mean, which takes a moment, imports
neither torch nor 🤗 datasets, and is when everything that is wrong with a table or folder is said.
Loading it then reads every picture once.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.data.columns import find_label_column, house_names, lacks, renamed
from dermsim.data.label_mapping import LabelMapping, count_labels, map_labels
from dermsim.data.layouts import LAYOUTS, Layout, read_layout
from dermsim.data.photographs import ENOUGH, is_outline
from dermsim.data.rows import Facts, distinct_rows, known, normalise_all
from dermsim.data.tables import COLUMNS, OTHER, row_error, schema

if TYPE_CHECKING:
    from datasets import Dataset

SYNTHETIC = "synthetic"
"""The source of drawn pictures, see `dermsim.data.synthetic`."""

NAMED = 5
"""Pictures that a refusal names."""

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
    """
    opened = open_source(source, label_column=label_column, mapping=mapping)
    if report is not None:
        report(opened.mapping)
    return opened.load(keep_other=keep_other)


@dataclass(frozen=True)
class OpenedSource:
    """A source whose facts were read and checked, and whose pictures were not.

    Attributes:
        source: As it was named.
        name: What figures call it: ``"HAM10000"`` and ``"synthetic"``, else the folder's own name.
        facts: Of each row of the source, as `normalise` returns them.
        kept: The first row of each image, sorted by image_id.
        pictures: Paths or encoded bytes, or what reads a column of them; in the order of `facts`.
        mapping: What the words for diagnoses were taken for.
    """

    source: str
    name: str
    facts: Sequence[Facts]
    kept: Sequence[int]
    pictures: Sequence[str | bytes] | Callable[[], Dataset]
    mapping: LabelMapping

    def load(self, *, more: bool = True, keep_other: bool = False) -> Dataset:
        """Read every picture once, and put it beside its facts.

        Args:
            more: Whether to return `MORE_COLUMNS`; without them only ``patient_id``, and that only
                where a patient is known, because splits must keep patients together.
            keep_other: As for `load_dataset`.

        Raises:
            ValueError: If a picture is missing, cannot be read or is no photograph.

        Warns:
            UserWarning: How many photographs of other diagnoses were left out.
        """
        rows = list(self.kept)
        if not keep_other:
            rows = [row for row in rows if self.facts[row]["dx"] is not None]
            self._say_left_out([row for row in self.kept if self.facts[row]["dx"] is None])
        loaded = self._assemble(rows, more=more)
        _refuse_outlines(loaded, rows)
        return loaded

    def _say_left_out(self, others: Sequence[int]) -> None:
        """Count the words of what is left out."""
        words = Counter(str(self.facts[row]["original_label"]) for row in others)
        named = ", ".join(f"{word} ({count})" for word, count in words.most_common(NAMED))
        if len(others) == len(self.kept):
            raise ValueError(
                f"{self.source} has no photograph of {', '.join(CODES)}, but of {named}"
            )
        if others:
            warnings.warn(
                f"{self.source}: {len(others):,} photographs of other diagnoses are left out: "
                f"{named}{', …' if len(words) > NAMED else ''}",
                stacklevel=3,
            )

    def _assemble(self, rows: list[int], *, more: bool) -> Dataset:
        """Put pictures and facts side by side.

        Pictures stay where they are, on disk or memory-mapped, however many gigabytes they take.
        """
        from datasets import Dataset, Features, Image, concatenate_datasets

        every = schema(more=True)
        patients = any(fact["patient_id"] is not None for fact in self.facts)
        kept = every if more else [*COLUMNS, *(["patient_id"] if patients else [])]
        features = Features({column: every[column] for column in kept})
        columns = [column for column in features if column != "image"]
        if callable(self.pictures):
            images = self.pictures().select_columns(["image"])
        else:
            encoded = [
                {"bytes": p, "path": None} if isinstance(p, bytes) else {"bytes": None, "path": p}
                for p in self.pictures
            ]
            images = Dataset.from_dict({"image": encoded}, features=Features({"image": Image()}))
        table = Dataset.from_dict(
            {column: [fact[column] for fact in self.facts] for column in columns},
            features=Features({column: features[column] for column in columns}),
        )
        images = images.cast_column("image", features["image"])
        return concatenate_datasets([images, table], axis=1).select(rows)


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
    _refuse_missing(layout, facts)
    kept = distinct_rows(facts)
    if len(kept) < len(facts):
        warnings.warn(
            f"{source}: {len(facts) - len(kept)} of {len(facts)} rows repeat an image_id with the "
            f"same facts and were merged; {len(kept)} images remain",
            stacklevel=2,
        )
    return OpenedSource(str(source), layout.name, facts, kept, layout.pictures, found)


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
            raise row_error(number, image_id, "dx is missing")
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
) -> Layout:
    """Recognise what a source is and read its rows, facts and diagnoses in the source's own words.

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
            layout = read_layout(path, label_column=label_column, mapping=mapping)
        # What cannot be a Hub id ("name" or "owner/name") was meant as a path.
        elif isinstance(source, Path) or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", source):
            raise FileNotFoundError(f"no folder at {source}: check the path")
        else:
            from dermsim.data.hub_source import read_hub

            layout = read_hub(source)
    if not layout.rows:
        raise ValueError(f"{source} has no rows: expected {LAYOUTS}")
    return layout if layout.named else _name_columns(layout, str(source), label_column)


def _name_columns(layout: Layout, source: str, label_column: str | None) -> Layout:
    """Give rows the schema's columns; those that nothing can stand in for must be there."""
    columns = list(dict.fromkeys(column for row in layout.rows for column in row))
    label = find_label_column(columns, label_column, source=source)
    names = house_names(columns, label)
    if missing := {"image_id", "dx"} - set(names.values()):
        raise lacks(["image", *columns], sorted(missing), source=source)
    return Layout(renamed(layout.rows, names), layout.pictures, name=layout.name, named=True)


def _synthetic() -> Layout:
    from dermsim.data.synthetic import synthetic_ham10000

    drawn = synthetic_ham10000()
    rows = drawn.remove_columns("image").to_list()
    coded = [{**row, "dx": CODES[row["dx"]]} for row in rows]
    return Layout(coded, lambda: drawn, name=SYNTHETIC, named=True)


def _refuse_missing(layout: Layout, facts: Sequence[Facts]) -> None:
    """Refuse rows without a picture file, naming the first and counting the others."""
    if callable(layout.pictures):
        return
    lacking = [row for row, path in enumerate(layout.pictures) if not path]
    if lacking:
        first, more = lacking[0], len(lacking) - 1
        beside = f", and none for {more:,} more rows" if more else ""
        raise row_error(first, facts[first]["image_id"], f"there is no image file{beside}")


def _refuse_outlines(dataset: Dataset, rows: Sequence[int]) -> None:
    """Read every picture, which finds what does not decode, and refuse what is no photograph."""
    from dermsim.data.pixels import map_images

    found = map_images(dataset, is_outline, at_least=ENOUGH, row_numbers=rows)
    outlines = [position for position, outline in enumerate(found) if outline]
    if outlines:
        names = dataset["image_id"]
        first = ", ".join(names[position] for position in outlines[:NAMED])
        more = ", …" if len(outlines) > NAMED else ""
        raise ValueError(
            f"{len(outlines):,} of {len(dataset):,} pictures ({first}{more}) are black and white "
            "or of a handful of colours, as outlines of lesions are, and no photographs: move "
            "outlines out of the folder"
        )
