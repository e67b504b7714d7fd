"""What the page says, in each of its languages.

The texts lie in ``texts/<topic>.toml``, a table for each text with both languages side by side, so
that a missing translation is seen where the text is written. A key is ``topic.name``.

What a visitor reads comes from three places. A function of `dermsim.ui` takes a keyword
``language`` and asks `say`. A component is built in English with `say`; on the way to a visitor's
browser its texts are found among the `phrases` and translated there. A refusal of the library is
put into the visitor's language by `dermsim.core.refused.say`.
"""

from __future__ import annotations

import functools
import string
import tomllib
from importlib.resources import files

from dermsim.core.refused import Refused

LANGUAGES = ("en", "es")
"""BCP 47 codes; the first is what a visitor of any other language reads."""

_COMMAS = str.maketrans(",.", ".,")


def say(key: str, language: str = LANGUAGES[0], /, **values: object) -> str:
    """Return a text in a language.

    Args:
        key: ``topic.name``, as in ``texts/<topic>.toml``.
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
    text = format(value, spec)
    return text.translate(_COMMAS) if language == "es" else text


def phrases() -> dict[str, str]:
    """Return the key of every text without values by its English wording.

    Raises:
        ValueError: One English wording is translated in two ways; a mistake of the texts.
    """
    texts = translations()
    found: dict[str, str] = {}
    for key, english in texts[LANGUAGES[0]].items():
        if _values(english):
            continue
        first = found.setdefault(english, key)
        if any(texts[language][first] != texts[language][key] for language in LANGUAGES):
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
def translations() -> dict[str, dict[str, str]]:
    """Return every text by language and key; a text that lacks a language or value is refused."""
    found: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for file in sorted(files("dermsim.ui").joinpath("texts").iterdir(), key=lambda f: f.name):
        topic = file.name.removesuffix(".toml")
        for name, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
            key = f"{topic}.{name}"
            if set(texts) != set(LANGUAGES):
                raise Refused("i18n.lacks_language", key=key, languages=LANGUAGES)
            if len({_values(text) for text in texts.values()}) > 1:
                raise Refused("i18n.other_values", key=key)
            for language, text in texts.items():
                found[language][key] = text
    return found


def _values(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)
