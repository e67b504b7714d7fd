"""ISIC 2020 (SIIM-ISIC): 33,126 dermoscopic pictures of 2,056 patients, melanoma or not.

Rotemberg et al. 2021, https://doi.org/10.1038/s41597-021-00815-z. Columns and words as published
(``train.csv`` or ``ISIC_2020_Training_GroundTruth.csv``). 27,124 benign pictures have no diagnosis:
they are `other`, not naevi. ``ISIC_2020_Training_Duplicates.csv`` names 425 pairs of equal
pictures: where it lies in the folder, the second of each pair is left out. Version 2 adds
``lesion_id`` (known from memory only).
"""

from __future__ import annotations

from pathlib import Path

from dermsim.core.refused import Phrase
from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import (
    ISIC_SITES,
    SEXES,
    YES_NO,
    required,
    translate,
    words_by_code,
    years,
)
from dermsim.data.tables import read_rows, row_error

TITLE, LICENCE = "ISIC 2020", "CC BY-NC 4.0"
LABELS = words_by_code(
    nv="nevus",
    mel="melanoma",
    bkl="seborrheic keratosis; lichenoid keratosis; solar lentigo; lentigo NOS",
    other="unknown; cafe-au-lait macule; atypical melanocytic proliferation",
)
_COLUMNS = ("image_name", "patient_id", "diagnosis", "benign_malignant", "target")
_PAIRS = ("image_name_1", "image_name_2")


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table)
    names = required(rows, "image_name", source=TITLE)
    malignant = translate(
        rows, "benign_malignant", {"malignant": True, "benign": False}, source=TITLE
    )
    for number, target in enumerate(translate(rows, "target", YES_NO, source=TITLE)):
        if target is not malignant[number]:
            raise row_error(number, names[number], Phrase("isic2020.contradict"))
    diagnoses = translate(rows, "diagnosis", labels, source=TITLE, label=True)
    sexes = translate(rows, "sex", SEXES, source=TITLE)
    sites = translate(rows, "anatom_site_general_challenge", ISIC_SITES, source=TITLE)
    again = _second_copies(folder)
    return [
        SourceRow(
            image=folder.picture(name, part="train"),
            image_id=name,
            lesion_id=row.get("lesion_id"),
            patient_id=row["patient_id"],
            dx=diagnoses[number],
            age=years(number, name, row.get("age_approx")),
            sex=sexes[number],
            localization=sites[number],
            modality="dermoscopy",
            original_label=row["diagnosis"],
            split="train",
        )
        for number, (name, row) in enumerate(zip(names, rows, strict=True))
        if name not in again
    ]


def _second_copies(folder: Folder) -> set[str | None]:
    table = folder.companion(*_PAIRS)
    return {row["image_name_2"] for row in read_rows(table)} if table else set()


ADAPTER = Adapter.of_table("isic2020", TITLE, LICENCE, LABELS, with_columns(*_COLUMNS), _rows)
