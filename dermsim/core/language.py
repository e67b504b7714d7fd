"""Languages: every word that is said to a person lies in one file for each of them.

``languages/<code>.toml`` holds the names of diagnoses and concepts, the page, the sentences of
descriptions, and refusals. Another language is another file: nothing else names it. A text that a
file lacks is said in English, and the tests say which those are.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

ENGLISH = "en"
"""The language of programs, and of what has no text in another one."""


def _codes() -> tuple[str, ...]:
    found = {f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml")}
    return (ENGLISH, *sorted(found - {ENGLISH}))


def _folder() -> Any:
    return files("dermsim.core").joinpath("languages")


LANGUAGES = _codes()
"""BCP 47 codes; English is the first."""

if TYPE_CHECKING:
    Language = str
else:
    Language = Literal[LANGUAGES]  # what command line and REST offer
"""One of `LANGUAGES`."""


@functools.cache
def words(language: str, part: str) -> Mapping[str, Any]:
    """Return a part of a language's file, as tables within tables.

    Args:
        language: One of `LANGUAGES`.
        part: ``"language"``, ``"diagnoses"``, ``"page"``, ``"describe"``, ``"concepts"`` or
            ``"refusals"``.
    """
    import tomllib  # who says nothing need not load it

    text = _folder().joinpath(f"{language}.toml").read_text(encoding="utf-8")
    # only what is asked for is parsed: the whole would take a start of the page a quarter second
    tables = re.split(r"(?m)^(?=\[)", text)
    own = "".join(table for table in tables if re.match(rf"\[{part}[.\]]", table))
    found: Mapping[str, Any] = tomllib.loads(own).get(part, {})
    return found


@functools.cache
def texts(language: str, part: str) -> Mapping[str, str]:
    """Return the texts of a part by ``table.name``; in English where the language lacks one."""
    found = {} if language == ENGLISH else dict(texts(ENGLISH, part))
    for table, entries in words(language, part).items():
        found |= {f"{table}.{name}": text for name, text in entries.items()}
    return found


def written(number: str, language: str) -> str:
    """Write an English number as a language does: 7,511.5 becomes 7.511,5.

    Args:
        number: As `format` writes it.
        language: One of `LANGUAGES`.
    """
    marks = words(language, "language")
    return number.translate({ord(","): marks["thousands"], ord("."): marks["decimal"]})
