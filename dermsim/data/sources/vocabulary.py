"""Turns a source's words into the house's; a word that nobody decided about is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import TypeVar

from dermsim.core.refused import Phrase, Refused
from dermsim.core.vocabulary import is_missing
from dermsim.data.rows import known, parse_age
from dermsim.data.tables import Row, row_error

T = TypeVar("T")

_SHOWN = 5
_KNOWN_SHOWN = 12

SEXES: Mapping[str, str | None] = {
    "female": "female",
    "f": "female",
    "male": "male",
    "m": "male",
    "unknown": None,
}
"""How sources write a sex."""

ISIC_SITES: Mapping[str, str | None] = {
    "anterior torso": "trunk",
    "lateral torso": "trunk",
    "posterior torso": "back",
    "torso": "trunk",
    "lower extremity": "lower extremity",
    "upper extremity": "upper extremity",
    "palms/soles": "acral",
    "head/neck": None,  # HAM10000 tells ear, face, neck and scalp apart
    "oral/genital": None,  # a mouth is not what HAM10000 calls genital
}
"""The sites of the ISIC challenges in HAM10000's words; None where no single one of them fits."""

YES_NO: Mapping[str, bool] = {
    "1": True,
    "1.0": True,
    "true": True,
    "yes": True,
    "0": False,
    "0.0": False,
    "false": False,
    "no": False,
}
"""How sources mark."""


def plain(text: str) -> str:
    """Drop case and superfluous blanks, in which copies of one table differ."""
    return " ".join(text.split()).casefold()


def translate(
    rows: Sequence[Row], column: str, words: Mapping[str, T], *, source: str, label: bool = False
) -> list[T | None]:
    """Translate a column, all of it or none.

    Args:
        rows: Of one table.
        column: The column; rows that lack it count as empty.
        words: Every word it may hold, and what it means.
        source: Title of the data set, for errors.
        label: Whether these are diagnoses, about which the user can decide.

    Returns:
        A meaning for each row; None where the cell is empty or says that nothing is known.

    Raises:
        ValueError: If there are words that are not known; the message names them all, up to five,
            with the first row.
    """
    known = {plain(word): meaning for word, meaning in words.items()}
    given = [row.get(column) for row in rows]
    keys = [_key(text, known) for text in given]
    unknown = Counter(
        text for text, key in zip(given, keys, strict=True) if key is not None and key not in known
    )
    if unknown:
        raise _unknown_words(source, column, unknown, given, list(words), label)
    return [None if key is None else known[key] for key in keys]


def _key(text: str | None, known: Container[str]) -> str | None:
    """Return a word as it is looked up; a word for nothing may be one of the source's own."""
    if text is None:
        return None
    key = plain(text)
    return key if key in known or not is_missing(text) else None


def _unknown_words(
    source: str,
    column: str,
    unknown: Counter[str | None],
    given: Sequence[str | None],
    words: Sequence[str],
    label: bool,
) -> Refused:
    more = len(unknown) - _SHOWN
    return Refused(
        "sources_vocabulary.unknown_labels" if label else "sources_vocabulary.unknown_words",
        source=source,
        shown=[
            Phrase("sources_vocabulary.word", word=word, count=count)
            for word, count in unknown.most_common(_SHOWN)
        ],
        more=Phrase("sources_vocabulary.more", count=more) if more > 0 else "",
        column=column,
        first=next(row for row, text in enumerate(given) if text in unknown),
        known=[*words[:_KNOWN_SHOWN], *(["..."] if len(words) > _KNOWN_SHOWN else [])],
    )


def marked(
    rows: Sequence[Row], columns: Sequence[str], *, source: str, key: str
) -> list[str | None]:
    """Read columns of which one is marked in each row.

    Args:
        rows: Of one table.
        columns: The classes.
        source: Title of the data set, for errors.
        key: The column that names a row.

    Returns:
        For each row the column that is marked.

    Raises:
        ValueError: If a cell is no mark, or a row does not mark exactly one class.
    """
    marks = {c: translate(rows, c, YES_NO, source=source) for c in columns}
    found: list[str | None] = []
    for number, row in enumerate(rows):
        chosen = [column for column in columns if marks[column][number]]
        if len(chosen) != 1:
            raise row_error(
                number,
                row.get(key),
                Phrase(
                    "sources_vocabulary.one_mark",
                    columns=list(columns),
                    chosen=chosen,
                ),
            )
        found.append(chosen[0])
    return found


def years(row: int, image_id: str | None, text: str | None) -> float | None:
    """Read an age.

    Args:
        row: For the error, as `image_id`.
        image_id: The picture.
        text: A number of years; None or a word for nothing where it is not known.

    Raises:
        ValueError: If it is no number of years from 0 to 120.
    """
    try:
        return parse_age(known(text))
    except ValueError as error:
        raise row_error(row, image_id, error) from error


def required(rows: Sequence[Row], column: str, *, source: str) -> list[str]:
    """Return a column that no row may leave empty.

    Raises:
        ValueError: If one does, or a value comes twice.
    """
    values: dict[str, int] = {}
    for number, row in enumerate(rows):
        value = row.get(column)
        if value is None:
            raise Refused("sources_vocabulary.no_key", source=source, number=number, column=column)
        if value in values:
            raise Refused(
                "sources_vocabulary.repeats",
                source=source,
                column=column,
                value=value,
                other=values[value],
                number=number,
            )
        values[value] = number
    return list(values)


def words_by_code(**words: str) -> dict[str, str]:
    """Write a vocabulary of diagnoses by what they are here.

    Args:
        words: By code, or `other`, the source's words, separated by semicolons.

    Returns:
        The code of each word.

    Raises:
        ValueError: If a word comes twice.
    """
    labels: dict[str, str] = {}
    for code, listed in words.items():
        for word in listed.split(";"):
            name = " ".join(word.split())
            if name in labels:
                raise Refused("sources_vocabulary.listed_twice", name=name)
            if name:
                labels[name] = code
    return labels
