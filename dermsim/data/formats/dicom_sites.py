"""Where on the body a picture was taken: the codes of DICOM as the sites of this package.

The standard lists the codes for skin (CID 4029) and for regions of the body (CID 4031); a few more
of SNOMED CT are common. What a code means is looked up in pydicom's copy of those lists and never
taken from the file, where anything may be written.
"""

from __future__ import annotations

import functools

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

_LISTS = ("cid4029", "cid4031")
_MORE = (
    *("AbdominalStructure", "Back", "Buttock", "Cheek", "Ear", "Eyelid", "Face", "Lip", "Nose"),
    *("Scalp", "Trunk"),
)
_OLD_SCHEMES = frozenset(("SNM3", "99SDM"))
"""What SRT was called before."""

_WORDS = {
    "scalp": "scalp, parietal region, occipital region",
    "acral": "palm, palmar, sole, plantar",
    "ear": "ear, helix, antihelix, tragus, antitragus, concha, pinna, intertragal, auditory canal",
    "genital": "genitalia, penis, scrotum, labium, labia, clitoris, vulval, vaginal",
    "face": "face, cheek, nose, nasi, chin, forehead, lip, eyelid, eyebrow, canthus, eye region, "
    "nasolabial, infraalar, jawline, jaw, philtrum, preauricular",
    "neck": "neck, nuchal, submental",
    "back": "back, paraspinal, posterior surface of thorax",
    "chest": "chest, anterior surface of thorax, breast, areola, nipple, infraclavicular, sternal",
    "abdomen": "abdomen, abdominal, umbilicus, epigastric, hypogastric",
    "trunk": "trunk, buttock, gluteal, inguinal, groin",
    "foot": "foot, toe, heel",
    "hand": "hand, finger, thumb",
    "lower extremity": "lower extremity, lower limb, thigh, knee, lower leg, popliteal, ankle",
    "upper extremity": "upper extremity, upper limb, upper arm, forearm, elbow, antecubital, "
    "wrist, shoulder",
}
"""Words of the standard's meanings by the site that they tell, the first that fits."""

_INSIDE = ("mucosa", "internal", "bone", "bones", "joint", "muscle", "spine", "and")
"""Words of meanings that are no single place of the skin."""


def site_of(value: str, scheme: str) -> str | None:
    """Return the site that a code stands for.

    Args:
        value: The code, such as ``"75093004"``.
        scheme: Where it comes from: ``"SCT"``, or one of the older names of SNOMED.

    Returns:
        One of `dermsim.core.vocabulary.SITES`; None if the code is no site, or not in the lists.
    """
    meaning = _meanings().get((scheme, value))
    if meaning is None and scheme in ("SRT", *_OLD_SCHEMES):
        # pydicom compares codes of the old and the new scheme by its own table
        old = Code(value, "SRT", "")
        for (new_scheme, new), candidate in _meanings().items():
            if old == Code(new, new_scheme, ""):
                meaning = candidate
    return None if meaning is None else _site(meaning)


def known_codes() -> dict[tuple[str, str], str]:
    """Return the meaning of every code that may tell a site, by scheme and value."""
    return dict(_meanings())


@functools.cache
def _meanings() -> dict[tuple[str, str], str]:
    lists = [getattr(codes, name) for name in _LISTS]
    found = [getattr(entries, keyword) for entries in lists for keyword in entries.dir()]
    found += [getattr(codes.SCT, keyword) for keyword in _MORE]
    return {(code.scheme_designator, code.value): code.meaning for code in found}


def _site(meaning: str) -> str | None:
    words = f" {meaning.lower().replace(',', ' ')} "
    if any(f" {word} " in words for word in _INSIDE):
        return None
    for site, known in _WORDS.items():
        if any(f" {word} " in words for word in known.split(", ")):
            return site
    return None
