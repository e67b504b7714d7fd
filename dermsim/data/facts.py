"""What is known of a patient, as numbers: the second input of an encoder that takes facts.

Three facts, in HAM10000's own words: age in years, sex, and where on the body the lesion is. Any of
them may be unknown, and a fact that is not known is all zeros, so that a row of zeros says nothing.
``dx_type``, how a diagnosis was confirmed, is never a fact: it is settled after the lesion was
judged (what is cut out was suspicious), and so gives the diagnosis away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vocabulary import BROAD_SITES, SEXES, SITES
from dermsim.data.tables import row_error

if TYPE_CHECKING:
    from datasets import Dataset

MAX_AGE = 120
"""The greatest age in years that is believed."""

_KNOTS = (0, 15, 30, 45, 60, 75, 90)

FACTS_COLUMNS = (
    *(f"age:{knot}" for knot in _KNOTS),
    *(f"sex:{sex}" for sex in SEXES),
    *(f"localization:{site}" for site in SITES),
)
"""What each column of `encode_facts` means; kept in the configuration of a model that takes facts.

A column of ``sex`` or ``localization`` is 1 where the fact is the one named. The columns of ``age``
are overlapping triangles: 1 at the age named, falling in straight lines to 0 at the ages of the
neighbouring columns, flat beyond the first and the last. They sum to 1 for every known age, and
what a linear layer makes of them is a line through one free point per column.
"""

FACTS_DIM = len(FACTS_COLUMNS)
"""F, the number of columns."""

FACTS_SLICES = {
    "age": slice(0, len(_KNOTS)),
    "sex": slice(len(_KNOTS), len(_KNOTS) + len(SEXES)),
    "localization": slice(len(_KNOTS) + len(SEXES), FACTS_DIM),
}
"""The columns of each fact. Zeros there make the encoder forget it, as training does at random."""


@dataclass(frozen=True)
class Facts:
    """What is known of one patient and lesion; None means not known.

    Attributes:
        age: Years, 0 to 120.
        sex: ``"female"`` or ``"male"``; HAM10000's ``"unknown"`` becomes None.
        localization: One of `SITES`; HAM10000's ``"unknown"`` becomes None.

    Raises:
        ValueError: If a value is none of these.

    Examples:
        >>> from dermsim import Facts
        >>> Facts(age=45, sex="unknown", localization="back")
        Facts(age=45.0, sex=None, localization='back')
        >>> Facts().known
        False
    """

    age: float | None = None
    sex: str | None = None
    localization: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, and write what is not known in one way."""
        object.__setattr__(self, "age", _checked_age(self.age))
        for name, allowed in (("sex", SEXES), ("localization", SITES)):
            object.__setattr__(self, name, _checked_word(name, getattr(self, name), allowed))

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return (self.age, self.sex, self.localization) != (None, None, None)


def _checked_age(age: object) -> float | None:
    if age is None:
        return None
    # bool is a number to Python; nan is in no range
    if not isinstance(age, Real) or isinstance(age, bool) or not 0 <= float(age) <= MAX_AGE:
        raise Refused("data_facts.age", age=age, max_age=MAX_AGE)
    return float(age)


def _checked_word(name: str, value: object, allowed: Sequence[str]) -> str | None:
    if value is None or value == "unknown":
        return None
    if value not in allowed:
        raise Refused("data_facts.choice", name=name, value=value, allowed=list(allowed))
    return str(value)


def encode_facts(
    facts: Sequence[Facts | None], *, columns: Sequence[str] = FACTS_COLUMNS
) -> npt.NDArray[np.float32]:
    """Turn facts into numbers.

    Args:
        facts: One per image; None where nothing is known.
        columns: What the columns mean, as in `FACTS_COLUMNS`. A trained model names its own in its
            configuration, so that it is read as it was trained whatever becomes of the default.

    Returns:
        ``(N, F)`` float32 in [0, 1], F the number of `columns`; a fact that is not known is zero in
        all of its columns.

    Raises:
        ValueError: If an element is no `Facts`, a column is not one that this version knows, or the
            ages of the columns do not ascend.
    """
    parsed = [_parse_column(column) for column in columns]
    knots = [float(value) for fact, value in parsed if fact == "age"]
    if knots != sorted(set(knots)):
        raise Refused("data_facts.knots", knots=knots)
    encoded = np.zeros((len(facts), len(parsed)), dtype=np.float32)
    for row, known in zip(encoded, facts, strict=True):
        if known is None:
            continue
        if not isinstance(known, Facts):
            raise Refused("data_facts.not_facts", known=known)
        for column, (fact, value) in enumerate(parsed):
            if fact != "age":
                row[column] = getattr(known, fact) == value
            elif known.age is not None:
                peak = [knot == float(value) for knot in knots]
                row[column] = np.interp(known.age, knots, peak)
    return encoded


def _parse_column(column: str) -> tuple[str, str]:
    fact, _, value = column.partition(":")
    if value in {"sex": SEXES, "localization": SITES}.get(fact, ()):
        return fact, value
    if fact == "age" and _is_number(value):
        return fact, value
    raise Refused("data_facts.column", column=column)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def facts_of(dataset: Dataset) -> list[Facts]:
    """Return the facts of every row.

    Args:
        dataset: Rows of the `load_ham10000` schema. Only ``age``, ``sex`` and ``localization`` are
            read; what is None or ``"unknown"`` there is not known, and neither is a site that is
            several of `SITES`, such as ``"head/neck"``.

    Raises:
        ValueError: If a value is none of those that `Facts` allows; the message names the row.
    """
    names = ("age", "sex", "localization", "image_id")
    found = []
    for row, (age, sex, localization, image_id) in enumerate(
        zip(*(dataset[name] for name in names), strict=True)
    ):
        try:
            found.append(Facts(age, sex, None if localization in BROAD_SITES else localization))
        except ValueError as error:
            raise row_error(row, image_id, error) from error
    return found
