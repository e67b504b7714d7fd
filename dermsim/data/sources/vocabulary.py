"""Turns a source's words into the house's; a word that nobody decided about is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from dermsim.data.facts import MAX_AGE
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
        A meaning for each row; None where the cell is empty.

    Raises:
        ValueError: If there are words that are not known; the message names them all, up to five,
            with the first row.
    """
    known = {plain(word): meaning for word, meaning in words.items()}
    given = [row.get(column) for row in rows]
    keys = [None if text is None else plain(text) for text in given]
    unknown = Counter(
        text for text, key in zip(given, keys, strict=True) if key is not None and key not in known
    )
    if unknown:
        raise ValueError(_unknown_words(source, column, unknown, given, list(words), label))
    return [None if key is None else known[key] for key in keys]


def _unknown_words(
    source: str,
    column: str,
    unknown: Counter[str | None],
    given: Sequence[str | None],
    words: Sequence[str],
    label: bool,
) -> str:
    shown = ", ".join(f"{word!r} ({count:,} rows)" for word, count in unknown.most_common(_SHOWN))
    more = f" and {len(unknown) - _SHOWN} other words" if len(unknown) > _SHOWN else ""
    first = next(row for row, text in enumerate(given) if text in unknown)
    known = ", ".join(words[:_KNOWN_SHOWN]) + (", ..." if len(words) > _KNOWN_SHOWN else "")
    way_out = "say which of the seven diagnoses each is, or other" if label else "correct the table"
    return (
        f"{source} is not known to write {shown}{more} in the column {column} (first in row "
        f"{first}): known are {known}; {way_out}"
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
                f"one of {', '.join(columns)} must be marked 1, got {', '.join(chosen) or 'none'}",
            )
        found.append(chosen[0])
    return found


def years(row: int, image_id: str | None, text: str | None) -> float | None:
    """Read an age.

    Args:
        row: For the error, as `image_id`.
        image_id: The picture.
        text: A number of years; None or ``"unknown"`` where it is not known.

    Raises:
        ValueError: If it is no number of years from 0 to 120.
    """
    if text is None or plain(text) in ("unknown", "nan", "na"):
        return None
    try:
        age = float(text)
    except ValueError:
        age = -1.0
    if not 0 <= age <= MAX_AGE:
        raise row_error(
            row, image_id, f"age must be a number of years up to {MAX_AGE}, got {text!r}"
        )
    return age


def required(rows: Sequence[Row], column: str, *, source: str) -> list[str]:
    """Return a column that no row may leave empty.

    Raises:
        ValueError: If one does, or a value comes twice.
    """
    values: dict[str, int] = {}
    for number, row in enumerate(rows):
        value = row.get(column)
        if value is None:
            raise ValueError(f"{source}: row {number} has no {column}")
        if value in values:
            raise ValueError(
                f"{source}: {column} {value} comes in row {values[value]} and in row {number}, "
                "keep one"
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
                raise ValueError(f"{name!r} is listed twice")
            if name:
                labels[name] = code
    return labels
