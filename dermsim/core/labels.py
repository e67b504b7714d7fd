"""The seven diagnoses of HAM10000: codes, names, plain descriptions, colours.

Everything else builds on this. The integer label of a diagnosis is its index in `LABELS`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from dermsim.core.refused import Refused


@dataclass(frozen=True)
class Diagnosis:
    """One of the seven diagnoses.

    Attributes:
        code: HAM10000's own short code, for example ``"mel"``.
        name: English name.
        name_es: Spanish name.
        description: One or two plain English sentences for a reader without medical training.
        description_es: The same in Spanish.
        malignant: Whether it counts as malignant in the benign/malignant question.
        color: ``#rrggbb`` for charts, from the colour-blind safe palette of Okabe and Ito (2008).
    """

    code: str
    name: str
    name_es: str
    description: str
    description_es: str
    malignant: bool
    color: str


LABELS: tuple[Diagnosis, ...] = (
    Diagnosis(
        code="akiec",
        name="Actinic keratosis / intraepithelial carcinoma",
        name_es="Queratosis actínica / carcinoma intraepitelial",
        description=(
            "A rough, scaly patch on sun-damaged skin, or a carcinoma still confined to the "
            "skin's outer layer (Bowen's disease); it can turn into squamous cell carcinoma."
        ),
        description_es=(
            "Mancha áspera y escamosa en piel dañada por el sol, o carcinoma aún limitado a la "
            "capa externa (enfermedad de Bowen); puede convertirse en carcinoma espinocelular."
        ),
        malignant=True,
        color="#E69F00",
    ),
    Diagnosis(
        code="bcc",
        name="Basal cell carcinoma",
        name_es="Carcinoma basocelular",
        description=(
            "The most common skin cancer: it grows slowly and rarely spreads, but destroys the "
            "tissue around it if left untreated."
        ),
        description_es=(
            "El cáncer de piel más frecuente: crece despacio y rara vez se extiende, pero destruye "
            "el tejido vecino si no se trata."
        ),
        malignant=True,
        color="#CC79A7",
    ),
    Diagnosis(
        code="bkl",
        name="Benign keratosis-like lesion",
        name_es="Lesión benigna tipo queratosis",
        description=(
            "A harmless thickening or spot of the skin: seborrhoeic keratosis, solar lentigo or "
            "lichen planus-like keratosis. It can resemble a melanoma."
        ),
        description_es=(
            "Engrosamiento o mancha inofensiva de la piel: queratosis seborreica, lentigo solar o "
            "queratosis tipo liquen plano. Puede parecerse a un melanoma."
        ),
        malignant=False,
        color="#009E73",
    ),
    Diagnosis(
        code="df",
        name="Dermatofibroma",
        name_es="Dermatofibroma",
        description=(
            "A small, firm, harmless knot of fibrous tissue, often with a pale scar-like centre, "
            "sometimes left by an insect bite or minor injury."
        ),
        description_es=(
            "Nódulo pequeño, firme e inofensivo de tejido fibroso, a menudo con un centro pálido "
            "como una cicatriz, a veces tras una picadura o herida leve."
        ),
        malignant=False,
        color="#F0E442",
    ),
    Diagnosis(
        code="mel",
        name="Melanoma",
        name_es="Melanoma",
        description=(
            "A cancer of the pigment-producing cells that can spread through the body; found "
            "early, it can usually be cured by removing it."
        ),
        description_es=(
            "Cáncer de las células productoras de pigmento que puede extenderse por el cuerpo; "
            "detectado a tiempo suele curarse al extirparlo."
        ),
        malignant=True,
        color="#D55E00",
    ),
    Diagnosis(
        code="nv",
        name="Melanocytic naevus",
        name_es="Nevo melanocítico",
        description="An ordinary mole: a harmless growth of the pigment-producing cells.",
        description_es="Un lunar común: crecimiento inofensivo de las células de pigmento.",
        malignant=False,
        color="#0072B2",
    ),
    Diagnosis(
        code="vasc",
        name="Vascular lesion",
        name_es="Lesión vascular",
        description=(
            "A harmless growth or leak of small blood vessels: cherry angioma, angiokeratoma, "
            "pyogenic granuloma or a bleed under the skin."
        ),
        description_es=(
            "Crecimiento o derrame inofensivo de pequeños vasos sanguíneos: angioma rubí, "
            "angioqueratoma, granuloma piógeno o hemorragia bajo la piel."
        ),
        malignant=False,
        color="#56B4E9",
    ),
)
"""The diagnoses in label order; the integer label is the index."""

CODES: tuple[str, ...] = tuple(item.code for item in LABELS)
"""Short codes in label order."""

ID2LABEL: dict[int, str] = dict(enumerate(CODES))
"""Integer label to code, as the Hub's `id2label`."""

