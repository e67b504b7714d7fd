"""Refusals: errors with a key and values, whose sentence is written in a file for each language.

The library raises ``Refused("images.too_small", name=name, width=width)``. The sentences stand in
``languages/<code>.toml``, in a table ``refusals.<module>`` for each module, with the values in
``{braces}``. ``str`` of a refusal is its English sentence; `say` puts it into another language, and
what it quotes, too: a value that is a refusal itself, or a `Phrase`. Programs and tests compare
keys, never sentences.

Besides what `str.format` knows, a value with several parts may be written as ``{names:list}`` (a,
b), ``{names:quoted}`` ('a', 'b'), ``{names:and}`` (a and b), ``{names:or}`` (a or b) or
``{names:clauses}`` (a; b); without any part it is "none".
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from dermsim.core.language import ENGLISH, texts, written


class Keyed:
    """What is said by a key and values.

    Attributes:
        key: ``table.name``, as in the tables ``refusals.<table>`` of ``languages/en.toml``.
        values: What stands in the sentence's ``{braces}``: numbers and names, no sentences, unless
            they have a key themselves.
    """

    key: str
    values: dict[str, Any]

    def __str__(self) -> str:
        return say(self)

    def _take(self, key: str, values: Mapping[str, Any]) -> None:
        # an error of somebody else says the same in every language, and would keep its frames alive
        self.key, self.values = key, dict(values)
        for name, value in values.items():
            if isinstance(value, BaseException) and not isinstance(value, Keyed):
                self.values[name] = " ".join(str(value).split())  # some come in lines


class Phrase(Keyed):
    """A part of a sentence that is put into words like a sentence."""

    def __init__(self, key: str, /, **values: object) -> None:
        self._take(key, values)

    def __repr__(self) -> str:
        return f"Phrase({self.key!r}, {self.values!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phrase) and self.key == other.key and self.values == other.values

    __hash__ = None  # type: ignore[assignment]


class _Refusal(Keyed, Exception):  # noqa: N818  (the built-in types below end its name)
    def __init__(self, key: str, /, **values: object) -> None:
        super().__init__(key)
        self._take(key, values)


class Refused(_Refusal, ValueError):  # noqa: N818  (the one that is raised most)
    """What was given cannot be used."""


class RefusedOSError(_Refusal, OSError):
    """A file or a connection does not do what it must."""


class RefusedFileNotFoundError(_Refusal, FileNotFoundError):
    """There is no such file or folder."""


class RefusedFileExistsError(_Refusal, FileExistsError):
    """Something is there already."""


class RefusedIsADirectoryError(_Refusal, IsADirectoryError):
    """There is a folder where a file must be."""


class RefusedNotADirectoryError(_Refusal, NotADirectoryError):
    """There is a file where a folder must be."""


class RefusedPermissionError(_Refusal, PermissionError):
    """Somebody may not do this."""


class RefusedConnectionError(_Refusal, ConnectionError):
    """Somebody else's server does not answer as it must."""


class RefusedTimeoutError(_Refusal, TimeoutError):
    """It would take too long."""


class RefusedTypeError(_Refusal, TypeError):
    """What was given is of another type."""


class RefusedRuntimeError(_Refusal, RuntimeError):
    """It cannot be done now."""


class RefusedImportError(_Refusal, ImportError):
    """A package is not installed."""


class RefusedIndexError(_Refusal, IndexError):
    """There are not as many."""


def renamed(said: Keyed, **values: object) -> Keyed:
    """Return a refusal or a phrase that says the same of something else.

    Args:
        said: It stays as it is.
        **values: In place of those that it has; others are left out.
    """
    known = {name: value for name, value in values.items() if name in said.values}
    return type(said)(said.key, **{**said.values, **known})  # type: ignore[call-arg]


def say(said: BaseException | Keyed | str, language: str = ENGLISH) -> str:
    """Return what an error or a phrase says.

    Args:
        said: What has no key says the same in every language.
        language: One of `dermsim.core.language.LANGUAGES`. What has no sentence in it is said in
            English.
    """
    if not isinstance(said, Keyed):
        return str(said)
    template = sentences(language).get(said.key)
    if template is None:  # torch makes a worker's error anew, with its traceback for a key
        return said.key
    return _Format(language).vformat(template, (), said.values)


def sentences(language: str) -> Mapping[str, str]:
    """Return every sentence of a language by its key; English where it has none."""
    return texts(language, "refusals")


class _Format(string.Formatter):
    """`str.format` in a language: its numbers, its words between the parts of a list."""

    def __init__(self, language: str) -> None:
        self.language = language

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec in ("list", "and", "or", "quoted", "clauses"):
            between = "; " if format_spec == "clauses" else ", "
            if format_spec in ("and", "or"):
                between = f" {sentences(self.language)[f'words.{format_spec}']} "
            parts = map(repr, value) if format_spec == "quoted" else map(self._said, value)
            return between.join(parts) or sentences(self.language)["words.none"]
        if isinstance(value, Keyed):
            return format(say(value, self.language), format_spec)
        text: str = format(value, format_spec)
        return written(text, self.language) if format_spec and text[-1:].isdigit() else text

    def _said(self, part: object) -> str:
        return say(part, self.language) if isinstance(part, Keyed) else str(part)
