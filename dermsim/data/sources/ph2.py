"""PH²: 200 dermoscopic pictures of naevi and melanomas with what dermatologists saw in them.

Mendonça et al. 2013, https://doi.org/10.1109/EMBC.2013.6610779. Columns and words as published
(``PH2_dataset.xlsx``: a legend above the header, line breaks in its cells). The ``.txt`` with the
same table is not read. Pictures are ``IMD003/IMD003_Dermoscopic_Image/IMD003.bmp``; the outlines
and regions beside them bear other names. Nothing says which patient or lesion a picture is of.
"""

from __future__ import annotations

from collections.abc import Mapping

from dermsim.core.refused import Phrase, Refused
from dermsim.data.sources.adapter import Adapter, Labels, SourceRow
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import required, translate, words_by_code
from dermsim.data.tables import Row, read_rows, row_error

TITLE, LICENCE = "PH2", "research and teaching after registration, no redistribution"
LABELS = words_by_code(nv="Common Nevus; Atypical Nevus", mel="Melanoma")
_PRESENCE = {"A": "absent", "P": "present"}
_PATTERN = {"A": "absent", "AT": "atypical", "T": "typical"}
STRUCTURES: dict[str, tuple[str, Mapping[str, str]]] = {
    "asymmetry": (
        "Asymmetry",
        {"0": "symmetric", "1": "asymmetric in one axis", "2": "asymmetric in both axes"},
    ),
    "pigment network": ("Pigment Network", {"AT": "atypical", "T": "typical"}),
    "dots/globules": ("Dots/Globules", _PATTERN),
    "streaks": ("Streaks", _PRESENCE),
    "regression areas": ("Regression Areas", _PRESENCE),
    "blue-whitish veil": ("Blue-Whitish Veil", _PRESENCE),
}
"""Each concept, how its column begins, and the words of its states."""

COLOURS = ("White", "Red", "Light-Brown", "Dark-Brown", "Blue-Gray", "Black")
_BOOK, _NAME, _CONFIRMED = "PH2_dataset.xlsx", "Image Name", "Histological Diagnosis"


def _recognise(folder: Folder) -> bool:
    book = folder.named(_BOOK)
    return book is not None and folder.given in (None, book)


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    book = folder.named(_BOOK)
    assert book is not None
    rows = [row for row in map(_by_first_words, read_rows(book, first_column=_NAME)) if row]
    names = required(rows, _NAME, source=TITLE)
    concepts = _concepts(rows)
    marks = {label: _crosses(rows, label) for label in LABELS}
    found = []
    for number, name in enumerate(names):
        chosen = [label for label in LABELS if marks[label][number]]
        if len(chosen) != 1:
            raise row_error(number, name, Phrase("ph2.one_diagnosis", count=len(chosen)))
        found.append(
            SourceRow(
                image=folder.picture(f"{name}_Dermoscopic_Image/{name}.bmp"),
                image_id=name,
                dx=labels[chosen[0]],
                dx_type="histo" if rows[number].get(_CONFIRMED) else None,
                modality="dermoscopy",
                original_label=chosen[0],
                concepts=concepts[number],
            )
        )
    return found


def _by_first_words(row: Row) -> Row:
    """Drop what stands in brackets in the header, and columns without a name."""
    return {name.partition("(")[0].strip(): value for name, value in row.items() if name}


def _concepts(rows: list[Row]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = [{} for _ in rows]
    for concept, (column, words) in STRUCTURES.items():
        for row, state in enumerate(translate(rows, column, words, source=TITLE)):
            if state is not None:
                found[row][concept] = state
    for colour in COLOURS:
        for row, cross in enumerate(_crosses(rows, colour)):
            found[row][colour.lower()] = "present" if cross else "absent"
    return found


def _crosses(rows: list[Row], column: str) -> list[bool]:
    if rows and column not in rows[0]:
        raise Refused("ph2.no_column", title=TITLE, column=column)
    return [bool(cross) for cross in translate(rows, column, {"X": True}, source=TITLE)]


ADAPTER = Adapter("ph2", TITLE, LICENCE, LABELS, _recognise, _rows)