LABEL2ID: dict[str, int] = {code: index for index, code in ID2LABEL.items()}
"""Code to integer label."""

MALIGNANT: tuple[str, ...] = tuple(item.code for item in LABELS if item.malignant)
"""Codes counted as malignant. ``akiec`` is among them: it mixes carcinoma in situ with its
precursor, and both call for treatment."""

DISCLAIMER = (
    "dermsim is a research tool, not a medical device: its answers are not a diagnosis, and any "
    "skin change that worries you should be seen by a doctor."
)
"""The sentence every surface shows."""

DRAWN_DATA = (
    "This model was trained on drawings: it knows nothing of skin, and no figure of it says "
    "anything about photographs."
)
"""What every surface shows beside it of a model that learned from `dermsim.data.synthetic`."""

_ALIASES: dict[str, tuple[str, ...]] = {
    # Long names of the Hub copies, names of the ISIC challenges and archive, common synonyms, in
    # English, Spanish, German, French, Italian and Portuguese.
    "akiec": (
        *("actinic keratosis", "actinic keratoses", "solar keratosis", "solar keratoses"),
        *("intraepithelial carcinoma", "Bowen's disease", "Bowen disease", "AK"),
        *("queratosis actínica", "queratosis actínicas", "queratosis solar"),
        *("enfermedad de Bowen", "aktinische Keratose", "aktinische Keratosen", "Morbus Bowen"),
        *("kératose actinique", "kératoses actiniques", "maladie de Bowen", "cheratosi attinica"),
        *("cheratosi attiniche", "malattia di Bowen", "morbo di Bowen", "queratose actínica"),
        *("ceratose actínica", "queratose solar", "doença de Bowen"),
    ),
    "bcc": (
        *("basal cell carcinomas", "basalioma", "carcinoma basocelular"),
        *("carcinoma de células basales", "Basalzellkarzinom", "Basalzellkarzinome", "Basaliom"),
        *("carcinome basocellulaire", "épithélioma basocellulaire", "carcinoma basocellulare"),
        *("basocelular", "basocellulaire", "basocellulare", "carcinoma de células basais"),
    ),
    "bkl": (
        *("benign keratosis", "benign keratoses", "benign keratosis-like lesions"),
        *("pigmented benign keratosis", "seborrheic keratosis", "seborrheic keratoses"),
        *("seborrhoeic keratosis", "seborrhoeic keratoses", "solar lentigo", "solar lentigines"),
        *("lichenoid keratosis", "lichen planus-like keratosis", "SK", "queratosis seborreica"),
        *("queratosis seborreicas", "queratosis seborréica", "queratosis benigna"),
        *("queratosis liquenoide", "léntigo solar", "seborrhoische Keratose"),
        *("seborrhoische Keratosen", "seborrhoeische Keratose", "Alterswarze"),
        *("lichenoide Keratose", "benigne Keratose", "Lentigo solaris", "kératose séborrhéique"),
        *("kératoses séborrhéiques", "kératose bénigne", "kératose lichénoïde", "lentigo solaire"),
        *("cheratosi seborroica", "cheratosi seborroiche", "cheratosi benigna", "lentigo solare"),
        *("cheratosi lichenoide", "queratose seborreica", "ceratose seborreica"),
        *("queratose benigna", "ceratose benigna", "lentigo senil"),
    ),
    "df": (
        *("dermatofibromas", "fibrous histiocytoma", "Dermatofibrom", "Dermatofibrome"),
        *("Histiozytom", "dermatofibrome", "histiocytofibrome", "histiocitoma fibroso"),
        *("dermatofibromi", "istiocitoma fibroso"),
    ),
    "mel": (
        *("melanomas", "malignant melanoma", "melanoma maligno", "Melanom", "Melanome"),
        *("malignes Melanom", "schwarzer Hautkrebs", "mélanome", "mélanomes", "mélanome malin"),
        *("melanomi",),
    ),
    "nv": (
        *("melanocytic nevus", "melanocytic nevi", "melanocytic naevi", "nevus", "nevi"),
        *("naevus", "naevi", "nevo", "nevos", "nevus melanocítico", "nevo melanocítico"),
        *("nevos melanocíticos", "nevus melanocíticos", "Nävus", "Nävi", "Nävuszellnävus"),
        *("Naevuszellnaevus", "melanozytärer Nävus", "melanozytäre Nävi"),
        *("melanozytärer Naevus", "nævus", "nævi", "nævus mélanocytaire", "naevus mélanocytaire"),
        *("nævi mélanocytaires", "naevi mélanocytaires", "nei", "nevo melanocitico"),
        *("nevi melanocitici",),
    ),
    "vasc": (
        *("vascular lesions", "vascular", "angioma", "angiomas", "hemangioma", "hemangiomas"),
        *("haemangioma", "haemangiomas", "lesión vascular", "lesiones vasculares"),
        *("Angiom", "Angiome", "Hämangiom", "Hämangiome", "Haemangiom"),
        *("Gefäßläsion", "Gefäßläsionen", "vaskuläre Läsion", "vaskuläre Läsionen"),
        *("lésion vasculaire", "lésions vasculaires", "angiome", "hémangiome"),
        *("lesione vascolare", "lesioni vascolari", "emangioma", "lesão vascular"),
        *("lesões vasculares",),
    ),
}


