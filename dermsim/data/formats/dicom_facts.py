"""What a DICOM file knows of a patient and an encoder may be told, on request: age, sex, site.

Four elements are read, and of those only what can be a number of years, one of two letters or the
code of a place. Everything else about the person stays in the file.
"""

from __future__ import annotations

import re

from dermsim.core.vocabulary import SITES, parse_site
from dermsim.data.facts import MAX_AGE, Facts
from dermsim.data.formats.dicom import accepts
from dermsim.data.formats.extras import require_for
from dermsim.data.formats.quiet import quietly
from dermsim.data.formats.registry import PREFIX, UnreadableError

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_SEXES = {"F": "female", "M": "male"}
_REGION = "AnatomicRegionSequence"
_KEYWORDS = ("PatientAge", "PatientSex", "BodyPartExamined", _REGION)


def read_dicom_facts(data: bytes, *, name: str = "the image") -> Facts:
    """Read age, sex and site from a DICOM file.

    Args:
        data: The whole file.
        name: What messages call it.

    Returns:
        What is known: nothing for a file of another format. A value that cannot be right is not
        known, either.

    Raises:
        ValueError: If it is a damaged DICOM file; one sentence.
    """
    if not accepts(data[:PREFIX]):
        return Facts()
    require_for(name, "DICOM", package="pydicom", extra="dicom")
    from pydicom import Dataset

    from dermsim.data.formats.dicom_elements import read_elements
    from dermsim.data.formats.dicom_sites import site_of

    def text(elements: Dataset, keyword: str) -> str:
        # as it is in the file: pydicom would complain about odd values, and quote them
        element = elements.get_item(keyword)
        value = b"" if element is None or element.value is None else element.value
        read = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
        return read.strip("\0 ")

    def site(elements: Dataset) -> str | None:
        for region in elements.get(_REGION) or ():
            code = text(region, "CodeValue"), text(region, "CodingSchemeDesignator")
            if found := site_of(*code):
                return found
        return _site_by_name(text(elements, "BodyPartExamined"))

    try:
        with quietly("pydicom"):
            elements = read_elements(data, name, keywords=_KEYWORDS)
            return Facts(
                age=parse_age(text(elements, "PatientAge")),
                sex=_SEXES.get(text(elements, "PatientSex")),
                localization=site(elements),
            )
    except UnreadableError:
        raise
    except Exception as error:  # whatever pydicom says may quote the file
        raise UnreadableError("dicom.damaged", name=name) from error


def parse_age(text: str) -> float | None:
    """Return an age in years of PS3.5's Age String, such as ``"045Y"``, ``"018M"`` or ``"003W"``.

    Returns:
        None if it is none, or more than people live.
    """
    found = re.fullmatch(r"(\d{1,3})([YMWD])", text)
    if found is None:
        return None
    years = int(found[1]) * _YEARS[found[2]]
    return years if years <= MAX_AGE else None


def _site_by_name(word: str) -> str | None:
    """Return the site of a word such as ``"FOOT"``."""
    try:
        site = parse_site(word) if word else None
    except ValueError:  # it would quote the word
        return None
    return site if site in SITES else None
