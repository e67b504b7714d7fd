"""PAD-UFES-20: 2,298 smartphone photographs of 1,373 patients in Espírito Santo, Brazil.

Pacheco et al. 2020, https://doi.org/10.1016/j.dib.2020.106221. Columns and words as published
(``metadata.csv``, ``img_id`` with its ending). Bowen's disease, which would be ours (`akiec`), is
counted under ``SCC`` and cannot be told from it: all of it is `other`.

The questionnaire is empty in 804 rows, those without a biopsy, and so what is missing says what the
diagnosis is not. Hence sex, which is part of it, is left out, as is all else of it; age and region
are there in every row. ``biopsed`` becomes ``dx_type``, which is never fed to a model.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.core.refused import Phrase
from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import YES_NO, required, translate, words_by_code, years
from dermsim.data.tables import read_rows, row_error

TITLE, LICENCE = "PAD-UFES-20", "CC BY 4.0"
LABELS = words_by_code(akiec="ACK", bcc="BCC", mel="MEL", nv="NEV", bkl="SEK", other="SCC")
SITES = {
    "ABDOMEN": "abdomen",
    "ARM": "upper extremity",
    "BACK": "back",
    "CHEST": "chest",
    "EAR": "ear",
    "FACE": "face",
    "FOOT": "foot",
    "FOREARM": "upper extremity",
    "HAND": "hand",
    "LIP": "face",
    "NECK": "neck",
    "NOSE": "face",
    "SCALP": "scalp",
    "THIGH": "lower extremity",
}
_COLUMNS = ("patient_id", "lesion_id", "diagnostic", "img_id", "fitspatrick")


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table)
    files = required(rows, "img_id", source=TITLE)
    diagnoses = translate(rows, "diagnostic", labels, source=TITLE, label=True)
    sites = translate(rows, "region", SITES, source=TITLE)
    biopsies = translate(rows, "biopsed", YES_NO, source=TITLE)
    found = []
    for number, (file, row) in enumerate(zip(files, rows, strict=True)):
        if row["patient_id"] is None:
            raise row_error(number, file, Phrase("pad_ufes_20.patient_id"))
        found.append(
            SourceRow(
                image=folder.picture(file),
                image_id=Path(file).stem,
                # a lesion's number is its patient's own
                lesion_id=row["lesion_id"] and f"{row['patient_id']}_{row['lesion_id']}",
                patient_id=row["patient_id"],
                dx=diagnoses[number],
                dx_type="histo" if biopsies[number] else None,
                age=years(number, file, row.get("age")),
                localization=sites[number],
                modality="clinical",
                original_label=row["diagnostic"],
            )
        )
    return found


ADAPTER = Adapter.of_table("pad_ufes_20", TITLE, LICENCE, LABELS, with_columns(*_COLUMNS), _rows)
