"""ISIC 2019: 25,331 dermoscopic pictures of HAM10000, BCN20000 and MSK in eight classes.

Layout and columns as published: ``ISIC_2019_Training_GroundTruth.csv`` marks one of nine columns
(``UNK`` is empty in training), ``ISIC_2019_Training_Metadata.csv`` gives age, sex, site and, except
for 2,084 pictures, the lesion. 2,074 names end ``_downsampled``, which is dropped so that the same
picture of another data set bears the same name. It holds all of HAM10000, and 595 of the 600
pictures of the ISIC 2017 test: `dermsim.data.exam` refuses those in training.

Known from memory only: that the test's table has the same columns and two more. Codella et al. 2018
https://arxiv.org/abs/1710.05006, Tschandl et al. 2018 https://doi.org/10.1038/sdata.2018.161,
Combalia et al. 2019 https://arxiv.org/abs/1908.02288.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, Split, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import (
    ISIC_SITES,
    SEXES,
    marked,
    required,
    translate,
    words_by_code,
    years,
)
from dermsim.data.tables import Row, read_rows

TITLE, LICENCE = "ISIC 2019", "CC BY-NC 4.0"
LABELS = words_by_code(
    mel="MEL", nv="NV", bcc="BCC", akiec="AK", bkl="BKL", df="DF", vasc="VASC", other="SCC; UNK"
)
_CLASSES = tuple(LABELS)
_TRUTH = ("image", *_CLASSES)
_METADATA = ("image", "age_approx", "anatom_site_general", "sex")
_SUFFIX = "_downsampled"


def _rows(folder: Folder, truth: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(truth)
    names = required(rows, "image", source=TITLE)
    classes = marked(rows, _CLASSES, source=TITLE, key="image")
    people = _people(folder, names)
    sexes = translate(people, "sex", SEXES, source=TITLE)
    sites = translate(people, "anatom_site_general", ISIC_SITES, source=TITLE)
    split = _split(truth.name)
    return [
        SourceRow(
            image=folder.picture(name, part=split),
            image_id=name.removesuffix(_SUFFIX),
            lesion_id=people[number].get("lesion_id"),
            dx=labels[label or ""],
            age=years(number, name, people[number].get("age_approx")),
            sex=sexes[number],
            localization=sites[number],
            modality="dermoscopy",
            original_label=label,
            split=split,
        )
        for number, (name, label) in enumerate(zip(names, classes, strict=True))
    ]


def _people(folder: Folder, names: list[str]) -> list[Row]:
    """Return what the metadata say of each picture; nothing where there are none."""
    table = folder.companion(*_METADATA)
    known = {row["image"]: row for row in read_rows(table)} if table else {}
    return [known.get(name, {}) for name in names]


def _split(name: str) -> Split | None:
    return "train" if "training" in name.lower() else "test" if "test" in name.lower() else None


ADAPTER = Adapter.of_table("isic2019", TITLE, LICENCE, LABELS, with_columns(*_TRUTH), _rows)
