"""Reads the official ISIC challenge layouts: 2018 Task 3 and 2017 Part 3, the field's exams.

- 2018 Task 3 (Codella et al. 2019, https://arxiv.org/abs/1902.03368):
  ``ISIC2018_Task3_<part>_GroundTruth.csv`` marks one of seven columns per image. The training part
  is HAM10000 itself. ``ISIC2018_Task3_<part>_LesionGroupings.csv``, if there, supplies lesion_id
  and dx_type.
- 2017 Part 3 (Codella et al. 2018, https://arxiv.org/abs/1710.05006):
  ``ISIC-2017_<part>_Part3_GroundTruth.csv`` marks melanoma, seborrhoeic keratosis (``bkl``) or
  neither (``nv``). ``ISIC-2017_<part>_Data_metadata.csv``, if there, supplies age and sex.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.core.labels import parse_dx
from dermsim.core.refused import Phrase, Refused
from dermsim.data.folders import walk_files
from dermsim.data.table_folder import attach_images
from dermsim.data.tables import Row, read_rows, row_error

_GROUND_TRUTHS = ("ISIC2018_Task3_*GroundTruth.csv", "ISIC-2017_*Part3_GroundTruth.csv")
_CLASSES_2018 = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
_CLASSES_2017 = ("melanoma", "seborrheic_keratosis")
_DX_TYPES = {
    "histopathology": "histo",
    "serial imaging showing no change": "follow_up",
    "single image expert consensus": "consensus",
    "confocal microscopy with consensus dermoscopy": "confocal",
}


def find_ground_truth(source: Path) -> Path | None:
    """Find the ground-truth table of a challenge.

    Args:
        source: A folder, searched to any depth, or the table itself.

    Returns:
        The table, or None where there is none.

    Raises:
        ValueError: If there are several: mixing a challenge's parts would spoil its test.
    """
    if source.is_file():
        return source if any(source.match(pattern) for pattern in _GROUND_TRUTHS) else None
    found = sorted(
        path for path in walk_files(source) if any(path.match(name) for name in _GROUND_TRUTHS)
    )
    if len(found) > 1:
        names = [path.name for path in found]
        raise Refused("isic.several_truths", source=source, names=names)
    return found[0] if found else None


def read_challenge(ground_truth: Path, folder: Path) -> list[Row]:
    """Read one part of a challenge as rows of HAM10000's columns.

    Args:
        ground_truth: The table that `find_ground_truth` found.
        folder: Where the pictures and the accompanying tables lie, at any depth.

    Returns:
        Rows in the table's order; ``image`` is None where the picture is missing.

    Raises:
        ValueError: If the table has none of the known forms or marks a row with no or several
            classes; the message names the row.
    """
    rows = read_rows(ground_truth)
    columns = set(rows[0]) if rows else set()
    if {"image_id", "dx"} <= columns:  # Dataverse publishes the 2018 test truth with all the facts
        read = rows
    elif {"image", *_CLASSES_2018} <= columns:
        name = ground_truth.name.replace("GroundTruth", "LesionGroupings")
        groupings = _index(folder, name, "image")
        read = [_row_2018(index, row, groupings) for index, row in enumerate(rows)]
    elif {"image_id", *_CLASSES_2017} <= columns:
        name = ground_truth.name.replace("Part3_GroundTruth", "Data_metadata")
        people = _index(folder, name, "image_id")
        read = [_row_2017(index, row, people) for index, row in enumerate(rows)]
    else:
        raise Refused(
            "isic.not_a_truth",
            name=ground_truth.name,
            classes_2018=_CLASSES_2018,
            classes_2017=_CLASSES_2017,
        )
    return attach_images(read, folder)


def _row_2018(index: int, row: Row, groupings: dict[str, Row] | None) -> Row:
    marked = _marked(index, row["image"], row, _CLASSES_2018)
    if len(marked) != 1:
        raise row_error(index, row["image"], Phrase("isic.one_class", count=len(marked)))
    read: Row = {"image_id": row["image"], "dx": parse_dx(marked[0])}
    if groupings is not None:
        lesion = groupings.get(row["image"] or "", {})
        confirmed = lesion.get("diagnosis_confirm_type")
        read["lesion_id"] = lesion.get("lesion_id")
        read["dx_type"] = _DX_TYPES.get(confirmed or "", confirmed)
    return read


def _row_2017(index: int, row: Row, people: dict[str, Row] | None) -> Row:
    marked = _marked(index, row["image_id"], row, _CLASSES_2017)
    if len(marked) > 1:
        raise row_error(index, row["image_id"], Phrase("isic.at_most_one", marked=marked))
    read: Row = {"image_id": row["image_id"], "dx": parse_dx(marked[0]) if marked else "nv"}
    if people is not None:
        person = people.get(row["image_id"] or "", {})
        read |= {"age": person.get("age_approximate"), "sex": person.get("sex")}
    return read


def _marked(index: int, image_id: str | None, row: Row, classes: tuple[str, ...]) -> list[str]:
    """List the columns marked 1."""
    marks = {"1": True, "1.0": True, "0": False, "0.0": False}
    for column in classes:
        if row[column] not in marks:
            raise row_error(
                index, image_id, Phrase("isic.zero_or_one", column=column, value=row[column])
            )
    return [column for column in classes if marks[row[column] or ""]]


def _index(folder: Path, name: str, key: str) -> dict[str, Row] | None:
    """Read the accompanying table of this name by image, or None where there is none."""
    path = next((path for path in sorted(walk_files(folder)) if path.name == name), None)
    return {row.get(key) or "": row for row in read_rows(path)} if path else None
