"""The seven diagnoses of HAM10000: codes, names, plain descriptions, colours.

Everything else builds on this. The integer label of a diagnosis is its index in `LABELS`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


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

_ALIASES: dict[str, tuple[str, ...]] = {
    # Long names of the Hub copies, names of the ISIC challenges and archive, common synonyms.
    "akiec": (
        "actinic keratosis",
        "actinic keratoses",
        "solar keratosis",
        "intraepithelial carcinoma",
        "Bowen's disease",
        "AK",
        "queratosis actínica",
        "enfermedad de Bowen",
        "aktinische Keratose",
        "Morbus Bowen",
    ),
    "bcc": ("basal cell carcinomas", "carcinoma basocelular", "Basalzellkarzinom", "Basaliom"),
    "bkl": (
        "benign keratosis",
        "benign keratosis-like lesions",
        "pigmented benign keratosis",
        "seborrheic keratosis",
        "seborrhoeic keratosis",
        "solar lentigo",
        "lichenoid keratosis",
        "lichen planus-like keratosis",
        "SK",
        "queratosis seborreica",
        "queratosis benigna",
        "léntigo solar",
        "seborrhoische Keratose",
    ),
    "df": ("dermatofibromas", "Dermatofibrom", "Histiozytom"),
    "mel": ("melanomas", "Melanom"),
    "nv": (
        "melanocytic nevus",
        "melanocytic nevi",
        "melanocytic naevi",
        "nevus",
        "nevi",
        "naevus",
        "naevi",
        "nevo",
        "nevos",
        "Nävus",
        "melanozytärer Nävus",
    ),
    "vasc": (
        "vascular lesions",
        "vascular",
        "angioma",
        "hemangioma",
        "haemangioma",
        "lesiones vasculares",
        "Angiom",
        "Hämangiom",
        "Haemangiom",
    ),
}


def fold(text: str) -> str:
    """Drop what sources differ in: case, accents, spaces and punctuation.

    An accent may be one character with its letter, a character of its own, or lost.
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in parts.casefold() if sign.isalnum())


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
        raise ValueError(f"unknown diagnosis code {code!r}: expected one of {', '.join(CODES)}")
    return LABELS[LABEL2ID[code]]


def parse_dx(text: str) -> str:
    """Translate a source's spelling of a diagnosis into its code.

    Case, accents, spaces, hyphens, underscores and other punctuation do not matter.

    Args:
        text: A code, a long name of a Hub copy (``"melanocytic_Nevi"``), an ISIC name or a synonym,
            in English, Spanish or German.

    Returns:
        One of `CODES`.

    Raises:
        ValueError: If the text names none of the seven.
    """
    code = _CODE_OF.get(fold(str(text)))
    if code is None:
        raise ValueError(
            f"unknown dx {text!r}: expected one of {', '.join(CODES)} or a long name of one of them"
        )
    return code