_LIGATURES = str.maketrans({"æ": "ae", "œ": "oe"})


def fold(text: str) -> str:
    """Drop what sources differ in: case, accents, spaces and punctuation.

    An accent may be one character with its letter, a character of its own, or lost; ligatures are
    their letters.
    """
    parts = unicodedata.normalize("NFKD", text.casefold()).casefold().translate(_LIGATURES)
    return "".join(sign for sign in parts if sign.isalnum())


_CODE_OF: dict[str, str] = {
    fold(name): item.code
    for item in LABELS
    for name in (item.code, item.name, item.name_es, *_ALIASES[item.code])
}


def diagnosis(code: str) -> Diagnosis:
    """Return the diagnosis with this code.

    Args:
        code: One of `CODES`.

    Raises:
        ValueError: If the code is not one of the seven.
    """
    if code not in LABEL2ID:
        raise Refused("labels.unknown_code", code=code, codes=CODES)
    return LABELS[LABEL2ID[code]]


def parse_dx(text: str) -> str:
    """Translate a source's spelling of a diagnosis into its code.

    Case, accents, spaces, hyphens, underscores and other punctuation do not matter.

    Args:
        text: A code, a long name of a Hub copy (``"melanocytic_Nevi"``), an ISIC name or a synonym,
            in English, Spanish, German, French, Italian or Portuguese.

    Returns:
        One of `CODES`.

    Raises:
        ValueError: If the text names none of the seven.
    """
    code = _CODE_OF.get(fold(str(text)))
    if code is None:
        raise Refused("labels.unknown_dx", text=text, codes=CODES)
    return code
