"""What a concept is, as the file says it."""

import pytest
from refusals import refuses

from dermsim.core.concept_schema import Concept, Labelling, Schema
from dermsim.core.refused import Phrase

ENTRY = {
    "kind": "structure",
    "polarity": "neither",
    "synonyms": ["shamrock"],
}

SAID = {
    "en": {"clover": {"name": "clover", "definition": "Three leaves."}},
    "es": {"clover": {"name": "trébol", "definition": "Tres hojas."}},
}


DAISY = {
    "en": {"daisy": {"name": "daisy", "definition": "Many leaves."}},
    "es": {"daisy": {"name": "margarita", "definition": "Muchas hojas."}},
}


def schema(clover, daisy, *, said=DAISY) -> Schema:
    entries = {"clover": {**ENTRY, **clover}, "daisy": {**ENTRY, **daisy}}
    return Schema.parse(entries, {code: SAID[code] | said[code] for code in SAID})


def test_labels_name_a_criterion_and_its_positive_states():
    found = Labelling.parse("pigment_network: typical | atypical")
    assert found == Labelling("pigment_network", frozenset({"typical", "atypical"}))


@pytest.mark.parametrize("text", ["", "network", "network:", ": typical", "network: |"])
def test_labels_without_a_part_are_refused(text):
    with refuses("concept_schema.labels"):
        Labelling.parse(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kind": "taste"},
            Phrase("concept_schema.choice", key="kind", name="clover", value="taste"),
        ),
        (
            {"polarity": "sour"},
            Phrase("concept_schema.choice", key="polarity", name="clover", value="sour"),
        ),
        ({"colour": "green"}, Phrase("concept_schema.unknown_key", unknown="colour")),
    ],
)
def test_an_entry_that_is_not_as_it_must_be_is_refused(change, message):
    with refuses(message):
        Concept.parse("clover", {**ENTRY, **change}, SAID)


def test_an_entry_must_have_an_english_name_and_definition():
    with refuses("concept_schema.lacks", name="clover", missing=["definition"]):
        Concept.parse("clover", ENTRY, {"en": {"clover": {"name": "clover"}}})
    with refuses("concept_schema.lacks", name="clover", missing=["definition", "name"]):
        Concept.parse("clover", ENTRY, {"en": {}})


def test_without_a_name_in_a_language_it_has_the_english_one():
    found = Concept.parse("clover", ENTRY, SAID | {"xx": {}})
    assert found.names == {"en": "clover", "es": "trébol", "xx": "clover"}
    assert found.definitions["xx"] == "Three leaves."


def test_two_concepts_cannot_share_a_title():
    with refuses("concept_schema.same_name", other="clover", name="daisy", word="clover"):
        schema({}, {}, said=DAISY | {"en": {"daisy": SAID["en"]["clover"]}})


def test_a_concept_is_found_by_name_title_and_synonym():
    both = schema({}, {"synonyms": ["bellis"]})
    for word in ("daisy", "Margarita", "BELLIS"):
        assert both.find(word).name == "daisy"
    with refuses("concept_schema.no_concept", word="rose"):
        both.find("rose")


def test_a_synonym_of_two_concepts_is_refused():
    both = schema({}, {})
    with refuses("concept_schema.ambiguous", word="shamrock", several=["clover", "daisy"]):
        both.find("shamrock")
