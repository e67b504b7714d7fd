"""The words that pictures are compared with: templates, names and their synonyms, from TOML."""

from __future__ import annotations

import functools
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from dermsim.core.refused import Refused, RefusedFileNotFoundError

MOST = 64
"""Names that pictures are compared with at once, and templates of each."""

LONGEST = 2000
"""Characters of a text; no encoder reads more than a few hundred."""

SLOT = "{}"
"""Where a template has the name."""


@dataclass(frozen=True)
class Wording:
    """What is asked.

    Attributes:
        templates: Sentences, each with one `SLOT`.
        names: The synonyms of each name; at least one of each.
    """

    templates: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        for what, count in (("names", len(self.names)), ("templates", len(self.templates))):
            if not 1 <= count <= MOST:
                raise Refused("prompts.count", what=what, count=count, most=MOST)
        for template in self.templates:
            if template.count(SLOT) != 1:
                raise Refused("prompts.template", template=template, slot=SLOT)
        seen: dict[str, str] = {}
        for name, synonyms in self.names.items():
            if not synonyms:
                raise Refused("prompts.no_words", name=name)
            for synonym in synonyms:
                check_text(synonym)
                key = " ".join(synonym.casefold().split())
                if seen.setdefault(key, name) != name:
                    raise Refused("prompts.twice", text=synonym, names=[seen[key], name])

    def texts(self) -> list[str]:
        """Return every sentence, name by name, synonym by synonym, template by template."""
        return [
            template.replace(SLOT, synonym)
            for synonyms in self.names.values()
            for synonym in synonyms
            for template in self.templates
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return templates and names as plain values."""
        return {
            "templates": list(self.templates),
            "names": {name: list(synonyms) for name, synonyms in self.names.items()},
        }

    @classmethod
    def of(cls, values: object, *, name: str) -> Wording:
        """Read what `to_dict` returned, or a file of one's own holds.

        Args:
            values: With ``names``, and ``templates`` unless the project's own are meant.
            name: Where they are from.

        Raises:
            ValueError: If they are something else.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("names"), Mapping):
            raise Refused("prompts.no_names", name=name)
        if extra := sorted(set(values) - {"names", "templates", "negations"}):
            raise Refused("prompts.key", name=name, key=extra[0])
        templates = values.get("templates", _own()["templates"])
        names = {
            key: [words] if isinstance(words, str) else words
            for key, words in values["names"].items()
        }
        for words in (templates, *names.values()):
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise Refused("prompts.no_list", name=name)
        return cls(tuple(templates), {key: tuple(words) for key, words in names.items()})


def own_wording(texts: Sequence[str] | None = None) -> Wording:
    """Return the project's own templates, with its names of the seven diagnoses or other texts.

    Args:
        texts: In place of those names; each is its own only synonym.

    Raises:
        ValueError: If a text is empty, or two are the same.
    """
    own = Wording.of(_own(), name="prompts.toml")
    if texts is None:
        return own
    folded = [" ".join(text.casefold().split()) for text in texts]
    for place, text in enumerate(folded):
        if text in folded[:place]:
            raise Refused("prompts.twice", text=texts[place], names=[texts[place], texts[place]])
    return Wording(own.templates, {text: (text,) for text in texts})


def read_wording(path: Path) -> Wording:
    """Read templates and names from a TOML file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no TOML, or holds something else.
    """
    if not path.is_file():
        raise RefusedFileNotFoundError("storage.no_file", source=path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refused("prompts.no_toml", name=path.name, error=error) from error
    return Wording.of(values, name=path.name)


def check_text(text: str) -> None:
    """Refuse a text that says nothing, or holds what no text does.

    Raises:
        ValueError: If it is blank, far too long, or has control characters.
    """
    if not text.strip():
        raise Refused("prompts.empty")
    if len(text) > LONGEST:
        raise Refused("prompts.too_long", count=len(text), longest=LONGEST)
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") for letter in text):
        raise Refused("prompts.control", text=text.encode("ascii", "backslashreplace").decode())


def negated(text: str) -> bool:
    """Say whether a text has a word that says something is not there."""
    letters = [letter if letter.isalpha() else " " for letter in text.casefold()]
    return not set(_own()["negations"]).isdisjoint("".join(letters).split())


@functools.cache
def _own() -> dict[str, Any]:
    text = files("dermsim.tasks.prompt").joinpath("prompts.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
