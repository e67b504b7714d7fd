"""BCN20000: 18,946 dermoscopic pictures of the Hospital Clínic in Barcelona.

Hernández-Pérez et al. 2024, https://doi.org/10.1038/s41597-024-03387-w. Known from public code, not
from the files: the columns of ``bcn_20k_train.csv`` and ``bcn_20k_test.csv`` (figshare), whose test
has no diagnoses, and the codes. From memory: ``OOD`` for what the test has besides. The other form,
as the ISIC Archive exports it (collection 249), is known by its columns ``isic_id`` and
``diagnosis_1`` to ``diagnosis_5`` and by Barcelona in its ``attribution``; its words are those seen
in public code. Half of ISIC 2019 are these pictures, under the same ``BCN_`` lesions and names of
its own.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, Split
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import (
    ISIC_SITES,
    SEXES,
    required,
    translate,
    words_by_code,
    years,
)
from dermsim.data.tables import Row, read_rows

TITLE, LICENCE = "BCN20000", "CC BY-NC 4.0"
LABELS = words_by_code(
    nv="NV; Nevus",
    mel="MEL; Melanoma, NOS; Melanoma metastasis",
    bcc="BCC; Basal cell carcinoma",
    bkl="BKL; Seborrheic keratosis; Solar lentigo",
    akiec="AK; Solar or actinic keratosis",
    df="DF; Dermatofibroma",
    vasc="VASC",
    other="SCC; OOD; Squamous cell carcinoma, NOS; Scar",
)
_FIGSHARE = ("bcn_filename", "lesion_id")
_ARCHIVE = ("isic_id", "attribution", "diagnosis_1", "diagnosis_3")
_SPLITS: dict[str, Split] = {"train": "train", "validation": "validation", "test": "test"}


def _tables(folder: Folder) -> list[Path]:
    """List the tables of training and test, or the one that the user named."""
    found = folder.tables(*_FIGSHARE)
    if folder.given is not None:
        return [folder.given] if folder.given in found else []
    return found


def _archive_table(folder: Folder) -> Path | None:
    table = folder.table(*_ARCHIVE)
    if table is None:
        return None
    origins = {row["attribution"] or "" for row in read_rows(table)}
    return table if origins and all("barcelona" in text.lower() for text in origins) else None


def _recognise(folder: Folder) -> bool:
    return bool(_tables(folder)) or _archive_table(folder) is not None


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    if tables := _tables(folder):
        rows = [row for table in tables for row in read_rows(table)]
        return _read(folder, rows, labels, name="bcn_filename", diagnosis="diagnosis")
    table = _archive_table(folder)
    assert table is not None
    return _read(folder, read_rows(table), labels, name="isic_id", diagnosis="diagnosis_3")


def _read(
    folder: Folder, rows: list[Row], labels: Labels, *, name: str, diagnosis: str
) -> list[SourceRow]:
    files = required(rows, name, source=TITLE)
    diagnoses = translate(rows, diagnosis, labels, source=TITLE, label=True)
    sexes = translate(rows, "sex", SEXES, source=TITLE)
    sites = translate(rows, "anatom_site_general", ISIC_SITES, source=TITLE)
    splits = translate(rows, "split", _SPLITS, source=TITLE)
    return [
        SourceRow(
            image=folder.picture(file, part=splits[number]),
            image_id=Path(file).stem,
            lesion_id=row.get("lesion_id"),
            dx=diagnoses[number],
            age=years(number, file, row.get("age_approx")),
            sex=sexes[number],
            localization=sites[number],
            modality="dermoscopy",
            original_label=row.get(diagnosis),
            licence=row.get("copyright_license") or "",
            split=splits[number],
        )
        for number, (file, row) in enumerate(zip(files, rows, strict=True))
    ]


ADAPTER = Adapter("bcn20000", TITLE, LICENCE, LABELS, _recognise, _rows)
