"""What every source of pictures is brought to, and the contract of those that read one.

An adapter knows one published data set: how to recognise its folder, its columns, and every word
they hold. A word that it does not know is an error. A diagnosis that is none of the seven is
`OTHER`: a decision, which never trains the seven-class head but serves detector and retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.part_names import Part
from dermsim.data.sources.folder import Folder
from dermsim.data.tables import OTHER

Modality = Literal["dermoscopy", "clinical"]
"""Through a dermatoscope, or with a plain camera."""

Split = Part
"""A part of a data set as its publisher cut it."""

NOTHING: Mapping[str, str] = MappingProxyType({})
"""No concepts, or no words of the user's own."""


@dataclass(frozen=True, kw_only=True)
class SourceRow:
    """One picture and what its data set says of it.

    Attributes:
        image: Path of the picture, or its encoded bytes; None where the file is missing.
        image_id: Its name in the data set, without ending.
        lesion_id: All pictures of one lesion share it; None where it is not known.
        dx: One of `dermsim.core.labels.CODES`, `OTHER`, or None where no diagnosis is given.
        dx_type: How the diagnosis was confirmed. It reveals the label: never feed it to a model.
        age: Years.
        sex: ``"female"`` or ``"male"``.
        localization: One of `dermsim.data.facts.SITES`; None where the source's word fits none.
        patient_id: All pictures of one patient share it.
        source: `Adapter.name`, which `Adapter.read` puts there.
        modality: How the picture was taken.
        original_label: The diagnosis in the source's own words.
        concepts: What a person saw, by concept, in the source's own words. Concepts of different
            sources that share a name need not mean the same.
        caption: A sentence about the picture.
        licence: Terms of use of this picture; `Adapter.read` puts the data set's where it has none
            of its own.
        split: The publisher's own split.
    """

    image: str | bytes | None
    image_id: str
    modality: Modality
    source: str = ""
    licence: str = ""
    lesion_id: str | None = None
    dx: str | None = None
    dx_type: str | None = None
    age: float | None = None
    sex: str | None = None
    localization: str | None = None
    patient_id: str | None = None
    original_label: str | None = None
    concepts: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    caption: str | None = None
    split: Split | None = None

    def __post_init__(self) -> None:
        """Refuse a diagnosis that no decision was made about."""
        if self.dx is not None and self.dx != OTHER and self.dx not in CODES:
            raise Refused(
                "adapter.dx", image_id=self.image_id, dx=self.dx, codes=CODES, other=OTHER
            )


Labels = Mapping[str, str]
"""Every diagnosis of a source, in its own words, and what it is here: a code or `OTHER`."""


@dataclass(frozen=True)
class Adapter:
    """Reads one data set.

    Attributes:
        name: Short name, as in ``SourceRow.source``.
        title: What its publisher calls it.
        licence: Terms of use; a source may give others for single pictures.
        labels: Its whole vocabulary of diagnoses; empty where it has none.
        recognise: Says whether a folder holds this data set.
        rows: Reads them, given the labels to go by.
        packed: Whether it reads Parquet files, too.
    """

    name: str
    title: str
    licence: str
    labels: Labels
    recognise: Callable[[Folder], bool]
    rows: Callable[[Folder, Labels], list[SourceRow]]
    packed: bool = False

    @classmethod
    def of_table(
        cls,
        name: str,
        title: str,
        licence: str,
        labels: Labels,
        find: Callable[[Folder], Path | None],
        rows: Callable[[Folder, Path, Labels], list[SourceRow]],
    ) -> Adapter:
        """Make the adapter of a data set that one table is the centre of.

        Args:
            name: As for the class, as are the next three.
            title: What its publisher calls it.
            licence: Terms of use.
            labels: Its vocabulary.
            find: Finds the table; a folder that has it is this data set.
            rows: Reads the folder, given the table and the labels to go by.
        """

        def recognise(folder: Folder) -> bool:
            table = find(folder)
            return table is not None and folder.given in (None, table)

        def read(folder: Folder, labels: Labels) -> list[SourceRow]:
            table = find(folder)
            assert table is not None
            return rows(folder, table, labels)

        return cls(name, title, licence, labels, recognise, read)

    def recognises(self, folder: str | Path | Folder) -> bool:
        """Say whether a folder, or one table of it, is this data set."""
        return self.recognise(Folder.at(folder))

    def read(
        self, folder: str | Path | Folder, *, mapping: Mapping[str, str] = NOTHING
    ) -> list[SourceRow]:
        """Read the rows; the pictures themselves are not opened.

        Args:
            folder: The data set's folder, or the path of its table.
            mapping: Diagnoses in the source's words and what they are here (a code or `OTHER`), for
                words that a newer release has added, or where you decide otherwise.

        Returns:
            One row for each picture, in the source's order; ``image`` is None where it is missing.

        Raises:
            ValueError: If the folder is not this data set, or holds a word or a value that is not
                known; the message names the row.
        """
        found = Folder.at(folder)
        if not self.recognise(found):
            raise Refused("adapter.other_source", path=found.path, title=self.title)
        for word, code in mapping.items():
            if code not in (*CODES, OTHER):
                raise Refused("adapter.mapped", word=word, code=code, codes=CODES, other=OTHER)
        return [
            replace(row, source=self.name, licence=row.licence or self.licence)
            for row in self.rows(found, {**self.labels, **mapping})
        ]


def with_columns(*columns: str) -> Callable[[Folder], Path | None]:
    """Return what finds the table of a folder that has all of these columns."""
    return lambda folder: folder.table(*columns)
