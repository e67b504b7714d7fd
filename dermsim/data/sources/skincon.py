"""SkinCon: 48 concepts that dermatologists saw in pictures of Fitzpatrick17k and DDI.

Daneshjou et al. 2022, https://arxiv.org/abs/2302.00785. Known from public code, not from the files:
``annotations_fitzpatrick17k.csv`` (3,690 rows) and ``annotations_ddi.csv`` (656), a column for each
concept, ``ImageID`` the picture's file name in the other set, ``Do not consider this image`` for
those that were found unfit, which are left out. It gives no diagnosis. Its pictures are those of
the two sets and bear their names, so that `dermsim.data.grouping` keeps both together. The licence
is known from memory; the pictures' own terms hold besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dermsim.core.refused import Refused
from dermsim.data.sources.adapter import Adapter, Labels, SourceRow
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import YES_NO, required, translate
from dermsim.data.tables import Row, read_rows

TITLE, LICENCE = "SkinCon", "CC BY-NC-SA for the concepts, pictures of Fitzpatrick17k and DDI"
CONCEPTS = (
    "Vesicle",
    "Papule",
    "Macule",
    "Plaque",
    "Abscess",
    "Pustule",
    "Bulla",
    "Patch",
    "Nodule",
    "Ulcer",
    "Crust",
    "Erosion",
    "Excoriation",
    "Atrophy",
    "Exudate",
    "Purpura/Petechiae",
    "Fissure",
    "Induration",
    "Xerosis",
    "Telangiectasia",
    "Scale",
    "Scar",
    "Friable",
    "Sclerosis",
    "Pedunculated",
    "Exophytic/Fungating",
    "Warty/Papillomatous",
    "Dome-shaped",
    "Flat topped",
    "Brown(Hyperpigmentation)",
    "Translucent",
    "White(Hypopigmentation)",
    "Purple",
    "Yellow",
    "Black",
    "Erythema",
    "Comedo",
    "Lichenification",
    "Blue",
    "Umbilicated",
    "Poikiloderma",
    "Salmon",
    "Wheal",
    "Acuminate",
    "Burrow",
    "Gray",
    "Pigmented",
    "Cyst",
)
"""All 48; 22 of them are seen in 50 pictures or more."""

UNFIT = "Do not consider this image"
_COLUMNS = ("ImageID", UNFIT, "Vesicle", "Papule")
_STATES = {word: "present" if yes else "absent" for word, yes in YES_NO.items()}


def read_concepts(rows: Sequence[Row], *, source: str) -> list[dict[str, str]]:
    """Read the 48 columns.

    Args:
        rows: Of a table that has them.
        source: Title of the data set, for errors.

    Returns:
        For each row the state of each concept, ``"present"`` or ``"absent"``.

    Raises:
        ValueError: If a column is missing or holds no mark.
    """
    if rows and (missing := [concept for concept in CONCEPTS if concept not in rows[0]]):
        raise Refused("skincon.no_column", source=source, missing=list(missing))
    states = {c: translate(rows, c, _STATES, source=source) for c in CONCEPTS}
    return [
        {concept: state for concept in CONCEPTS if (state := states[concept][row])}
        for row in range(len(rows))
    ]


def unfit(rows: Sequence[Row], *, source: str) -> list[bool]:
    """Say of each row whether its picture was found unfit."""
    return [bool(mark) for mark in translate(rows, UNFIT, YES_NO, source=source)]


def _tables(folder: Folder) -> list[Path]:
    found = [t for t in folder.tables(*_COLUMNS) if "disease" not in folder.columns(t)]
    if folder.given is not None:
        return [folder.given] if folder.given in found else []
    return found


def _recognise(folder: Folder) -> bool:
    return bool(_tables(folder))


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    rows = [row for table in _tables(folder) for row in read_rows(table)]
    files = required(rows, "ImageID", source=TITLE)
    concepts, left_out = read_concepts(rows, source=TITLE), unfit(rows, source=TITLE)
    return [
        SourceRow(
            image=folder.picture(file),
            image_id=Path(file).stem,
            modality="clinical",
            concepts=concepts[number],
        )
        for number, file in enumerate(files)
        if not left_out[number]
    ]


ADAPTER = Adapter("skincon", TITLE, LICENCE, {}, _recognise, _rows)
