"""MILK10k (ISIC 2025): 5,240 lesions, each with a clinical close-up and a dermoscopic picture.

Tschandl et al. 2025, https://doi.org/10.34970/648456. Columns and words as published:
``MILK10k_Training_Metadata.csv`` has two rows for each lesion, the ground truth marks one of eleven
classes for each lesion, the supplement gives the full diagnosis of each picture, which becomes the
original label. The sites ``genital`` and ``hand`` are known from public code. ``MONET_*`` are what
a model says of the pictures, not what a person saw: they are not taken for concepts.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.core.refused import Phrase
from dermsim.data.sources.adapter import Adapter, Labels, Modality, SourceRow, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import (
    SEXES,
    marked,
    required,
    translate,
    words_by_code,
    years,
)
from dermsim.data.tables import Row, read_rows, row_error

TITLE, LICENCE = "MILK10k", "CC-BY-NC"
LABELS = words_by_code(
    akiec="AKIEC",
    bcc="BCC",
    bkl="BKL",
    df="DF",
    mel="MEL",
    nv="NV",
    vasc="VASC",
    other="BEN_OTH; INF; MAL_OTH; SCCKA",
)
SITES: dict[str, str | None] = {
    "foot": "foot",
    "genital": "genital",
    "hand": "hand",
    "head_neck_face": None,
    "lower_extremity": "lower extremity",
    "trunk": "trunk",
    "upper_extremity": "upper extremity",
}
MODALITIES: dict[str, Modality] = {"clinical: close-up": "clinical", "dermoscopic": "dermoscopy"}
_CONFIRMED = {"histopathology": "histo"}
_CLASSES = tuple(LABELS)
_METADATA = ("lesion_id", "image_type", "isic_id", "skin_tone_class", "site")
_SUPPLEMENT = ("isic_id", "diagnosis_full", "diagnosis_confirm_type")


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table)
    names = required(rows, "isic_id", source=TITLE)
    modalities = translate(rows, "image_type", MODALITIES, source=TITLE)
    sexes = translate(rows, "sex", SEXES, source=TITLE)
    sites = translate(rows, "site", SITES, source=TITLE)
    classes, more = _classes(folder), _supplement(folder)
    found = []
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        modality = modalities[number]
        if modality is None:
            raise row_error(number, name, Phrase("milk10k.image_type"))
        label, said = classes.get(row["lesion_id"]), more.get(name, {})
        confirmed = said.get("diagnosis_confirm_type")
        found.append(
            SourceRow(
                image=folder.picture(name, part="train" if label else None),
                image_id=name,
                lesion_id=row["lesion_id"],
                dx=None if label is None else labels[label],
                dx_type=_CONFIRMED.get(confirmed or "", confirmed),
                age=years(number, name, row.get("age_approx")),
                sex=sexes[number],
                localization=sites[number],
                modality=modality,
                original_label=said.get("diagnosis_full") or label,
                licence=row.get("copyright_license") or "",
                split="train" if label else None,
            )
        )
    return found


def _classes(folder: Folder) -> dict[str | None, str | None]:
    """Return the class of each lesion; none where the ground truth is not published."""
    table = folder.companion("lesion_id", *_CLASSES)
    if table is None:
        return {}
    rows = read_rows(table)
    lesions = required(rows, "lesion_id", source=TITLE)
    return dict(zip(lesions, marked(rows, _CLASSES, source=TITLE, key="lesion_id"), strict=True))


def _supplement(folder: Folder) -> dict[str | None, Row]:
    table = folder.companion(*_SUPPLEMENT)
    return {row["isic_id"]: row for row in read_rows(table)} if table else {}


ADAPTER = Adapter.of_table("milk10k", TITLE, LICENCE, LABELS, with_columns(*_METADATA), _rows)
