"""What a concept is, as the file says it."""

import pytest
from refusals import refuses

from dermsim.core.concept_schema import Concept, Labelling, Schema
from dermsim.core.refused import Phrase

ENTRY = {
    "kind": "structure",
    "polarity": "neither",
    "en": "clover",
    "es": "trébol",
    "synonyms": ["shamrock"],
    "definition_en": "Three leaves.",
    "definition_es": "Tres hojas.",
}


def schema(**entries) -> Schema:
    return Schema.parse({name: {**ENTRY, **entry} for name, entry in entries.items()})


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
        Concept.parse("clover", {**ENTRY, **change})


def test_an_entry_must_be_in_every_language():
    with refuses("concept_schema.lacks", name="clover", missing=["definition_es"]):
        Concept.parse("clover", {k: v for k, v in ENTRY.items() if k != "definition_es"})


def test_two_concepts_cannot_share_a_title():
    with refuses("concept_schema.same_name", other="clover", name="daisy", word="clover"):
        schema(clover={}, daisy={"es": "margarita"})


def test_a_concept_is_found_by_name_title_and_synonym():
    both = schema(clover={}, daisy={"en": "daisy", "es": "margarita", "synonyms": ["bellis"]})
    for word in ("daisy", "Margarita", "BELLIS"):
        assert both.find(word).name == "daisy"
    with refuses("concept_schema.no_concept", word="rose"):
        both.find("rose")


def test_a_synonym_of_two_concepts_is_refused():
    both = schema(clover={}, daisy={"en": "daisy", "es": "margarita"})
    with refuses("concept_schema.ambiguous", word="shamrock", several=["clover", "daisy"]):
        both.find("shamrock")
