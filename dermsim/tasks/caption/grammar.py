"""Between facts and sentences, both ways: what is written is parsed back to the same facts.

The sentences are those of ``describe`` in the files of `dermsim.core.language`. A slot is filled
from a closed list of words or with a whole number, so that parsing needs no guess: a sentence that
the grammar did not write is refused.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dermsim.core.concept_schema import Schema
from dermsim.core.labels import LABELS
from dermsim.core.language import LANGUAGES, words
from dermsim.core.refused import Refused
from dermsim.tasks.caption.facts import (
    ASYMMETRY,
    BORDER,
    COLOURS,
    DISAGREEMENT,
    Fact,
)

_NUMBERS = ("probability", "threshold", "count")


@dataclass(frozen=True)
class Grammar:
    """The sentences of one language.

    Attributes:
        language: One of `LANGUAGES`.
        sentences: By name, with slots in braces.
        slots: By slot the phrase of each word that may stand there.
        conjunction: Between the last two of a list.
        colours: The names of the colours, in the order in which they are listed.
    """

    language: str
    sentences: Mapping[str, str]
    slots: Mapping[str, Mapping[str, str]]
    conjunction: str
    colours: tuple[str, ...]

    @classmethod
    def of(cls, schema: Schema, language: str) -> Grammar:
        """Make the grammar of a language for a list of concepts.

        Raises:
            ValueError: If the language is none of the house's, or a list is needed of two words
                that look alike.
        """
        if language not in LANGUAGES:
            raise Refused("grammar.language", language=language, languages=LANGUAGES)
        texts = words(language, "describe")
        said = {concept.name: concept.names[language] for concept in schema.values()}
        colours = tuple(concept.name for concept in schema.values() if concept.kind == "colour")
        return cls(
            language,
            texts["sentences"],
            {
                "concept": said,
                "place": texts["places"],
                "label": {label.code: label.named(language) for label in LABELS},
            },
            texts["words"]["and"],
            colours,
        )

    def write(self, fact: Fact) -> str:
        """Return the sentence that says a fact.

        Raises:
            ValueError: If it names a concept, place or label that there is no word for.
        """
        name, values = _slots_of(fact)
        filled = {slot: self._phrase(slot, value) for slot, value in values.items()}
        return self.sentences[name].format(**filled)

    def parse(self, sentence: str) -> Fact:
        """Return the fact that a sentence says.

        Raises:
            ValueError: If the grammar does not write such a sentence.
        """
        for name, pattern in self._patterns.items():
            if match := pattern.fullmatch(sentence):
                return self._fact(name, match.groupdict())
        raise Refused("grammar.not_a_sentence", sentence=sentence)

    def write_all(self, facts: Sequence[Fact]) -> str:
        """Return the sentences of several facts, in their order."""
        return " ".join(self.write(fact) for fact in facts)

    def parse_all(self, text: str) -> list[Fact]:
        """Return the facts of a text, in its order.

        Raises:
            ValueError: If a part of it is none of the grammar's sentences.
        """
        facts, rest = [], text.strip()
        while rest:
            for name, pattern in self._patterns.items():
                if match := pattern.match(rest):
                    facts.append(self._fact(name, match.groupdict()))
                    rest = rest[match.end() :].lstrip()
                    break
            else:
                raise Refused("grammar.not_written", rest=rest[:80])
        return facts

    def _phrase(self, slot: str, value: Any) -> str:
        if slot in _NUMBERS:
            return str(value)
        if slot == "colours":
            words = [self._phrase("concept", name) for name in value]
            head, last = words[:-1], words[-1]
            return f"{', '.join(head)} {self.conjunction} {last}" if head else last
        if value not in self.slots[slot]:
            raise Refused("grammar.no_phrase", language=self.language, slot=slot, value=value)
        return self.slots[slot][value]

    @functools.cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {name: re.compile(self._pattern(text)) for name, text in self.sentences.items()}

    def _pattern(self, text: str) -> str:
        parts = []
        for fixed, slot, _, _ in string.Formatter().parse(text):
            parts.append(re.escape(fixed))
            if slot in _NUMBERS:
                parts.append(f"(?P<{slot}>0|[1-9][0-9]?|100)")
            elif slot == "colours":
                one = self._any_of(self.slots["concept"][name] for name in self.colours)
                parts.append(f"(?P<{slot}>{one}(?:, {one})*(?: {self.conjunction} {one})?)")
            elif slot:
                parts.append(f"(?P<{slot}>{self._any_of(self.slots[slot].values())})")
        return "".join(parts)

    @staticmethod
    def _any_of(phrases: Any) -> str:
        # the longest first, because one may begin with another
        ordered = sorted(phrases, key=len, reverse=True)
        return f"(?:{'|'.join(map(re.escape, ordered))})"

    def _word(self, slot: str, phrase: str) -> str:
        return next(word for word, own in self.slots[slot].items() if own == phrase)

    def _fact(self, name: str, found: Mapping[str, str]) -> Fact:
        """Make a fact of what stood in the slots of a sentence."""
        if name == "disagreement":
            return Fact(DISAGREEMENT, self._word("label", found["label"]))
        if name == "no_colours":
            return Fact(COLOURS, "0")
        if name == "colours":
            phrases = re.split(rf", | {self.conjunction} ", found["colours"])
            names = tuple(self._word("concept", phrase) for phrase in phrases)
            return Fact(COLOURS, found["count"], names=names)
        if name in ("asymmetry", "border"):
            return Fact(ASYMMETRY if name == "asymmetry" else BORDER, found["count"])
        return Fact(
            self._word("concept", found["concept"]),
            "absent" if name == "absent" else "present",
            int(found["probability"]),
            int(found["threshold"]),
            self._word("place", found["place"]) if name == "present_at" else None,
        )


def _slots_of(fact: Fact) -> tuple[str, dict[str, Any]]:
    """Return the name of the sentence that says a fact, and what fills its slots."""
    if fact.concept == DISAGREEMENT:
        return "disagreement", {"label": fact.state}
    if fact.concept == COLOURS:
        if not fact.names:
            return "no_colours", {}
        return "colours", {"count": fact.state, "colours": fact.names}
    if fact.concept in (ASYMMETRY, BORDER):
        return ("asymmetry" if fact.concept == ASYMMETRY else "border"), {"count": fact.state}
    values = {
        "concept": fact.concept,
        "probability": fact.probability,
        "threshold": fact.threshold,
    }
    if fact.state == "absent":
        return "absent", values
    if fact.place is None:
        return "present", values
    return "present_at", {**values, "place": fact.place}
