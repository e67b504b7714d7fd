"""Writes docs/data-sets.md: what each adapter expects, reads and decides, from the adapters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dermsim.core.labels import CODES
from dermsim.data.sources.adapter import Adapter
from dermsim.data.sources.registry import ADAPTERS
from dermsim.data.tables import OTHER


@dataclass(frozen=True)
class About:
    """What an adapter's code does not say of itself.

    Attributes:
        layout: Files and folders that it expects.
        columns: Those that are read, by the publisher's names.
        groups: What keeps pictures together in a split.
        split: The publisher's own, which is noted and not trusted.
        known: What of all this was seen in the files, read in public code, or is a guess.
    """

    layout: str
    columns: tuple[str, ...]
    groups: str
    split: str
    known: str


_NO_SPLIT = "none"
_NOTHING = "nothing says which patient or lesion: join near-duplicates before a split"

ABOUT: dict[str, About] = {
    "isic2018_attributes": About(
        "`ISIC_0000000_attribute_pigment_network.png` and so on beside the photographs, or Parquet "
        "files with a column for each structure",
        (),
        _NOTHING,
        "all is training",
        "both layouts seen",
    ),
    "isic2019": About(
        "`ISIC_2019_Training_GroundTruth.csv`, beside it `ISIC_2019_Training_Metadata.csv`, and "
        "the pictures at any depth",
        ("image", "lesion_id", "age_approx", "sex", "anatom_site_general"),
        "`lesion_id`, where there is none the picture",
        "by the name of the table",
        "seen; the table of the test is a guess",
    ),
    "isic2020": About(
        "`train.csv` or `ISIC_2020_Training_GroundTruth.csv`, beside it the list of duplicates, "
        "and the pictures",
        (
            *("image_name", "patient_id", "lesion_id", "sex", "age_approx", "diagnosis"),
            *("anatom_site_general_challenge", "benign_malignant", "target"),
        ),
        "`patient_id`",
        "all is training",
        "seen; `lesion_id`, which version 2 has, is a guess",
    ),
    "bcn20000": About(
        "`bcn_20k_train.csv` and `bcn_20k_test.csv` as on figshare, or an export of the ISIC "
        "Archive whose attribution names Barcelona",
        (
            *("bcn_filename", "lesion_id", "diagnosis", "age_approx", "anatom_site_general"),
            *("sex", "split", "isic_id", "diagnosis_3", "copyright_license"),
        ),
        "`lesion_id`",
        "`split`",
        "from public code; the code `OOD` is a guess",
    ),
    "milk10k": About(
        "`MILK10k_Training_Metadata.csv`, beside it the ground truth and the supplement, and the "
        "pictures",
        ("isic_id", "lesion_id", "image_type", "age_approx", "sex", "site", "diagnosis_full"),
        "`lesion_id`: each has a clinical and a dermoscopic picture",
        "training where there is a truth",
        "seen; the sites `genital` and `hand` from public code",
    ),
    "pad_ufes_20": About(
        "`metadata.csv` and the pictures",
        ("img_id", "patient_id", "lesion_id", "diagnostic", "age", "region", "biopsed"),
        "`patient_id`",
        _NO_SPLIT,
        "seen",
    ),
    "derm7pt": About(
        "`meta/meta.csv`, `meta/*_indexes.csv` and `images/`",
        ("case_num", "diagnosis", "derm", "clinic", "location", "sex"),
        "`case_num`: each has a dermoscopic and a clinical picture",
        "the three files of row numbers",
        "seen; the words of `location` from public code",
    ),
    "sd198": About(
        "a folder for each of 198 diseases",
        (),
        _NOTHING,
        "five divisions in `8_2_split`, which are not read",
        "from public code",
    ),
    "mra_midas": About(
        "`release_midas.xlsx`, or the same as `.csv`, and the pictures",
        (
            *("midas_file_name", "midas_record_id", "midas_location", "midas_path", "midas_age"),
            *("midas_distance", "midas_iscontrol", "midas_gender"),
        ),
        "`midas_record_id`",
        _NO_SPLIT,
        "from public code",
    ),
    "ph2": About(
        "`PH2_dataset.xlsx`, and `IMD003/IMD003_Dermoscopic_Image/IMD003.bmp` and so on",
        ("Image Name", "Histological Diagnosis"),
        _NOTHING,
        _NO_SPLIT,
        "seen",
    ),
    "ddi": About(
        "`ddi_metadata.csv` and the pictures",
        ("DDI_file", "disease", "malignant"),
        _NOTHING,
        _NO_SPLIT,
        "columns seen, and 77 of the 78 diagnoses; the last from public code",
    ),
    "fitzpatrick17k": About(
        "`fitzpatrick17k.csv`, and pictures called `<md5hash>.jpg` or by their address",
        ("md5hash", "label", "qc", "url_alphanum"),
        _NOTHING,
        _NO_SPLIT,
        "columns seen, and 90 of the 114 labels; the others, and what pictures are called, from "
        "public code",
    ),
    "skincon": About(
        "`annotations_fitzpatrick17k.csv`, `annotations_ddi.csv`, and the pictures of those sets",
        ("ImageID", "Do not consider this image"),
        "its pictures bear the names that they have in the two sets",
        _NO_SPLIT,
        "from public code; the licence is a guess",
    ),
    "skincap": About(
        "`skincap_v240623.csv` or `skincap_v240715.xlsx`, and the pictures",
        ("skincap_file_path", "ori_file_path", "disease", "caption_zh"),
        "pictures bear the names that they have in Fitzpatrick17k and DDI, where the table says it",
        _NO_SPLIT,
        "columns from public code; that its diseases are those of the two sets is a guess",
    ),
    "derm1m": About(
        "`Derm1M_v2_pretrain.csv`, `Derm1M_v2_validation.csv`, and the unpacked zips",
        (
            *("filename", "disease_label", "skin_concept", "truncated_caption", "caption", "age"),
            *("gender", "source_type"),
        ),
        "the video, article, post or page that a picture was taken from",
        "by the name of the table",
        "seen; the list of diseases is open, see below",
    ),
    "dermnet": About(
        "a folder for each of 23 groups of diseases, in `train` and `test`",
        (),
        f"{_NOTHING}; patients run through both parts",
        "by the folder",
        "the 23 names from public code; `train`, `test` and the watermarks are guesses",
    ),
}
"""By the names of the adapters; a guess is what was written from memory."""

_HEAD = """# Data sets

