"""Texts in every language, and which language a visitor reads."""

from __future__ import annotations

import pytest
from refusals import refuses

from dermsim.ui import i18n


def test_a_text_is_given_in_each_language_with_its_values():
    assert i18n.say("masthead.past_cases", "en", count="7,511") == "7,511 past cases"
    assert i18n.say("masthead.past_cases", "es", count="7.511") == "7.511 casos anteriores"


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("es-MX", "es"),
        ("es", "es"),
        ("en-GB,en;q=0.9,es;q=0.8", "en"),
        ("ca-ES,es;q=0.7,en;q=0.3", "es"),
        ("nl", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_page_follows_the_browser(tag, language):
    assert i18n.language_of(tag) == language


@pytest.mark.parametrize(
    ("value", "spec", "english", "spanish"),
    [
        (7511, ",", "7,511", "7.511"),
        (0.125, ".2f", "0.12", "0,12"),
        (1234567.5, ",.1f", "1,234,567.5", "1.234.567,5"),
        (12, ",", "12", "12"),
    ],
)
def test_a_number_is_written_as_its_language_does(value, spec, english, spanish):
    assert i18n.number(value, spec) == english
    assert i18n.number(value, spec, "es") == spanish


def test_a_text_is_found_by_its_english_wording():
    assert i18n.phrases()["Your picture"] in ("wiring.picture", "atlas.star")
    assert not any(key.startswith("errors.") for key in i18n.phrases().values())
    assert "{count} past cases" not in i18n.phrases()


def test_texts_that_differ_in_one_language_only_are_refused(monkeypatch):
    said = {"en": {"a.b": "Save", "a.c": "Save"}, "es": {"a.b": "Guardar", "a.c": "Salvar"}}
    monkeypatch.setattr(i18n, "LANGUAGES", tuple(said))
    monkeypatch.setattr(i18n, "translations", lambda: said)
    with refuses("i18n.two_translations", first="a.b", key="a.c"):
        i18n.phrases()


def test_the_texts_that_stand_in_the_code_too_are_the_same():
    from dermsim.core.explain_methods import METHODS
    from dermsim.core.labels import DISCLAIMER
    from dermsim.ui.cards import WORDS

    english = i18n.translations()["en"]
    assert english["page.disclaimer"] == DISCLAIMER
    assert {m.name: m.sentence for m in METHODS.values()} == {
        name: english[f"methods.{name}"] for name in METHODS
    }
    for fact, values in WORDS.items():
        assert all(f"facts.{fact}_{value.replace(' ', '_')}" in english for value in values)
