"""The list of concepts, and how data sets label them."""

from datasets import Dataset
from refusals import refuses

from dermsim.core.concept_schema import KINDS
from dermsim.core.language import LANGUAGES
from dermsim.data.concepts import concept_labels, load_schema, source_of
from dermsim.data.sources import derm7pt, isic2018_attributes, ph2, skincon
from dermsim.data.sources.registry import ADAPTERS


def rows(*states, source="derm7pt"):
    concepts = [[{"concept": c, "state": s} for c, s in row.items()] for row in states]
    return Dataset.from_dict({"concepts": concepts, "source": [source] * len(states)})


def test_the_list_has_about_sixty_entries_of_every_kind():
    found = load_schema()
    assert 55 <= len(found) <= 80
    assert {concept.kind for concept in found.values()} == set(KINDS)


def test_every_concept_has_a_definition_of_its_own_in_every_language():
    for language in LANGUAGES:
        told = [concept.definitions[language] for concept in load_schema().values()]
        assert all(text.endswith(".") and len(text) > 20 for text in told)
        assert len(set(told)) == len(told)


def test_the_checklist_has_seven_criteria_and_ten_points():
    points = sorted(concept.points for concept in load_schema().checklist)
    assert points == [1, 1, 1, 1, 2, 2, 2]


def test_labels_are_in_the_words_of_the_adapters():
    words = {
        "isic2018_attributes": dict.fromkeys(isic2018_attributes.CONCEPTS, ("present", "absent")),
        "derm7pt": derm7pt.CRITERIA,
        "ph2": {name: tuple(own.values()) for name, (_, own) in ph2.STRUCTURES.items()}
        | dict.fromkeys(map(str.lower, ph2.COLOURS), ("present", "absent")),
        "skincon": dict.fromkeys(skincon.CONCEPTS, ("present", "absent")),
    }
    assert set(words) <= {adapter.name for adapter in ADAPTERS}
    for concept in load_schema().values():
        for source, labelling in concept.labels.items():
            assert labelling.positive < set(words[source][labelling.criterion]), concept.name


def test_labels_are_read_from_rows():
    schema = load_schema()
    concepts = [schema["pigment_network"], schema["typical_network"], schema["streaks"]]
    data = rows(
        {"pigment_network": "typical", "streaks": "absent"},
        {"pigment_network": "absent"},
        {},
    )
    assert concept_labels(data, concepts, source="derm7pt").tolist() == [
        [1, 1, 0],
        [0, 0, -1],
        [-1, -1, -1],
    ]


def test_rows_of_one_data_set_only():
    assert source_of(rows({})) == "derm7pt"
    mixed = Dataset.from_dict({"source": ["ph2", "derm7pt"]})
    with refuses("data_concepts.several_sources", count=2):
        source_of(mixed)
    with refuses("data_concepts.no_source"):
        source_of(Dataset.from_dict({"image_id": ["a"]}))
