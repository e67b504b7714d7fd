"""The seven diagnoses of HAM10000: codes, names, plain descriptions, colours.

Everything else builds on this. The integer label of a diagnosis is its index in `LABELS`.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass

from dermsim.core.language import ENGLISH, LANGUAGES, texts
from dermsim.core.refused import Refused


@dataclass(frozen=True)
class Diagnosis:
    """One of the seven diagnoses.

    Attributes:
        code: HAM10000's own short code, for example ``"mel"``.
        malignant: Whether it counts as malignant in the benign/malignant question.
        color: ``#rrggbb`` for charts, from the colour-blind safe palette of Okabe and Ito (2008).
    """

    code: str
    malignant: bool
    color: str

    @property
    def name(self) -> str:
        """English name."""
        return self.named(ENGLISH)

    @property
    def description(self) -> str:
        """One or two plain English sentences for a reader without medical training."""
        return self.described(ENGLISH)

    def named(self, language: str) -> str:
        """Return the name in a language, one of `dermsim.core.language.LANGUAGES`."""
        return texts(language, "diagnoses")[f"{self.code}.name"]

    def described(self, language: str) -> str:
        """Return the description in a language, one of `dermsim.core.language.LANGUAGES`."""
        return texts(language, "diagnoses")[f"{self.code}.description"]


LABELS: tuple[Diagnosis, ...] = (
    Diagnosis("akiec", malignant=True, color="#E69F00"),
    Diagnosis("bcc", malignant=True, color="#CC79A7"),
    Diagnosis("bkl", malignant=False, color="#009E73"),
    Diagnosis("df", malignant=False, color="#F0E442"),
    Diagnosis("mel", malignant=True, color="#D55E00"),
    Diagnosis("nv", malignant=False, color="#0072B2"),
    Diagnosis("vasc", malignant=False, color="#56B4E9"),
)
"""The diagnoses in label order; the integer label is the index.

Examples:
    >>> from dermsim import LABELS
    >>> [label.code for label in LABELS if label.malignant]
    ['akiec', 'bcc', 'mel']
"""

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


@functools.cache
def _code_of() -> dict[str, str]:
    return {
        fold(name): item.code
        for item in LABELS
        for name in (item.code, *map(item.named, LANGUAGES), *_ALIASES[item.code])
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
    code = _code_of().get(fold(str(text)))
    if code is None:
        raise Refused("labels.unknown_dx", text=text, codes=CODES)
    return code
