"""DermNet as Kaggle has it: 19,559 clinical photographs in 23 folders of diseases.

Known from public code: the 23 names, from memory: that they lie in ``train`` and ``test``. Several
folders mix what is one of the seven with what is not ("Melanoma Skin Cancer Nevi and Moles"), so
all are `other`. Pictures of one patient lie in both parts, under names that say no patient: join
near-duplicates before a split (`dermsim duplicates`), and do not trust the publisher's. Pictures
were scraped, and bear watermarks (from memory).
"""

from __future__ import annotations

from dermsim.data.sources.adapter import Adapter, Labels, SourceRow, Split
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import translate, words_by_code

TITLE, LICENCE = "DermNet (Kaggle)", "scraped from a site whose terms are CC BY-NC-ND"
LABELS = words_by_code(
    other="""
        Acne and Rosacea Photos;
        Actinic Keratosis Basal Cell Carcinoma and other Malignant Lesions;
        Atopic Dermatitis Photos; Bullous Disease Photos;
        Cellulitis Impetigo and other Bacterial Infections; Eczema Photos;
        Exanthems and Drug Eruptions; Hair Loss Photos Alopecia and other Hair Diseases;
        Herpes HPV and other STDs Photos; Light Diseases and Disorders of Pigmentation;
        Lupus and other Connective Tissue diseases; Melanoma Skin Cancer Nevi and Moles;
        Nail Fungus and other Nail Disease; Poison Ivy Photos and other Contact Dermatitis;
        Psoriasis pictures Lichen Planus and related diseases;
        Scabies Lyme Disease and other Infestations and Bites;
        Seborrheic Keratoses and other Benign Tumors; Systemic Disease;
        Tinea Ringworm Candidiasis and other Fungal Infections; Urticaria Hives;
        Vascular Tumors; Vasculitis Photos; Warts Molluscum and other Viral Infections
    """
)
_FEWEST = 3
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}


def _recognise(folder: Folder) -> bool:
    names = {path.parent.name for path in folder.pictures}
    return folder.given is None and len(names & LABELS.keys()) >= _FEWEST


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    places = [folder.inside(path) for path in folder.pictures]
    words = [{"folder": place.parent.name or None} for place in places]
    diagnoses = translate(words, "folder", labels, source=TITLE, label=True)
    return [
        SourceRow(
            image=str(path),
            image_id=place.with_suffix("").as_posix(),
            dx=diagnoses[number],
            modality="clinical",
            original_label=place.parent.name,
            split=next((_SPLITS[part] for part in place.parts if part in _SPLITS), None),
        )
        for number, (path, place) in enumerate(zip(folder.pictures, places, strict=True))
    ]


ADAPTER = Adapter("dermnet", TITLE, LICENCE, LABELS, _recognise, _rows)
