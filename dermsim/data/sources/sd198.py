"""SD-198: 6,584 clinical photographs of DermQuest in 198 folders of diseases; SD-128 is a part.

Sun et al. 2016, https://doi.org/10.1007/978-3-319-46466-4_13. Known from public code, not from the
files: the 198 names, and ``8_2_split`` with five divisions for training and testing, which is none
that a row could bear. Nothing says which patient a picture is of.
"""

from __future__ import annotations

from dermsim.data.sources.adapter import Adapter, Labels, SourceRow
from dermsim.data.sources.folder import Folder
from dermsim.data.sources.vocabulary import translate, words_by_code
from dermsim.data.tables import Row

TITLE, LICENCE = "SD-198", "research only (DermQuest)"
LABELS = words_by_code(
    akiec="Actinic_solar_Damage(Actinic_Keratosis); Bowen's_Disease",
    bcc="Basal_Cell_Carcinoma",
    bkl="Benign_Keratosis; Seborrheic_Keratosis; Solar_Lentigo",
    df="Dermatofibroma",
    mel="Lentigo_Maligna_Melanoma; Malignant_Melanoma",
    nv="""
        Blue_Nevus; Compound_Nevus; Congenital_Nevus; Dysplastic_Nevus; Halo_Nevus; Junction_Nevus;
        Nevus_Incipiens; Nevus_Spilus
    """,
    vasc="Angioma; Pyogenic_Granuloma; Strawberry_Hemangioma",
    other="""
        Acne_Keloidalis_Nuchae; Acne_Vulgaris; Acrokeratosis_Verruciformis;
        Actinic_solar_Damage(Actinic_Cheilitis);
        Actinic_solar_Damage(Cutis_Rhomboidalis_Nuchae); Actinic_solar_Damage(Pigmentation);
        Actinic_solar_Damage(Solar_Elastosis); Actinic_solar_Damage(Solar_Purpura);
        Actinic_solar_Damage(Telangiectasia); Acute_Eczema; Allergic_Contact_Dermatitis;
        Alopecia_Areata; Androgenetic_Alopecia; Angular_Cheilitis; Aphthous_Ulcer;
        Apocrine_Hydrocystoma; Arsenical_Keratosis; Balanitis_Xerotica_Obliterans; Beau's_Lines;
        Becker's_Nevus; Behcet's_Syndrome; Bowenoid_Papulosis; Cafe_Au_Lait_Macule; Callus;
        Candidiasis; Cellulitis; Chalazion; Clubbing_of_Fingers; Crowe's_Sign;
        Cutanea_Larva_Migrans; Cutaneous_Horn; Cutaneous_T-Cell_Lymphoma; Cutis_Marmorata;
        Darier-White_Disease; Dermatosis_Papulosa_Nigra; Desquamation; Digital_Fibroma;
        Dilated_Pore_of_Winer; Discoid_Lupus_Erythematosus; Disseminated_Actinic_Porokeratosis;
        Drug_Eruption; Dry_Skin_Eczema; Dyshidrosiform_Eczema; Eccrine_Poroma; Eczema;
        Epidermal_Nevus; Epidermoid_Cyst; Epithelioma_Adenoides_Cysticum; Erythema_Ab_Igne;
        Erythema_Annulare_Centrifigum; Erythema_Craquele; Erythema_Multiforme;
        Exfoliative_Erythroderma; Factitial_Dermatitis; Favre_Racouchot; Fibroma; Fibroma_Molle;
        Fixed_Drug_Eruption; Follicular_Mucinosis; Follicular_Retention_Cyst; Fordyce_Spots;
        Frictional_Lichenoid_Dermatitis; Ganglion; Geographic_Tongue; Granulation_Tissue;
        Granuloma_Annulare; Green_Nail; Guttate_Psoriasis; Hailey_Hailey_Disease;
        Half_and_Half_Nail; Herpes_Simplex_Virus; Herpes_Zoster; Hidradenitis_Suppurativa;
        Histiocytosis_X; Hyperkeratosis_Palmaris_Et_Plantaris; Hypertrichosis; Ichthyosis;
        Impetigo; Infantile_Atopic_Dermatitis; Inverse_Psoriasis; Keloid; Keratoacanthoma;
        Keratolysis_Exfoliativa_of_Wende; Keratosis_Pilaris; Kerion; Koilonychia;
        Kyrle's_Disease; Leiomyoma; Leukocytoclastic_Vasculitis; Leukonychia; Lichen_Planus;
        Lichen_Sclerosis_Et_Atrophicus; Lichen_Simplex_Chronicus; Lichen_Spinulosis;
        Linear_Epidermal_Nevus; Lipoma; Livedo_Reticularis; Lymphangioma_Circumscriptum;
        Lymphocytic_Infiltrate_of_Jessner; Lymphomatoid_Papulosis; Mal_Perforans;
        Median_Nail_Dystrophy; Melasma; Metastatic_Carcinoma; Milia; Molluscum_Contagiosum;
        Morphea; Mucha_Habermann_Disease; Mucous_Membrane_Psoriasis; Myxoid_Cyst;
        Nail_Dystrophy; Nail_Nevus; Nail_Psoriasis; Nail_Ridging; Neurodermatitis; Neurofibroma;
        Neurotic_Excoriations; Nevus_Comedonicus; Nevus_Sebaceous_of_Jadassohn; Nummular_Eczema;
        Onychogryphosis; Onycholysis; Onychomycosis; Onychoschizia; Paronychia;
        Pearl_Penile_Papules; Perioral_Dermatitis; Pincer_Nail_Syndrome; Pitted_Keratolysis;
        Pityriasis_Alba; Pityriasis_Rosea; Pityrosporum_Folliculitis;
        Poikiloderma_Atrophicans_Vasculare; Pomade_Acne; Pseudofolliculitis_Barbae;
        Pseudorhinophyma; Psoriasis; Pustular_Psoriasis; Pyoderma_Gangrenosum; Racquet_Nail;
        Radiodermatitis; Rhinophyma; Rosacea; Scalp_Psoriasis; Scar; Scarring_Alopecia;
        Schamberg's_Disease; Sebaceous_Gland_Hyperplasia; Seborrheic_Dermatitis; Skin_Tag;
        Stasis_Dermatitis; Stasis_Edema; Stasis_Ulcer; Steroid_Acne; Steroid_Striae;
        Steroid_Use_abusemisuse_Dermatitis; Stomatitis; Striae; Subungual_Hematoma; Syringoma;
        Terry's_Nails; Tinea_Corporis; Tinea_Cruris; Tinea_Faciale; Tinea_Manus; Tinea_Pedis;
        Tinea_Versicolor; Toe_Deformity; Trichilemmal_Cyst; Trichofolliculoma;
        Trichostasis_Spinulosa; Ulcer; Urticaria; Varicella; Verruca_Vulgaris; Vitiligo;
        Wound_Infection; Xerosis
    """,
)
_FEWEST = 20
"""Of its folders, by which it is known; somebody's own folder for each class has fewer."""

_DIVISIONS = "8_2_split"


def _recognise(folder: Folder) -> bool:
    names = {path.parent.name for path in folder.pictures}
    known = len(names & LABELS.keys())
    divided = any(path.parent.name == _DIVISIONS for path in folder.files)
    return folder.given is None and (known >= _FEWEST or (divided and known > 0))


def _rows(folder: Folder, labels: Labels) -> list[SourceRow]:
    words: list[Row] = [{"folder": path.parent.name} for path in folder.pictures]
    diagnoses = translate(words, "folder", labels, source=TITLE, label=True)
    return [
        SourceRow(
            image=str(path),
            image_id=f"{path.parent.name}/{path.stem}",
            dx=diagnoses[number],
            modality="clinical",
            original_label=path.parent.name,
        )
        for number, path in enumerate(folder.pictures)
    ]


ADAPTER = Adapter("sd198", TITLE, LICENCE, LABELS, _recognise, _rows)
