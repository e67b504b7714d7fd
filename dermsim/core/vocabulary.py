"""The words of tables: what is missing, a sex, a site, in the languages that people write them in.

Tables are typed by hand and saved by spreadsheets. Capitals, accents (composed, decomposed or
lost), blanks and punctuation never make a difference here; a word that is not known is refused with
the words that are.
"""

from __future__ import annotations

from collections.abc import Iterable

from dermsim.core.labels import fold

SEXES = ("female", "male")
"""What HAM10000 tells apart."""

SITES = (
    "abdomen",
    "acral",
    "back",
    "chest",
    "ear",
    "face",
    "foot",
    "genital",
    "hand",
    "lower extremity",
    "neck",
    "scalp",
    "trunk",
    "upper extremity",
)
"""Every `localization` in HAM10000."""

BROAD_SITES = ("head/neck", "oral/genital")
"""Sites of ISIC 2019 and 2020 that are several of `SITES`: kept, but no fact for an encoder."""

_MISSING = frozenset(
    map(
        fold,
        (
            *("", "nan", "na", "nat", "null", "nil", "none", "n/d", "unk", "unknown", "undefined"),
            *("missing", "not known", "not available", "not specified", "not recorded"),
            *("unspecified", "no data", "desconocido", "desconocida", "sin datos", "no consta"),
            *("se desconoce", "no especificado", "unbekannt", "keine Angabe", "k. A.", "inconnu"),
            *("inconnue", "sconosciuto", "sconosciuta", "desconhecido", "desconhecida"),
        ),
    )
)

_SEX_WORDS = {
    "female": (
        *("female", "f", "fem", "woman", "women", "girl", "w", "weiblich", "Frau", "mujer"),
        *("femenino", "femenina", "hembra", "niña", "femme", "féminin", "féminine", "femmina"),
        *("femminile", "feminino", "feminina", "mulher"),
    ),
    "male": (
        *("male", "masc", "man", "men", "boy", "männlich", "maennlich", "Mann", "hombre", "h"),
        *("masculino", "masculina", "varón", "v", "niño", "homme", "masculin", "maschio"),
        *("maschile", "homem"),
    ),
}

# In English, German, Italian and Portuguese M is male; in Spanish it is mujer beside hombre, varón.
_SPANISH_MALE = frozenset(map(fold, ("h", "v", "hombre", "varón")))

_SITE_WORDS = {
    "abdomen": (
        *("abdominal", "belly", "stomach", "Bauch", "ventre", "addome", "barriga", "vientre"),
    ),
    "acral": (
        *("akral", "palms/soles", "palms and soles", "palm", "palms", "sole", "soles", "palma"),
        *("planta", "palmas", "plantas", "palmas y plantas", "palmas/plantas", "Handfläche"),
        *("Fußsohle", "Fusssohle", "paume", "pianta"),
    ),
    "back": (
        *("posterior torso", "posterior trunk", "upper back", "lower back", "mid back", "espalda"),
        *("dorso", "dorsal", "Rücken", "Ruecken", "dos", "schiena", "costas"),
    ),
    "chest": (
        "thorax",
        "breast",
        "pecho",
        "tórax",
        "Brust",
        "poitrine",
        "petto",
        "torace",
        "peito",
    ),
    "ear": ("ears", "oreja", "Ohr", "oreille", "orecchio", "orelha"),
    "face": (
        *("nose", "lip", "lips", "cheek", "forehead", "chin", "eyelid", "cara", "rostro", "nariz"),
        *("labio", "mejilla", "frente", "mentón", "párpado", "Gesicht", "Nase", "Lippe", "Wange"),
        *("Stirn", "Kinn", "Augenlid", "visage", "nez", "lèvre", "joue", "viso", "volto", "naso"),
        *("rosto", "facial"),
    ),
    "foot": ("feet", "toe", "toes", "pie", "pies", "Fuß", "Fuss", "pied", "piede", "pé"),
    "genital": (
        "genitals",
        "genitalia",
        "genitales",
        "Genitalien",
        "génital",
        "genitali",
        "genitais",
    ),
    "hand": (
        *("hands", "finger", "fingers", "mano", "manos", "dedo", "Hände", "Haende", "main"),
        *("mains", "mani", "mão", "mãos"),
    ),
    "lower extremity": (
        *("lower extremities", "lower limb", "leg", "legs", "thigh", "calf", "shin", "knee"),
        *("upper leg", "lower leg", "pierna", "piernas", "muslo", "pantorrilla", "rodilla"),
        *("extremidad inferior", "miembro inferior", "Bein", "Oberschenkel", "Unterschenkel"),
        *("Knie", "untere Extremität", "untere Extremitaet", "jambe", "cuisse"),
        *("membre inférieur", "gamba", "coscia", "arto inferiore", "perna", "coxa"),
        *("membro inferior", "extremidade inferior"),
    ),
    "neck": ("nape", "cuello", "nuca", "Hals", "Nacken", "cou", "nuque", "collo", "pescoço"),
    "scalp": (
        *("cuero cabelludo", "Kopfhaut", "cuir chevelu", "cuoio capelluto", "couro cabeludo"),
    ),
    "trunk": (
        *("torso", "anterior torso", "lateral torso", "anterior trunk", "flank", "tronco"),
        *("Rumpf", "tronc", "flanco", "costado"),
    ),
    "upper extremity": (
        *("upper extremities", "upper limb", "arm", "arms", "forearm", "upper arm", "lower arm"),
        *("elbow", "brazo", "brazos", "antebrazo", "codo", "extremidad superior"),
        *("miembro superior", "Oberarm", "Unterarm", "Ellenbogen", "obere Extremität"),
        *("obere Extremitaet", "bras", "avant-bras", "membre supérieur", "braccio"),
        *("avambraccio", "arto superiore", "braço", "antebraço", "membro superior"),
        *("extremidade superior",),
    ),
    "head/neck": (
        *(
            "head and neck",
            "head neck",
            "head neck face",
            "head",
            "cabeza y cuello",
            "cabeza/cuello",
        ),
        *("cabeza", "Kopf/Hals", "Kopf und Hals", "Kopf", "tête et cou", "tête", "testa e collo"),
        *("testa", "cabeça e pescoço", "cabeça"),
    ),
    "oral/genital": ("oral and genital",),
}

