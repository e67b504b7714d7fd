"""Languages: each file has every text of the English one, with the same values and tags."""

import re
import string
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import dermsim
from dermsim.core import language as language_module
from dermsim.core.language import ENGLISH, LANGUAGES, texts, words, written

FOLDER = Path(dermsim.__file__).parent / "core" / "languages"
PARTS = ("diagnoses", "page", "describe", "concepts", "refusals")


def flat(tables, at=()):
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from flat(value, (*at, name))
        else:
            yield ".".join((*at, name)), value


def read(language):
    return dict(flat(tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))))


def values(text):
    return {(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name is not None}


def tags(text):
    return Counter(re.findall(r"</?\w+", text))


others = pytest.mark.parametrize("language", [code for code in LANGUAGES if code != ENGLISH])


def test_english_is_first_and_a_language_is_a_file():
    assert LANGUAGES[0] == ENGLISH
    assert sorted(LANGUAGES) == sorted(path.stem for path in FOLDER.glob("*.toml"))


@others
def test_nothing_is_missing(language):
    assert sorted(read(ENGLISH).keys() - read(language).keys()) == []


@others
def test_nothing_is_said_that_english_does_not_say(language):
    assert sorted(read(language).keys() - read(ENGLISH).keys()) == []


@others
def test_each_text_has_the_values_and_tags_of_the_english_one(language):
    english, own = read(ENGLISH), read(language)
    other = [k for k in english if values(own.get(k, "")) != values(english[k])]
    other += [k for k in english if tags(own.get(k, "")) != tags(english[k])]
    assert other == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty(language):
    assert [key for key, text in read(language).items() if not text] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_parts_read_by_themselves_are_the_whole(language):
    whole = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    assert whole.keys() == {"language", *PARTS}
    assert {part: words(language, part) for part in whole} == whole


def test_what_a_file_lacks_is_said_in_english(tmp_path, monkeypatch):
    (tmp_path / "en.toml").write_text('[page.a]\nb = "One"\nc = "Two"\n', encoding="utf-8")
    (tmp_path / "xx.toml").write_text('[page.a]\nc = "Zwo"\n', encoding="utf-8")
    monkeypatch.setattr(language_module, "_folder", lambda: tmp_path)
    for cached in (words, texts):
        cached.cache_clear()
    try:
        assert texts("xx", "page") == {"a.b": "One", "a.c": "Zwo"}
        assert texts("en", "page") == {"a.b": "One", "a.c": "Two"}
    finally:
        for cached in (words, texts):
            cached.cache_clear()


def test_a_number_has_the_marks_of_its_language():
    assert written("1,234,567.5", "en") == "1,234,567.5"
    assert written("1,234,567.5", "es") == "1.234.567,5"
    assert written("1,234,567.5", "fr") == "1\u202f234\u202f567,5"
