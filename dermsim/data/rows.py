"""Brings rows to the schema's values; what cannot be is refused, naming the row."""

from __future__ import annotations

import math
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from dermsim.core.labels import LABEL2ID, fold, parse_dx
from dermsim.core.refused import Phrase, Refused
from dermsim.core.vocabulary import is_missing, meaning_of_m, parse_sex, parse_site
from dermsim.data.matching import without_ending
from dermsim.data.tables import MORE_COLUMNS, OTHER, row_error

Facts = dict[str, Any]
"""What is known of one image: every column of the schema but the image itself."""

MAX_AGE = 120
"""The greatest age in years that is believed."""

# A plus or a point, so that names which are digits with an e among them pass: md5 sums have such.
_SHORTENED = re.compile(r"[+-]?\d+(?:[.,]\d+e\+?|e\+)\d+", re.IGNORECASE)

# 05.06 is the fifth of June, 1_0 is ten to nobody but Python.
_NO_AGE = re.compile(r"0\d[.,]\d\d|.*_.*")

_WORDING = ("original_label", "split")
"""Columns in which rows of one image may differ and still say the same."""

_DX_TYPES = {
    fold(word): dx_type
    for dx_type, words in {
        "histo": ("histo", "histopathology", "histology", "histopathological", "biopsy"),
        "follow_up": ("follow_up", "serial imaging showing no change"),
        "consensus": ("consensus", "single image expert consensus", "expert consensus"),
        "confocal": ("confocal", "confocal microscopy with consensus dermoscopy"),
    }.items()
    for word in words
}

_MODALITIES = {
    fold(word): modality
    for modality, words in {
        "dermoscopy": ("dermoscopy", "dermoscopic", "dermatoscopy", "dermatoscopic", "dermoscope"),
        "clinical": ("clinical", "clinical: close-up", "close-up", "macroscopic", "smartphone"),
    }.items()
    for word in words
}


def normalise(row: int, given: Mapping[str, Any], *, m: str = "male") -> Facts:
    """Bring one row to the schema's values.

    Args:
        row: Its number in the source, for errors.
        given: What the source says, by column; ``dx`` in words, or `OTHER`.
        m: What the letter M stands for as a sex, as `dermsim.core.vocabulary.meaning_of_m` finds
            out from the whole column.

    Returns:
        Every column but the image; ``dx`` is an index into `CODES`, None for `OTHER`. A lesion_id
        that is not known is the image_id: the image is a lesion of its own.

    Raises:
        ValueError: If image_id or dx is missing, an id was shortened to a power of ten, or dx, age,
            sex or localization cannot be.
    """
    text = {column: known(value) for column, value in given.items() if column != "concepts"}
    image_id = without_ending(text.get("image_id") or "") or None
    for column in ("image_id", "dx"):
        if text.get(column) is None:
            raise row_error(row, image_id, Phrase("rows.missing", column=column))
    try:
        for column in ("image_id", "lesion_id", "patient_id"):
            check_id(column, text.get(column))
        sex, site = text.get("sex"), text.get("localization")
        facts = {
            "image_id": image_id,
            "lesion_id": text.get("lesion_id") or image_id,
            "dx": None if text["dx"] == OTHER else LABEL2ID[parse_dx(str(text["dx"]))],
            "dx_type": _of(_DX_TYPES, text.get("dx_type")),
            "age": parse_age(text.get("age")),
            "sex": parse_sex(sex, m=m) if sex else None,
            "localization": parse_site(site) if site else None,
        }
    except ValueError as error:
        raise row_error(row, image_id, error) from error
    further = {column: text.get(column) for column in MORE_COLUMNS}
    further["modality"] = modality_of(given)
    return {**facts, **further, "concepts": _concepts(given.get("concepts"))}


def modality_of(given: Mapping[str, Any]) -> str | None:
    """Return how a picture was taken, in dermsim's own word; None where its row does not say."""
    return _of(_MODALITIES, known(given.get("modality")))


