"""The words of tables: what is missing, a sex, a site, in the languages that people write them in.

Tables are typed by hand and saved by spreadsheets. Capitals, accents (composed, decomposed or
lost), blanks and punctuation never make a difference here; a word that is not known is refused with
the words that are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dermsim.core.labels import fold
from dermsim.core.refused import Refused

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
            *("not applicable", "not given", "not stated", "unspecified", "no data", "blank"),
            *("desconocido", "desconocida", "sin datos", "no consta", "se desconoce"),
            *("no especificado", "no especificada", "no disponible", "no aplica", "ninguno"),
            *("ninguna", "unbekannt", "nicht bekannt", "nicht angegeben", "nicht verfügbar"),
            *("ohne Angabe", "keine Angabe", "keine Angaben", "keine", "k. A.", "fehlt"),
            *("inconnu", "inconnue", "non connu", "non renseigné", "non renseignée", "non précisé"),
            *("non disponible", "aucun", "aucune", "manquant", "sconosciuto", "sconosciuta"),
            *("non noto", "non nota", "non disponibile", "non specificato", "nessuno", "nessuna"),
            *("desconhecido", "desconhecida", "não informado", "não disponível", "ignorado"),
            *("não especificado", "nenhum", "nenhuma", "sem dados"),
        ),
    )
)

_MISSING_BY_SIGNS = re.compile(
    r"#(N/?[ADV]|[¡¿]?[A-ZÀ-Ý]+(/0)?[!?])|s\.?/d\.?|n\. ?b\.|<na>", re.IGNORECASE
)
"""What means nothing by its signs, without which it may be somebody's initials or a naevus: errors
of spreadsheets in their languages (``#NV`` is German for ``#N/A``), and abbreviations."""

_SEX_WORDS = {
    "female": (
        *("female", "f", "fem", "woman", "women", "girl", "lady", "w", "weibl", "weiblich"),
        *("Frau", "Mädchen", "mujer", "femenino", "femenina", "hembra", "niña", "femme", "fille"),
        *("féminin", "féminine", "donna", "femmina", "femminile", "feminino", "feminina"),
        *("mulher", "fêmea", "menina"),
    ),
    "male": (
        *("male", "masc", "man", "men", "boy", "männl", "männlich", "maennlich", "Mann", "Junge"),
        *("hombre", "h", "masculino", "masculina", "varón", "v", "macho", "niño", "homme"),
        *("garçon", "masculin", "uomo", "maschio", "maschile", "homem", "menino"),
    ),
}

# In English, German, Italian and Portuguese M is male; in Spanish it is mujer beside hombre, varón.
_SPANISH_MALE = frozenset(map(fold, ("h", "v", "hombre", "varón")))

# Where several of the house's sites could be meant, the topography of ICD-O-3 decides: C44.3, skin
# of the face, has temple and jaw, C44.5, of the trunk, axilla, buttock and groin, C44.6, of the
# upper limb, the shoulder, C44.7, of the lower limb, the hip.
_SITE_WORDS = {
    "abdomen": (
        *("abdominal", "belly", "stomach", "Bauch", "ventre", "addome", "barriga", "vientre"),
        *("abdome", "navel", "umbilicus", "ombligo", "Nabel", "nombril", "ombelico"),
    ),
    "acral": (
        *("akral", "palms/soles", "palms and soles", "palm", "palms", "sole", "soles", "palma"),
        *("planta", "palmas", "plantas", "palmas y plantas", "palmas/plantas", "Handfläche"),
        *("Fußsohle", "Fusssohle", "paume", "pianta"),
    ),
    "back": (
        *("posterior torso", "posterior trunk", "upper back", "lower back", "mid back", "espalda"),
        *("dorso", "dorsal", "Rücken", "Ruecken", "dos", "schiena", "costas", "lumbar"),
    ),
    "chest": (
        *("thorax", "breast", "pecho", "tórax", "Brust", "Brustkorb", "poitrine", "petto"),
        *("torace", "peito", "sternum", "décolleté", "Dekolleté", "mama", "seno", "sein"),
    ),
    "ear": ("ears", "oreja", "Ohr", "oreille", "orecchio", "orelha"),
    "face": (
        *("nose", "lip", "lips", "cheek", "forehead", "chin", "eyelid", "cara", "rostro", "nariz"),
        *("labio", "mejilla", "frente", "mentón", "párpado", "Gesicht", "Nase", "Lippe", "Wange"),
        *("Stirn", "Kinn", "Augenlid", "visage", "nez", "lèvre", "joue", "viso", "volto", "naso"),
        *("rosto", "facial", "temple", "eyebrow", "jaw", "sien", "ceja", "mandíbula", "Schläfe"),
        *("Augenbraue", "Kiefer", "tempe", "menton", "sourcil", "paupière", "mâchoire"),
        *("fronte", "tempia", "guancia", "mento", "sopracciglio", "palpebra", "labbro"),
        *("têmpora", "bochecha", "queixo", "sobrancelha", "pálpebra", "lábio"),
    ),
    "foot": (
        *("feet", "toe", "toes", "ankle", "heel", "pie", "pies", "tobillo", "talón", "Fuß", "Fuss"),
        *("Zehe", "Zeh", "Knöchel", "Ferse", "pied", "pieds", "orteil", "cheville", "talon"),
        *("piede", "piedi", "caviglia", "tallone", "pé", "pés", "tornozelo", "calcanhar"),
    ),
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
        *("hands", "finger", "fingers", "thumb", "wrist", "mano", "manos", "dedo", "pulgar"),
        *("muñeca", "Hände", "Haende", "Daumen", "Handgelenk", "Handrücken", "main", "mains"),
        *("doigt", "pouce", "poignet", "mani", "dito", "pollice", "polso", "mão", "mãos"),
        *("polegar", "pulso"),
    ),
    "lower extremity": (
        *("lower extremities", "lower limb", "leg", "legs", "thigh", "calf", "shin", "knee"),
        *("upper leg", "lower leg", "pierna", "piernas", "muslo", "pantorrilla", "rodilla"),
        *("extremidad inferior", "miembro inferior", "Bein", "Oberschenkel", "Unterschenkel"),
        *("Knie", "untere Extremität", "untere Extremitaet", "jambe", "cuisse", "hip", "cadera"),
        *("Hüfte", "Wade", "Schienbein", "hanche", "mollet", "genou", "anca", "ginocchio"),
        *("polpaccio", "quadril", "joelho", "panturrilha", "lower limbs", "lower extremities"),
        *("membre inférieur", "gamba", "coscia", "arto inferiore", "perna", "coxa"),
        *("membro inferior", "extremidade inferior", "extremidades inferiores"),
    ),
    "neck": ("nape", "cuello", "nuca", "Hals", "Nacken", "cou", "nuque", "collo", "pescoço"),
    "scalp": (
        *("cuero cabelludo", "Kopfhaut", "cuir chevelu", "cuoio capelluto", "couro cabeludo"),
    ),
    "trunk": (
        *("torso", "anterior torso", "lateral torso", "anterior trunk", "flank", "tronco"),
        *("Rumpf", "Stamm", "tronc", "flanco", "costado", "buttock", "buttocks", "gluteal"),
        *("axilla", "armpit", "groin", "Flanke", "Gesäß", "Gesaess", "Achsel", "Leiste", "glúteo"),
        *("nalga", "nalgas", "axila", "ingle", "flanc", "fesse", "fesses", "aisselle", "aine"),
        *("fianco", "gluteo", "natica", "ascella", "inguine", "nádega", "virilha"),
    ),
    "upper extremity": (
        *("upper extremities", "upper limb", "arm", "arms", "forearm", "upper arm", "lower arm"),
        *("elbow", "shoulder", "upper limbs", "hombro", "Schulter", "épaule", "spalla", "ombro"),
        *("coude", "gomito", "cotovelo", "extremidades superiores"),
        *("brazo", "brazos", "antebrazo", "codo", "extremidad superior"),
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

    Signs alone, such as ``-`` or ``?``, and errors of a spreadsheet, such as ``#N/A`` or ``#REF!``,
    are the same.
    """
    return fold(text) in _MISSING or bool(_MISSING_BY_SIGNS.fullmatch(text.strip()))


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
        raise Refused("core_vocabulary.sex", text=text)
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
        raise Refused("core_vocabulary.sex_m", word=min(spanish).upper(), other=women[0].upper())
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
        raise Refused("core_vocabulary.localization", text=text, sites=(*SITES, *BROAD_SITES))
    return found


def _words(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in text).split()
