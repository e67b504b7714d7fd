"""Fitzpatrick17k: 16,577 clinical photographs of two online atlases, by skin type.

Groh et al. 2021, https://arxiv.org/abs/2104.09957. Columns as published (``fitzpatrick17k.csv``);
90 of the 114 labels were seen in the file, the others are known from public code, and so is the
custom of calling a picture ``<md5hash>.jpg``. The table gives addresses, no pictures. Where its
checkers found the label wrong (``qc`` is ``3 Wrongly labelled``) no diagnosis is given.

CleanPatrick (2025) finds 21 % near-duplicates and 22 % wrong labels. Nothing says which patient or
lesion a picture is of: join near-duplicates before a split (`dermsim duplicates`).
"""

from __future__ import annotations

from pathlib import Path

from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, with_columns
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import required, translate, words_by_code
from dermsim.data.tables import Row, read_rows

TITLE = "Fitzpatrick17k"
LICENCE = "CC BY-NC-SA 3.0 for the table, pictures belong to their atlases"
LABELS = words_by_code(
    akiec="actinic keratosis",
    bcc="basal cell carcinoma; basal cell carcinoma morpheiform; solid cystic basal cell carcinoma",
    bkl="seborrheic keratosis",
    df="dermatofibroma",
    mel="lentigo maligna; malignant melanoma; melanoma; superficial spreading melanoma ssm",
    nv="congenital nevus; halo nevus; nevocytic nevus",
    vasc="granuloma pyogenic; pyogenic granuloma",
    other="""
        acanthosis nigricans; acne; acne vulgaris;
        acquired autoimmune bullous diseaseherpes gestationis; acrodermatitis enteropathica;
        allergic contact dermatitis; aplasia cutis; becker nevus; behcets disease;
        calcinosis cutis; cheilitis; dariers disease; dermatomyositis;
        disseminated actinic porokeratosis; drug eruption; drug induced pigmentary changes;
        dyshidrotic eczema; eczema; ehlers danlos syndrome; epidermal nevus;
        epidermolysis bullosa; erythema annulare centrifigum; erythema elevatum diutinum;
        erythema multiforme; erythema nodosum; factitial dermatitis; fixed eruptions;
        folliculitis; fordyce spots; granuloma annulare; hailey hailey disease; hidradenitis;
        ichthyosis vulgaris; incontinentia pigmenti; juvenile xanthogranuloma; kaposi sarcoma;
        keloid; keratosis pilaris; langerhans cell histiocytosis; lichen amyloidosis;
        lichen planus; lichen simplex; livedo reticularis; lupus erythematosus; lupus subacute;
        lyme disease; lymphangioma; milia; mucinosis; mucous cyst; mycosis fungoides; myiasis;
        naevus comedonicus; necrobiosis lipoidica; nematode infection; neurodermatitis;
        neurofibromatosis; neurotic excoriations; neutrophilic dermatoses;
        nevus sebaceous of jadassohn; papilomatosis confluentes and reticulate; paronychia;
        pediculosis lids; perioral dermatitis; photodermatoses; pilar cyst; pilomatricoma;
        pityriasis lichenoides chronica; pityriasis rosea; pityriasis rubra pilaris;
        porokeratosis actinic; porokeratosis of mibelli; porphyria; port wine stain;
        prurigo nodularis; psoriasis; pustular psoriasis; rhinophyma; rosacea; sarcoidosis;
        scabies; scleroderma; scleromyxedema; seborrheic dermatitis; squamous cell carcinoma;
        stasis edema; stevens johnson syndrome; striae; sun damaged skin; syringoma;
        telangiectases; tick bite; tuberous sclerosis; tungiasis; urticaria;
        urticaria pigmentosa; vitiligo; xanthomas; xeroderma pigmentosum
    """,
)
WRONG = "3 Wrongly labelled"
_CHECKS = {
    "1 Diagnostic": False,
    "2 Characteristic": False,
    WRONG: True,
    "4 Other": False,
    "5 Potentially": False,
}
_COLUMNS = ("md5hash", "fitzpatrick_scale", "label", "three_partition_label")


def _rows(folder: Folder, table: Path, labels: Labels) -> list[SourceRow]:
    rows = read_rows(table)
    names = required(rows, "md5hash", source=TITLE)
    diagnoses = translate(rows, "label", labels, source=TITLE, label=True)
    wrong = translate(rows, "qc", _CHECKS, source=TITLE)
    return [
        SourceRow(
            image=_picture(folder, name, row),
            image_id=name,
            dx=None if wrong[number] else diagnoses[number],
            modality="clinical",
            original_label=row["label"],
        )
        for number, (name, row) in enumerate(zip(names, rows, strict=True))
    ]


def _picture(folder: Folder, name: str, row: Row) -> str | None:
    """Find a picture called by its hash, or by its address as ``url_alphanum`` has it."""
    other = row.get("url_alphanum")
    return folder.picture(name) or (folder.picture(other) if other else None)


ADAPTER = Adapter.of_table("fitzpatrick17k", TITLE, LICENCE, LABELS, with_columns(*_COLUMNS), _rows)
