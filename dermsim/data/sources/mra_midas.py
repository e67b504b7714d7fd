"""MRA-MIDAS: lesions of Stanford's clinics at 1 foot, at 6 inches and through a dermatoscope.

Chiou et al., Stanford AIMI. All that is said here of columns and words is known from public code,
not from the files: ``release_midas.xlsx`` (or the same as ``.csv``), one row for each picture. The
table writes ``.jpeg`` where the disk has ``.jpg``, so pictures are found without ending.

The diagnosis is pathology's (``midas_path``); ``clinical_impression_*`` are opinions.
``midas_pathreport`` is free text that may tell of a person, and is never read. Rows with
``midas_iscontrol`` yes show healthy skin: `other`. ``midas_location`` has hundreds of free words,
which are not translated; with the record it tells lesions apart.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.core.refused import Phrase
from dermsim.data.sources.adapter import OTHER, Adapter, Labels, Modality, SourceRow
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import (
    SEXES,
    YES_NO,
    plain,
    required,
    translate,
    words_by_code,
    years,
)
from dermsim.data.tables import Row, read_rows, row_error

TITLE, LICENCE = "MRA-MIDAS", "Stanford AIMI agreement, research only"
CONTROL = "control (healthy skin)"
LABELS = words_by_code(
    akiec="malignant- ak; malignant- sccis",
    bcc="malignant- bcc",
    bkl="benign-seborrheic keratosis",
    df="benign-dermatofibroma",
    mel="malignant- melanoma",
    nv="benign-melanocytic nevus",
    vasc="benign-hemangioma",
    other="""
        benign-fibrous papule; benign-other; malignant- scc; malignant- other;
        other- melanocytic lesion, possible re-excision (severe, spitz, aimp);
        melanocytic tumor, possible re-excision (severe, spitz, aimp);
        other- non-neoplastic, inflammatory, infectious
    """,
)
MODALITIES: dict[str, Modality] = {
    "1ft": "clinical",
    "6in": "clinical",
    "n/a - virtual": "clinical",
    "dscope": "dermoscopy",
}
_COLUMNS = ("midas_record_id", "midas_file_name", "midas_distance", "midas_path")
_BOOK = "release_midas.xlsx"


def _table(folder: Folder) -> Path | None:
    return folder.table(*_COLUMNS) or folder.named(_BOOK)


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table, first_column="midas_file_name")
    files = required(rows, "midas_file_name", source=TITLE)
    # where pathology says nothing, the cell is empty or 0
    said = [{**row, "midas_path": _none_for_zero(row.get("midas_path"))} for row in rows]
    diagnoses = translate(said, "midas_path", labels, source=TITLE, label=True)
    modalities = translate(rows, "midas_distance", MODALITIES, source=TITLE)
    controls = translate(rows, "midas_iscontrol", YES_NO, source=TITLE)
    sexes = translate(rows, "midas_gender", SEXES, source=TITLE)
    found = []
    for number, (file, row) in enumerate(zip(files, said, strict=True)):
        modality, record = modalities[number], row["midas_record_id"]
        if modality is None or record is None:
            raise row_error(number, file, Phrase("mra_midas.ids"))
        control = bool(controls[number])
        found.append(
            SourceRow(
                image=folder.picture(file),
                image_id=Path(file).stem,
                lesion_id=_lesion(record, row, control),
                patient_id=f"midas_{record}",
                dx=OTHER if control else diagnoses[number],
                dx_type=None if control or row["midas_path"] is None else "histo",
                age=years(number, file, row.get("midas_age")),
                sex=sexes[number],
                modality=modality,
                original_label=CONTROL if control else row["midas_path"],
            )
        )
    return found


def _none_for_zero(text: str | None) -> str | None:
    return None if text in ("0", "0.0") else text


def _lesion(record: str, row: Row, control: bool) -> str | None:
    """Name a lesion after its record and place; what has no place has no name."""
    place = row.get("midas_location")
    if place is None:
        return None
    return f"midas_{record}_{plain(place)}{'_control' if control else ''}"


ADAPTER = Adapter.of_table("mra_midas", TITLE, LICENCE, LABELS, _table, _rows)