dermsim reads the published data sets of this page as they are. Point `--data`, `dermsim explore` or
`load_dataset` at the folder that you unpacked, or at its table. Columns and folders identify a data
set; names of files do not matter. HAM10000 and the challenges ISIC 2017 and 2018 are read in the
same way: see [your own data](your-own-data.md).

- **Every word is decided.** A diagnosis that is not listed here is an error, and the error names
  it. Decide with `--map "word=nv"`, or `other`. Derm1M alone has an open list.
- **`other`** is none of the seven. Such pictures never train or examine the seven-class head, and
  dermsim says how many are left out. `load_dataset(..., keep_other=True)` keeps them, for detectors
  and retrieval.
- **Clinical photographs** are loaded with a warning: an encoder of dermatoscopic pictures does not
  know them.
- **Splits** go by patient, lesion and near-duplicate. The publisher's own split becomes a column.
- A picture comes only from the folder that its table names, never from a folder of another part of
  the set.
- Many sets share photographs. Run [`dermsim duplicates`](duplicates.md) over all that you use.
- Training refuses the exam's pictures (ISIC 2018 Task 3 test, ISIC 2017 test), whichever set holds
  them.

dermsim contains nobody's pictures. The publishers set the terms of use; read them there.

This page is written by `python -m dermsim.data.sources.page`.
"""


def page() -> str:
    """Write the page."""
    return "\n".join([_HEAD, *(line for adapter in ADAPTERS for line in _section(adapter))])


def _section(adapter: Adapter) -> Iterator[str]:
    about = ABOUT[adapter.name]
    yield f"## {adapter.title}\n"
    yield "| | |"
    yield "|---|---|"
    yield f"| source | `{adapter.name}` |"
    yield f"| layout | {about.layout} |"
    if about.columns:
        yield f"| columns read | {', '.join(f'`{column}`' for column in about.columns)} |"
    yield f"| kept together by | {about.groups} |"
    yield f"| publisher's split | {about.split} |"
    yield f"| licence | {adapter.licence} |"
    yield f"| how known | {about.known} |"
    if not adapter.labels:
        yield "| diagnoses | none are given |"
    for code in (*CODES, OTHER):
        words = [word for word, meaning in adapter.labels.items() if meaning == code]
        if words:
            yield f"| `{code}` | {'; '.join(words)} |"
    yield ""
    yield f"{_notes(adapter)}\n"


def _notes(adapter: Adapter) -> str:
    """Return what the adapter's module says of it, as Markdown."""
    import importlib

    module = importlib.import_module(f"dermsim.data.sources.{adapter.name}")
    return (module.__doc__ or "").strip().replace("``", "`")


if __name__ == "__main__":
    print(page(), end="")
