"""Texts in every language, and which language a visitor reads."""

from __future__ import annotations

import pytest

from dermsim.ui import i18n


def test_a_text_is_given_in_each_language_with_its_values():
    assert i18n.say("masthead.past_cases", "en", count="7,511") == "7,511 past cases"
    assert i18n.say("masthead.past_cases", "es", count="7.511") == "7.511 casos anteriores"


def test_no_text_is_empty_or_the_same_key_twice():
    english, spanish = (i18n.translations()[language] for language in i18n.LANGUAGES)
    assert english.keys() == spanish.keys()
    assert all(text.strip() for text in [*english.values(), *spanish.values()])


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("es-MX", "es"),
        ("es", "es"),
        ("en-GB,en;q=0.9,es;q=0.8", "en"),
        ("ca-ES,es;q=0.7,en;q=0.3", "es"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_page_follows_the_browser(tag, language):
    assert i18n.language_of(tag) == language


def test_a_missing_translation_or_value_is_refused(tmp_path, monkeypatch):
    i18n.translations.cache_clear()
    monkeypatch.setattr(i18n, "files", lambda _: tmp_path)
    (tmp_path / "texts").mkdir()
    topic = tmp_path / "texts" / "a.toml"
    topic.write_text('[b]\nen = "One"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.b must be given in en and es"):
        i18n.translations()
    topic.write_text('[b]\nen = "{n} cases"\nes = "casos"\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.b does not name the same values"):
        i18n.translations()
    monkeypatch.undo()
    i18n.translations.cache_clear()