_SIDES = frozenset(
    map(
        fold,
        (
            *("left", "right", "l", "r", "li", "re", "links", "rechts", "linker", "linke"),
            *("linkes", "rechter", "rechte", "rechtes", "izquierdo", "izquierda", "izq"),
            *("derecho", "derecha", "der", "dcha", "dcho", "gauche", "droit", "droite"),
            *("sinistro", "sinistra", "sin", "destro", "destra", "esquerdo", "esquerda"),
            *("direito", "direita"),
        ),
    )
)

_SEX_OF = {fold(word): sex for sex, words in _SEX_WORDS.items() for word in words}
_SITE_OF = {fold(site): site for site in (*SITES, *BROAD_SITES)} | {
    fold(word): site for site, words in _SITE_WORDS.items() for word in words
}


def is_missing(text: str) -> bool:
    """Say whether a cell's text means that nothing is known: empty, NaN, NA, null, unknown, none.

    Signs alone, such as ``-``, ``?`` or ``#N/A``, are the same.
    """
    return fold(text) in _MISSING


def parse_sex(text: str, *, m: str = "male") -> str:
    """Translate a table's spelling of a sex.

    Args:
        text: A word or letter in English, Spanish, German, French, Italian or Portuguese.
        m: What the letter M stands for, as `meaning_of_m` finds out.

    Returns:
        One of `SEXES`.

    Raises:
        ValueError: If the text names neither.
    """
    found = m if fold(text) == "m" else _SEX_OF.get(fold(text))
    if found is None:
        raise ValueError(
            f"sex is {text!r}, but must be female, male or a word for one of them, or empty when "
            "it is neither or not known"
        )
    return found


def meaning_of_m(column: Iterable[str]) -> str:
    """Find out what M stands for among the sexes of one table: in Spanish it is mujer.

    Args:
        column: The words of the whole column.

    Returns:
        ``"female"`` where Spanish words for male stand beside M and none for female, else
        ``"male"``.

    Raises:
        ValueError: If M stands beside words for both.
    """
    words = set(map(fold, column))
    spanish = words & _SPANISH_MALE
    if "m" not in words or not spanish:
        return "male"
    if women := sorted(word for word in words if _SEX_OF.get(word) == "female"):
        raise ValueError(
            f"sex is M beside {min(spanish).upper()} and {women[0].upper()}, so that M can be "
            "either: write female and male"
        )
    return "female"


def parse_site(text: str) -> str:
    """Translate a table's spelling of where on the body a lesion is; left and right are dropped.

    Args:
        text: A word in English, Spanish, German, French, Italian or Portuguese, or of ISIC 2019
            and 2020.

    Returns:
        One of `SITES` or `BROAD_SITES`.

    Raises:
        ValueError: If the text names none of them.
    """
    found = _SITE_OF.get(fold(text))
    if found is None:
        words = [word for word in map(fold, _words(text)) if word not in _SIDES]
        found = _SITE_OF.get("".join(words))
    if found is None:
        raise ValueError(
            f"localization is {text!r}, but must be one of {', '.join((*SITES, *BROAD_SITES))}, a "
            "word for one of them, or empty when it is not known"
        )
    return found


def _words(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in text).split()
