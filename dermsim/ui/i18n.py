"""What the page says, in each of its languages.

The texts are the tables ``page.<topic>`` in the files of `dermsim.core.language`. A key is
``topic.name``.

What a visitor reads comes from three places. A function of `dermsim.ui` takes a keyword
``language`` and asks `say`. A component is built in English with `say`; on the way to a visitor's
browser its texts are found among the `phrases` and translated there. A refusal of the library is
put into the visitor's language by `dermsim.core.refused.say`.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping

from dermsim.core.language import LANGUAGES, texts, written
from dermsim.core.refused import Refused


def say(key: str, language: str = LANGUAGES[0], /, **values: object) -> str:
    """Return a text in a language.

    Args:
        key: ``topic.name``, as in the tables ``page.<topic>``.
        language: One of `LANGUAGES`.
        **values: What stands in the text's ``{braces}``, as `str.format` takes it.

    Raises:
        KeyError: There is no such text, language or value; a mistake of the program.
    """
    return translations()[language][key].format(**values)


def number(value: float, spec: str = ",", language: str = LANGUAGES[0]) -> str:
    """Return a number as a language writes it: 7,511.5 in English, 7.511,5 in Spanish.

    Args:
        value: The number.
        spec: How `format` is to write it.
        language: One of `LANGUAGES`.
    """
    return written(format(value, spec), language)


def phrases() -> dict[str, str]:
    """Return the key of every text without values by its English wording.

    Raises:
        ValueError: One English wording is translated in two ways; a mistake of the texts.
    """
    said = translations()
    found: dict[str, str] = {}
    for key, english in said[LANGUAGES[0]].items():
        if _values(english):
            continue
        first = found.setdefault(english, key)
        if any(said[language][first] != said[language][key] for language in LANGUAGES):
            raise Refused("i18n.two_translations", first=first, key=key)
    return found


def language_of(tag: str | None) -> str:
    """Return the page's language for a browser's tag, such as ``es-MX``, or its header's list.

    Of several (RFC 9110, section 12.5.4), the first that the page speaks is taken: browsers list
    them by preference.
    """
    for part in (tag or "").split(","):
        code = part.split(";")[0].strip().split("-")[0].lower()
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]


@functools.cache
def translations() -> dict[str, Mapping[str, str]]:
    """Return every text by language and key."""
    return {language: texts(language, "page") for language in LANGUAGES}


def _values(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)
