"""DDI (Diverse Dermatology Images): 656 clinical photographs of all skin tones, by pathology.

Daneshjou et al. 2022, https://doi.org/10.1126/sciadv.abq6147. Columns as published
(``ddi_metadata.csv``); the 78 diagnoses are known from public code, 77 of them seen. Squamous cell
carcinoma in situ is Bowen's disease, ours (`akiec`); the invasive one is `other`. Patients come
several times and nothing says who, so near-duplicates should be joined before a split.
"""

from __future__ import annotations

from pathlib import Path

from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import YES_NO, required, translate, words_by_code
from dermsim.data.tables import read_rows

TITLE, LICENCE = "DDI", "Stanford agreement, research only, no redistribution"
LABELS = words_by_code(
    akiec="actinic-keratosis; squamous-cell-carcinoma-in-situ",
    bcc="basal-cell-carcinoma; basal-cell-carcinoma-nodular; basal-cell-carcinoma-superficial",
    bkl="""
        benign-keratosis; lichenoid-keratosis; seborrheic-keratosis;
        seborrheic-keratosis-irritated; solar-lentigo
    """,
    df="dermatofibroma",
    mel="melanoma; melanoma-acral-lentiginous; melanoma-in-situ; nodular-melanoma-(nm)",
    nv="""
        atypical-spindle-cell-nevus-of-reed; blue-nevus; dysplastic-nevus; melanocytic-nevi;
        pigmented-spindle-cell-nevus-of-reed
    """,
    vasc="angioma; arteriovenous-hemangioma; pyogenic-granuloma",
    other="""
        abrasions-ulcerations-and-physical-injuries; abscess; acne-cystic;
        acquired-digital-fibrokeratoma; acral-melanotic-macule; acrochordon; angioleiomyoma;
        blastic-plasmacytoid-dendritic-cell-neoplasm; cellular-neurothekeoma; chondroid-syringoma;
        clear-cell-acanthoma; coccidioidomycosis; condyloma-accuminatum; dermatomyositis;
        eccrine-poroma; eczema-spongiotic-dermatitis; epidermal-cyst; epidermal-nevus;
        fibrous-papule; focal-acral-hyperkeratosis; folliculitis; foreign-body-granuloma;
        glomangioma; graft-vs-host-disease; hematoma; hyperpigmentation;
        inverted-follicular-keratosis; kaposi-sarcoma; keloid; leukemia-cutis; lipoma;
        lymphocytic-infiltrations; metastatic-carcinoma; molluscum-contagiosum; morphea;
        mycosis-fungoides; neurofibroma; neuroma; nevus-lipomatosus-superficialis; onychomycosis;
        prurigo-nodularis; reactive-lymphoid-hyperplasia; scar; sebaceous-carcinoma;
        squamous-cell-carcinoma; squamous-cell-carcinoma-keratoacanthoma;
        subcutaneous-t-cell-lymphoma; syringocystadenoma-papilliferum; tinea-pedis;
        trichilemmoma; trichofolliculoma; verruca-vulgaris; verruciform-xanthoma; wart;
        xanthogranuloma
    """,
)
_COLUMNS = ("DDI_file", "skin_tone", "malignant", "disease")


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table)
    files = required(rows, "DDI_file", source=TITLE)
    diagnoses = translate(rows, "disease", labels, source=TITLE, label=True)
    translate(rows, "malignant", YES_NO, source=TITLE)  # an edited table is found out
    return [
        SourceRow(
            image=folder.picture(file),
            image_id=Path(file).stem,
            dx=diagnoses[number],
            dx_type="histo",
            modality="clinical",
            original_label=row["disease"],
        )
        for number, (file, row) in enumerate(zip(files, rows, strict=True))
    ]


ADAPTER = Adapter.of_table("ddi", TITLE, LICENCE, LABELS, with_columns(*_COLUMNS), _rows)
