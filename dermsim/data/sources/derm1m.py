"""Derm1M: pictures with captions from videos, articles, textbooks, forums and public data sets.

Yan et al. 2025, https://arxiv.org/abs/2503.14911. Columns and sentinels as published
(``Derm1M_v2_pretrain.csv``, ``Derm1M_v2_validation.csv``, pictures unpacked from its zips, with or
without the zip's own folder). What is not known is written as a sentence ("No age information").

Its diagnoses are words of a language model, of which new ones turn up throughout, so the vocabulary
of diseases is open: what is one of the seven is listed, and every other word was decided to be
`other`. Labels that name several diseases are `other`, too. All other columns are closed.

The best there is to group by is the video, article, post or page that a picture was taken from: it
is the ``lesion_id``. Whether a picture is dermoscopic is read from its name and caption. It holds
copies of other data sets (``public/``), and charts and histology among its pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from dermsim.data.facts import MAX_AGE
from dermsim.data.sources.adapter import OTHER, Adapter, Labels, Modality, SourceRow, Split
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import SEXES, plain, required, translate, words_by_code
from dermsim.data.tables import Row, read_rows

TITLE, LICENCE = "Derm1M", "CC BY-NC 4.0, gated"
LABELS = words_by_code(
    akiec="actinic keratosis; solar or actinic keratosis; bowen's disease; bowen disease; "
    "squamous cell carcinoma in situ",
    bcc="basal cell carcinoma; nodular basal cell carcinoma; superficial basal cell carcinoma; "
    "pigmented basal cell carcinoma; basal cell carcinoma morpheiform; "
    "solid cystic basal cell carcinoma",
    bkl='seborrheic keratosis; irritated seborrheic keratosis (from "sk/isk"); solar lentigo; '
    "lichen planus-like keratosis; lichenoid keratosis; benign keratosis; "
    "pigmented benign keratosis",
    df="dermatofibroma",
    mel="melanoma; malignant melanoma; melanoma in situ; acral lentiginous melanoma; "
    "nodular melanoma; superficial spreading melanoma; superficial spreading melanoma ssm; "
    "lentigo maligna; lentigo maligna melanoma; melanoma metastasis",
    nv="nevus; naevus; melanocytic nevus; melanocytic nevi; nevocytic nevus; compound nevus; "
    "junctional nevus; intradermal nevus; dermal nevus; blue nevus; congenital nevus; "
    "congenital melanocytic nevus; halo nevus; spitz nevus; reed nevus; dysplastic nevus; "
    "atypical nevus; acral nevus; clark nevus",
    vasc="angioma; hemangioma; haemangioma; cherry angioma; cherry hemangioma; angiokeratoma; "
    "pyogenic granuloma; granuloma pyogenic; vascular lesion",
)
NO_DIAGNOSIS = "no definitive diagnosis"
_NO_CONCEPTS, _NO_AGE, _NO_SEX = "No visual concepts", "No age information", "No gender information"
_SEXES: Mapping[str, str | None] = {**SEXES, _NO_SEX: None}
_KINDS = {kind: kind for kind in ("edu", "knowledge", "forum")}
_COLUMNS = ("filename", "caption", "truncated_caption", "disease_label", "skin_concept")
_SPLITS: dict[str, Split] = {"pretrain": "train", "validation": "validation"}
_DERMOSCOPY = re.compile(r"derm(?:at)?oscop", re.IGNORECASE)
_ZIPS = frozenset(("edu", "youtube", "pubmed", "twitter", "IIYI", "note", "public", "reddit"))
_ORIGINS = (
    re.compile(r"^youtube/.+?(?=_frame_)"),
    re.compile(r"^pubmed/.*?(?P<article>PMC\d+)"),
    re.compile(r"^(?:edu|note)/.+?_\d+(?=_\d+)"),  # a book and its page
    re.compile(r"^(?:IIYI|reddit|twitter)/.+?(?=_\d+\.\w+$)"),
)


def _recognise(folder: Folder) -> bool:
    found = folder.tables(*_COLUMNS)
    return folder.given in found if folder.given is not None else bool(found)


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    tables = [folder.given] if folder.given is not None else folder.tables(*_COLUMNS)
    rows, splits = [], []
    for table in tables:
        read = read_rows(table)
        rows += read
        splits += [next((s for word, s in _SPLITS.items() if word in table.name), None)] * len(read)
    files = required(rows, "filename", source=TITLE)
    sexes = translate(rows, "gender", _SEXES, source=TITLE)
    translate(rows, "source_type", _KINDS, source=TITLE)
    diagnoses = _diagnoses(rows, labels)
    return [
        SourceRow(
            image=_picture(folder, file),
            image_id=PurePosixPath(file).with_suffix("").as_posix(),
            lesion_id=_origin(file),
            dx=diagnoses[number],
            age=_age(row.get("age")),
            sex=sexes[number],
            modality=_modality(file, row),
            original_label=row["disease_label"],
            concepts=_concepts(row["skin_concept"]),
            caption=row["truncated_caption"] or row["caption"],
            split=splits[number],
        )
        for number, (file, row) in enumerate(zip(files, rows, strict=True))
    ]


def _diagnoses(rows: Sequence[Row], labels: Labels) -> list[str | None]:
    known = {plain(word): code for word, code in labels.items()}
    found: list[str | None] = []
    for row in rows:
        word = plain(row["disease_label"] or NO_DIAGNOSIS)
        found.append(None if word == NO_DIAGNOSIS else known.get(word, OTHER))
    return found


def _picture(folder: Folder, file: str) -> str | None:
    """Find a picture by its place in the set, or by its name where its zip had no folder in it."""
    if found := folder.picture(file):
        return found
    found = folder.picture(PurePosixPath(file).name)
    elsewhere = found and _ZIPS.intersection(folder.inside(Path(found)).parts)
    return None if elsewhere else found


def _origin(file: str) -> str | None:
    """Name what a picture was taken from, or None where its name does not tell."""
    for pattern in _ORIGINS:
        if match := pattern.match(file):
            return f"derm1m_{match.groupdict().get('article') or match.group()}"
    return None


def _age(text: str | None) -> float | None:
    """Read an age that is a number of years; captions word others in too many ways."""
    if text is None or not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) > MAX_AGE:
        return None
    return float(text)


def _concepts(text: str | None) -> dict[str, str]:
    if text is None or plain(text) == plain(_NO_CONCEPTS):
        return {}
    return {concept: "present" for word in text.split(",") if (concept := word.strip())}


def _modality(file: str, row: Row) -> Modality:
    words = f"{file} {row['caption'] or ''}"
    return "dermoscopy" if _DERMOSCOPY.search(words) else "clinical"


ADAPTER = Adapter("derm1m", TITLE, LICENCE, LABELS, _recognise, _rows)
