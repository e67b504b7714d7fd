"""What is written is parsed back, and nothing else is taken for a sentence."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.data.concepts import load_schema
from dermsim.tasks.caption import (
    ASYMMETRY,
    BORDER,
    COLOURS,
    DISAGREEMENT,
    Fact,
    Grammar,
    disagrees,
    with_disagreement,
)
from dermsim.tasks.concepts.lesion import PLACE_NAMES

SCHEMA = load_schema()
GRAMMARS = {language: Grammar.of(SCHEMA, language) for language in LANGUAGES}
COUNTED = (ASYMMETRY, BORDER, COLOURS)


def every_fact():
    """Each combination once; numbers differ from fact to fact."""
    numbers = itertools.cycle(range(101))
    for concept in SCHEMA:
        if concept not in COUNTED:
            for place in (None, *PLACE_NAMES):
                yield Fact(concept, "present", next(numbers), next(numbers), place)
            yield Fact(concept, "absent", next(numbers), next(numbers))
    colours = GRAMMARS["en"].colours
    for count in range(len(colours) + 1):
        for names in itertools.combinations(colours, count):
            yield Fact(COLOURS, str(count), names=names)
    for concept, most in ((ASYMMETRY, 2), (BORDER, 8)):
        for count in range(most + 1):
            yield Fact(concept, str(count))
    for code in CODES:
        yield Fact(DISAGREEMENT, code)


FACTS = tuple(every_fact())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fact_is_parsed_back(language):
    grammar = GRAMMARS[language]
    assert len(FACTS) > 700
    for fact in FACTS:
        assert grammar.parse(grammar.write(fact)) == fact


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_facts_are_one_sentence(language):
    sentences = [GRAMMARS[language].write(fact) for fact in FACTS]
    assert len(set(sentences)) == len(sentences)


def test_languages_say_the_same_in_other_words():
    for fact in FACTS:
        said = {language: GRAMMARS[language].write(fact) for language in LANGUAGES}
        assert len(set(said.values())) == len(LANGUAGES)
        for language in said.keys() - {"en"}:
            with refuses("grammar.not_a_sentence"):
                GRAMMARS[language].parse(said["en"])


@given(st.lists(st.sampled_from(FACTS), max_size=8), st.sampled_from(LANGUAGES))
def test_whole_texts_are_parsed_back(facts, language):
    grammar = GRAMMARS[language]
    assert grammar.parse_all(grammar.write_all(facts)) == facts


@pytest.mark.parametrize(
    "text",
    [
        "The picture shows signs of melanoma (82 %, said from 61 %).",
        "The picture shows signs of streaks (101 %, said from 61 %).",
        "The picture shows signs of streaks (082 %, said from 61 %).",
        "The picture surely shows signs of streaks (82 %, said from 61 %).",
        "The lesion has 3 of the six dermoscopic colours: red and white.",
        "The lesion is asymmetric in 3 of two axes.",
        "",
    ],
)
def test_what_the_grammar_does_not_write_is_refused(text):
    with refuses(("grammar.not_a_sentence", "caption_facts.not_a_fact")):
        GRAMMARS["en"].parse(text)


def test_a_text_with_a_stranger_in_it_is_refused():
    text = GRAMMARS["en"].write(FACTS[0])
    with refuses("grammar.not_written", rest="Excise it."):
        GRAMMARS["en"].parse_all(f"{text} Excise it.")


def test_there_are_no_words_for_a_patient_or_a_treatment():
    said = " ".join(GRAMMARS[code].write(fact).lower() for code in LANGUAGES for fact in FACTS)
    forbidden = "years old|años|female|male |mujer|hombre|biops|excis|extirp|treat|tratamiento"
    forbidden += "|certain|surely|definite|seguro|sin duda|history|antecedente"
    assert not [word for word in forbidden.split("|") if word in said]


@pytest.mark.parametrize(
    "values",
    [
        ("streaks", "perhaps", 1, 1),
        ("streaks", "present"),
        ("streaks", "present", 101, 1),
        ("streaks", "absent", 1, 1, "left"),
        (ASYMMETRY, "3"),
        (ASYMMETRY, "1", 50, 50),
        (COLOURS, "2", None, None, None, ("color_red",)),
        (DISAGREEMENT, "mel", 50, 50),
    ],
)
def test_what_is_no_fact_is_refused(values):
    with refuses("caption_facts.not_a_fact"):
        Fact(*values)


def test_unknown_words_and_languages_are_refused():
    with refuses("grammar.no_phrase", language="en", slot="concept", value="clover"):
        GRAMMARS["en"].write(Fact("clover", "present", 1, 1))
    with refuses("grammar.language", language="xx"):
        Grammar.of(SCHEMA, "xx")


def present(name):
    return Fact(name, "present", 90, 80)


@pytest.mark.parametrize(
    ("facts", "label", "wrong"),
    [
        ([present("streaks")], "nv", True),
        ([present("streaks")], "mel", False),
        ([present("milia_like_cyst")], "mel", True),
        ([present("milia_like_cyst")], "bkl", False),
        ([present("milia_like_cyst"), present("streaks")], "mel", False),
        ([present("pigment_network")], "mel", False),
        ([Fact("streaks", "absent", 1, 2)], "mel", False),
        ([Fact(ASYMMETRY, "2")], "nv", False),
        ([], "mel", False),
    ],
)
def test_findings_and_label_that_do_not_agree_are_said_not_to(facts, label, wrong):
    assert disagrees(facts, label, SCHEMA) is wrong
    whole = with_disagreement(facts, label, SCHEMA)
    assert (whole[len(facts) :] == [Fact(DISAGREEMENT, label)]) is wrong
