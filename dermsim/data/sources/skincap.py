"""SkinCAP: 4,000 pictures of Fitzpatrick17k and DDI, each with a dermatologist's Chinese caption.

Zhou et al. 2024, https://arxiv.org/abs/2405.18004. Known from public code, not from the files: the
columns of ``skincap_v240623.csv`` (later ``skincap_v240715.xlsx``), which include SkinCon's 48
concepts. The diseases are those of Fitzpatrick17k and of DDI, the latter with blanks for hyphens:
together 178, as many as the paper counts, but the words themselves were not seen.

The caption read here is ``caption_zh``, the dermatologist's. The English one is a machine's polish
that has invented diagnoses. Where ``ori_file_path`` gives the name that the picture has in its own
set, it bears that, so that it is not split from itself. Unfit pictures are left out.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dermsim.data.sources import ddi, fitzpatrick17k, skincon
from dermsim.data.sources.adapter import Adapter, Labels, SourceRow
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import required, translate
from dermsim.data.tables import Row, read_rows

TITLE = "SkinCAP"
LICENCE = "CC BY 4.0 for the captions, gated; pictures of Fitzpatrick17k and DDI"
LABELS = {word.replace("-", " "): code for word, code in ddi.LABELS.items()} | dict(
    fitzpatrick17k.LABELS
)
_COLUMNS = ("skincap_file_path", "disease", "caption_zh")
_BOOKS = ("skincap_v240715.xlsx", "skincap_v240623.xlsx")


def _table(folder: Folder) -> Path | None:
    return folder.table(*_COLUMNS) or folder.named(*_BOOKS)


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table, first_column="skincap_file_path")
    files = required(rows, "skincap_file_path", source=TITLE)
    diagnoses = translate(rows, "disease", labels, source=TITLE, label=True)
    concepts = skincon.read_concepts(rows, source=TITLE)
    left_out = skincon.unfit(rows, source=TITLE)
    return [
        SourceRow(
            image=folder.picture(file),
            image_id=_name(row, file),
            dx=diagnoses[number],
            modality="clinical",
            original_label=row["disease"],
            concepts=concepts[number],
            caption=row["caption_zh"],
        )
        for number, (file, row) in enumerate(zip(files, rows, strict=True))
        if not left_out[number]
    ]


def _name(row: Row, file: str) -> str:
    """Return the name in the set that the picture comes from, or else one of SkinCAP's own."""
    original = row.get("ori_file_path")
    if original is not None:
        return PurePosixPath(original.replace("\\", "/")).stem
    return f"skincap_{PurePosixPath(file).stem}"


ADAPTER = Adapter.of_table("skincap", TITLE, LICENCE, LABELS, _table, _rows)
