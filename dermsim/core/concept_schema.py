"""What a concept is: a finding that dermatologists name, whatever computes it.

`dermsim.data.concepts` reads the list; heads, captions and protocols speak of its entries by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dermsim.core.language import ENGLISH
from dermsim.core.refused import Refused

KINDS = ("structure", "colour", "vessel", "shape", "artefact", "seven-point")
"""What a concept can be."""

POLARITIES = ("malignant", "benign", "neither")
"""Of which lesions a concept is more usual; ``neither`` for both, and for what is no finding."""

Said = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By language and name of a concept: ``{"name": ..., "definition": ...}``."""

STATES = ("present", "absent")
"""What can be said of a concept that is there or is not."""


@dataclass(frozen=True)
class Labelling:
    """How a data set labels a concept.

    Attributes:
        criterion: What the data set calls what it looked at.
        positive: The states of that criterion that mean that the concept is there.
    """

    criterion: str
    positive: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Labelling:
        """Read ``"criterion: state | state"``.

        Raises:
            ValueError: If a part is missing.
        """
        criterion, _, states = text.partition(":")
        positive = frozenset(word.strip() for word in states.split("|") if word.strip())
        if not criterion.strip() or not positive:
            raise Refused("concept_schema.labels", text=text)
        return cls(criterion.strip(), positive)


@dataclass(frozen=True)
class Concept:
    """One entry of the list.

    Attributes:
        name: The key, for example ``"pigment_network"``.
        kind: One of `KINDS`.
        polarity: One of `POLARITIES`.
        names: What it is called, by language.
        definitions: One sentence, by language.
        synonyms: Other words for it, in any language.
        labels: How data sets label it, by the name of their adapter.
        points: What the seven-point checklist gives it; 0 for what is not on the list.
        measured: Whether it is computed within the outline, without labels.
    """

    name: str
    kind: str
    polarity: str
    names: Mapping[str, str]
    definitions: Mapping[str, str]
    synonyms: tuple[str, ...]
    labels: Mapping[str, Labelling] = field(default_factory=lambda: MappingProxyType({}))
    points: int = 0
    measured: bool = False

    @classmethod
    def parse(cls, name: str, values: Mapping[str, Any], said: Said) -> Concept:
        """Check an entry of the file.

        Args:
            name: The key.
            values: The entry.
            said: By language the name and the definition of each concept.

        Raises:
            ValueError: If a key is unknown or missing, or a value is none of those it may be; or if
                the concept has no English name and definition.
        """
        needed = {"kind", "polarity", "synonyms"}
        english = said[ENGLISH].get(name, {})
        missing = {"name", "definition"} - english.keys() | needed - values.keys()
        if missing:
            raise Refused("concept_schema.lacks", name=name, missing=sorted(missing))
        if unknown := values.keys() - needed - {"labels", "points", "measured"}:
            raise Refused("concept_schema.unknown_key", name=name, unknown=min(unknown))
        for key, allowed in (("kind", KINDS), ("polarity", POLARITIES)):
            if values[key] not in allowed:
                raise Refused(
                    "concept_schema.choice",
                    key=key,
                    name=name,
                    value=values[key],
                    allowed=list(allowed),
                )
        return cls(
            name,
            values["kind"],
            values["polarity"],
            {code: texts.get(name, english)["name"] for code, texts in said.items()},
            {code: texts.get(name, english)["definition"] for code, texts in said.items()},
            tuple(values["synonyms"]),
            {source: Labelling.parse(text) for source, text in values.get("labels", {}).items()},
            int(values.get("points", 0)),
            bool(values.get("measured", False)),
        )

    def to_dict(self, language: str = ENGLISH) -> dict[str, object]:
        """Return what a reader is told of the concept, in a language."""
        return {
            "name": self.name,
            "title": self.names[language],
            "kind": self.kind,
            "polarity": self.polarity,
            "definition": self.definitions[language],
            "synonyms": list(self.synonyms),
        }


class Schema(Mapping[str, Concept]):
    """The concepts by name, in the order of the file."""

    def __init__(self, concepts: Mapping[str, Concept]) -> None:
        """Keep the concepts.

        Raises:
            ValueError: If two concepts share a word in one language, so that neither is meant.
        """
        self._concepts = dict(concepts)
        taken: dict[tuple[str, str], str] = {}
        for concept in self._concepts.values():
            for code, word in concept.names.items():
                other = taken.setdefault((code, word.casefold()), concept.name)
                if other != concept.name:
                    raise Refused(
                        "concept_schema.same_name", other=other, name=concept.name, word=word
                    )

    @classmethod
    def parse(cls, values: Mapping[str, Mapping[str, Any]], said: Said) -> Schema:
        """Check all entries of the file.

        Args:
            values: The entries by name.
            said: By language the name and the definition of each concept.

        Raises:
            ValueError: If one is not as it must be.
        """
        return cls({name: Concept.parse(name, entry, said) for name, entry in values.items()})

    def __getitem__(self, name: str) -> Concept:
        """Return a concept by its name."""
        return self._concepts[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._concepts)

    def __len__(self) -> int:
        """Return how many concepts there are."""
        return len(self._concepts)

    def find(self, word: str) -> Concept:
        """Look a concept up by its name, its title in any language, or a synonym.

        Raises:
            ValueError: If nothing, or more than one concept, is called so.
        """
        key = word.strip().replace("_", " ").casefold()
        named = [c for c in self.values() if key in _titles(c)]
        found = named or [c for c in self.values() if key in map(str.casefold, c.synonyms)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused("concept_schema.ambiguous", word=word, several=[c.name for c in found])
        near = sorted(name for name in self if key.split(" ")[-1] in name.replace("_", " "))
        if near:
            raise Refused("concept_schema.did_you_mean", word=word, near=near[:3])
        raise Refused("concept_schema.no_concept", word=word)

    def labelled_by(self, source: str) -> tuple[Concept, ...]:
        """Return the concepts that a data set labels, by the name of its adapter."""
        return tuple(concept for concept in self.values() if source in concept.labels)

    @property
    def checklist(self) -> tuple[Concept, ...]:
        """The seven concepts of the seven-point checklist."""
        return tuple(concept for concept in self.values() if concept.points)


def _titles(concept: Concept) -> set[str]:
    own = {concept.name.replace("_", " ")} | {title.casefold() for title in concept.names.values()}
    return own