def normalise_all(rows: Sequence[Mapping[str, Any]], *, name: str) -> list[Facts]:
    """Bring all rows of one source to the schema's values, and its lesions to one spelling.

    Args:
        rows: As for `normalise`.
        name: What warnings call the source.

    Raises:
        ValueError: As `normalise`; also if M stands beside words for both sexes.

    Warns:
        UserWarning: That neither lesions nor patients are known, or that their ids differ only in
            what spreadsheets change.
    """
    m = meaning_of_m(text for row in rows if (text := known(row.get("sex"))))
    facts = [normalise(number, row, m=m) for number, row in enumerate(rows)]
    unknown = sum(
        known(row.get("lesion_id")) is None and known(row.get("patient_id")) is None for row in rows
    )
    if unknown:
        what = f"does not know the lesion of {unknown:,} of {len(rows):,} images, so each of them"
        warnings.warn(
            f"{name} {'has no lesion_id, so each image' if unknown == len(rows) else what} counts "
            "as a lesion of its own and splits cannot keep photographs of one lesion together",
            stacklevel=2,
        )
    _join_spellings(facts, "lesion_id")
    _join_spellings(facts, "patient_id")
    return facts


def known(value: object) -> str | None:
    """Return stripped text, or None for every way in which sources write nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # a column of whole numbers with a gap becomes one of floats
    text = str(value).strip()
    return None if is_missing(text) else text


def check_id(column: str, text: str | None) -> None:
    """Refuse an id that a spreadsheet shortened: it stands for several.

    Raises:
        ValueError: If the text is a number such as 2.4E+11.
    """
    if text is not None and _SHORTENED.fullmatch(text):
        raise Refused("rows.shortened", column=column, text=text)


def parse_age(text: str | None) -> float | None:
    """Read an age in years, with a decimal point or comma.

    Raises:
        ValueError: If it is no number, or nobody can be that old.
    """
    if text is None:
        return None
    try:
        age = float("date" if _NO_AGE.fullmatch(text) else text.replace(",", "."))
    except ValueError:
        raise Refused("rows.age_not_number", text=text) from None
    if not 0 <= age <= MAX_AGE:
        raise Refused("rows.age", text=text, max_age=MAX_AGE)
    return age


def distinct_rows(facts: Sequence[Facts]) -> list[int]:
    """Return the first row of each image, sorted by image_id.

    Raises:
        ValueError: If rows of one image contradict each other; the message names both.
    """
    first: dict[str, int] = {}
    for row, fact in enumerate(facts):
        other = first.setdefault(fact["image_id"], row)
        differing = [c for c in fact if c not in _WORDING and fact[c] != facts[other][c]]
        if differing:
            raise row_error(
                row,
                fact["image_id"],
                Phrase("rows.contradicts", differing=list(differing), other=other),
            )
    return [first[image_id] for image_id in sorted(first)]


def _concepts(given: Any) -> list[dict[str, str]] | None:
    """Write what was seen as pairs; a source has a mapping of them, pairs, or nothing."""
    if isinstance(given, Mapping):
        given = [{"concept": concept, "state": state} for concept, state in given.items()]
    return given or None


def _of(words: Mapping[str, str], text: str | None) -> str | None:
    """Return the house's word for a text, or the text where the house has none."""
    return None if text is None else words.get(fold(text), text)


def _join_spellings(facts: Sequence[Facts], column: str) -> None:
    """Give ids that spreadsheets spell differently one spelling: taken apart, they would leak."""
    spelled: dict[str, str] = {}
    other: tuple[str, str] | None = None
    for fact in facts:
        name = fact[column]
        if name is None:
            continue
        first = spelled.setdefault(_spelling(name), name)
        if first != name:
            fact[column], other = first, other or (first, name)
    if other is not None:
        warnings.warn(
            f"{column}s that differ in capitals, in zeros in front or in .0 behind alone, such as "
            f"{other[0]} and {other[1]}, are taken for one",
            stacklevel=4,
        )


def _spelling(name: str) -> str:
    """Drop what an id loses or gains on its way through a spreadsheet."""
    plain = unicodedata.normalize("NFC", name).casefold()
    return plain.removesuffix(".0").lstrip("0") if re.fullmatch(r"\d+(\.0)?", plain) else plain
