"""derm7pt: 1,011 cases of Argenziano's atlas, each with a dermoscopic and a clinical picture.

Kawahara et al. 2019, https://doi.org/10.1109/JBHI.2018.2824327. Columns and words as published
(``release_v0/meta/meta.csv``, pictures below ``release_v0/images``, splits by row number in
``meta/{train,valid,test}_indexes.csv``); the words of ``location`` are known from public code. The
case of a file's ending differs between table and disk. Nine rows name one file as both pictures: it
is read once, as dermoscopy. ``lentigo`` counts as `bkl`, although HAM10000's is solar lentigo only;
``melanosis`` is no melanoma. ``management`` and ``notes`` tell the diagnosis and are not read.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dermsim.core.refused import Phrase, Refused
from dermsim.data.sources.adapter import Adapter, Labels, Modality, SourceRow, Split, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import SEXES, translate, words_by_code
from dermsim.data.tables import Row, read_rows, row_error

TITLE, LICENCE = "derm7pt", "academic use only, no redistribution"
LABELS = words_by_code(
    bcc="basal cell carcinoma",
    bkl="seborrheic keratosis; lentigo",
    df="dermatofibroma",
    mel="melanoma; melanoma (in situ); melanoma (less than 0.76 mm); melanoma (0.76 to 1.5 mm); "
    "melanoma (more than 1.5 mm); melanoma metastasis",
    nv="blue nevus; clark nevus; combined nevus; congenital nevus; dermal nevus; recurrent nevus; "
    "reed or spitz nevus",
    vasc="vascular lesion",
    other="melanosis; miscellaneous",
)
SITES: dict[str, str | None] = {
    "abdomen": "abdomen",
    "acral": "acral",
    "back": "back",
    "buttocks": None,
    "chest": "chest",
    "genital areas": "genital",
    "head neck": None,
    "lower limbs": "lower extremity",
    "upper limbs": "upper extremity",
}
CRITERIA: dict[str, tuple[str, ...]] = {
    "pigment_network": ("absent", "typical", "atypical"),
    "streaks": ("absent", "regular", "irregular"),
    "pigmentation": (
        "absent",
        "diffuse regular",
        "localized regular",
        "diffuse irregular",
        "localized irregular",
    ),
    "regression_structures": ("absent", "blue areas", "white areas", "combinations"),
    "dots_and_globules": ("absent", "regular", "irregular"),
    "blue_whitish_veil": ("absent", "present"),
    "vascular_structures": (
        "absent",
        "arborizing",
        "comma",
        "hairpin",
        "within regression",
        "wreath",
        "dotted",
        "linear irregular",
    ),
}
"""The seven-point checklist: each criterion and its states."""

_COLUMNS = ("case_num", "diagnosis", "seven_point_score", "clinic", "derm")
_SPLITS: dict[str, Split] = {"train": "train", "valid": "validation", "test": "test"}


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table)
    diagnoses = translate(rows, "diagnosis", labels, source=TITLE, label=True)
    sexes = translate(rows, "sex", SEXES, source=TITLE)
    sites = translate(rows, "location", SITES, source=TITLE)
    states = {
        criterion: translate(rows, criterion, {word: word for word in words}, source=TITLE)
        for criterion, words in CRITERIA.items()
    }
    splits = _splits(folder, len(rows))
    found = []
    for number, row in enumerate(rows):
        for modality, file in _pictures(number, row):
            found.append(
                SourceRow(
                    image=folder.picture(file),
                    image_id=PurePosixPath(file).with_suffix("").as_posix(),
                    lesion_id=f"derm7pt_{row['case_num']}",
                    dx=diagnoses[number],
                    sex=sexes[number],
                    localization=sites[number],
                    modality=modality,
                    original_label=row["diagnosis"],
                    concepts={c: state for c in CRITERIA if (state := states[c][number])},
                    split=splits.get(number),
                )
            )
    return found


def _pictures(number: int, row: Row) -> list[tuple[Modality, str]]:
    """List the pictures of a case, one that is named as both only once."""
    derm, clinic = row["derm"], row["clinic"]
    if derm is None or clinic is None or row["case_num"] is None:
        raise row_error(number, derm, Phrase("derm7pt.ids"))
    found: list[tuple[Modality, str]] = [("dermoscopy", derm)]
    return found if clinic == derm else [*found, ("clinical", clinic)]


def _splits(folder: Folder, rows: int) -> dict[int, Split]:
    """Read the publisher's splits, by row number."""
    found: dict[int, Split] = {}
    for name, split in _SPLITS.items():
        table = folder.named(f"{name}_indexes.csv")
        for line in read_rows(table) if table else []:
            index = int(line["indexes"] or -1)
            if not 0 <= index < rows:
                raise Refused("derm7pt.index", title=TITLE, name=name, index=index, rows=rows)
            found[index] = split
    return found


ADAPTER = Adapter.of_table("derm7pt", TITLE, LICENCE, LABELS, with_columns(*_COLUMNS), _rows)
