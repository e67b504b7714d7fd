"""Every refusal has a sentence in every language, and is raised with what the sentence speaks of."""

import ast
import copy
import pickle
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import dermsim
from dermsim.core.refused import (
    ENGLISH,
    LANGUAGES,
    Phrase,
    Refused,
    RefusedFileNotFoundError,
    RefusedOSError,
    renamed,
    say,
    sentences,
)

PACKAGE = Path(dermsim.__file__).parent
MAKERS = ("Phrase", "Refused", "UnreadableError", "DamagedError", "Overloaded", "BusyError")
LISTS = ("list", "and", "or", "quoted", "clauses")


def placeholders(sentence: str) -> dict[str, str]:
    return {name: spec or "" for _, name, spec, _ in string.Formatter().parse(sentence) if name}


def calls() -> Iterator[tuple[str, str, set[str] | None]]:
    """Yield where a refusal is made, its key and what it is given; None if that is spread out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            name = node.func.id.strip("_")
            key = node.args[0]
            made = name.startswith("Refused") or name in MAKERS or name.endswith("RefusedError")
            if made and isinstance(key, ast.Constant) and isinstance(key.value, str):
                given = [word.arg for word in node.keywords]
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield where, key.value, None if None in given else set(given)


def test_every_refusal_has_a_sentence_and_what_it_speaks_of():
    wrong = []
    for where, key, given in calls():
        if key not in sentences(ENGLISH):
            wrong.append(f"{where}: {key} has no sentence")
        elif given is not None and given != (asked := set(placeholders(sentences(ENGLISH)[key]))):
            wrong.append(f"{where}: {key} is given {sorted(given)} and asks for {sorted(asked)}")
    assert wrong == []


def test_every_sentence_is_said_somewhere():
    """By its key in the sources, or by one that is put together there."""
    sources = "\n".join(p.read_text(encoding="utf-8") for p in sorted(PACKAGE.rglob("*.py")))
    built = ("words.", "foreign.", "foreign_tables.", "pixels.", "config.", "delimited.")
    unsaid = [
        key for key in sentences(ENGLISH) if f'"{key}"' not in sources and not key.startswith(built)
    ]
    assert unsaid == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_with_the_same_values(language):
    own, english = sentences(language), sentences(ENGLISH)
    missing = sorted(set(english) - set(own))
    assert missing == []
    assert sorted(set(own) - set(english)) == []
    differing = [k for k in english if placeholders(own[k]) != placeholders(english[k])]
    assert differing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_can_be_said(language):
    for key, sentence in sentences(language).items():
        values = {}
        for name, spec in placeholders(sentence).items():
            values[name] = ["a", "b"] if spec in LISTS else 3 if spec else f"<{name}>"
        said = say(Phrase(key, **values), language)
        assert said.strip(), key
        for name, spec in placeholders(sentence).items():
            if not spec:
                assert f"<{name}>" in said, key
