"""What a source's words for diagnoses are among the seven: known, said by the user, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dermsim.core.labels import CODES, fold, parse_dx
from dermsim.core.refused import Phrase, Refused
from dermsim.data.tables import OTHER, row_error

NAMED = 5
"""Unknown words that a refusal names."""


@dataclass(frozen=True)
class MappedLabel:
    """One word of a source.

    Attributes:
        label: As the source writes it.
        code: One of `CODES`, or `OTHER`.
        images: How many rows bear it.
    """

    label: str
    code: str
    images: int


@dataclass(frozen=True)
class LabelMapping:
    """All words of a source, the commonest first.

    Attributes:
        labels: What each of them was taken for.
    """

    labels: tuple[MappedLabel, ...]

    @property
    def translates(self) -> bool:
        """Whether a word is not the code itself, so that there is something to look at."""
        return any(item.label != item.code for item in self.labels)

    def lines(self) -> list[str]:
        """Say it for people: a line for each word."""
        width = max((len(item.label) for item in self.labels), default=0)
        rest = {OTHER: "other, and left out"}
        return [
            f"{item.label.ljust(width)}  is read as {rest.get(item.code, item.code)}  "
            f"({item.images:,} {'picture' if item.images == 1 else 'pictures'})"
            for item in self.labels
        ]


def parse_mapping(pairs: Sequence[str], *, option: str = "--map") -> dict[str, str]:
    """Turn ``("nevus=nv", "scc=other")`` into a mapping for `map_labels`.

    Args:
        pairs: Words and what each means.
        option: Where they were written, for errors.

    Raises:
        ValueError: If one is not ``word=code``, or a word comes twice.
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        label, equals, code = (part.strip() for part in pair.rpartition("="))
        if not (label and equals and code):
            raise Refused("label_mapping.pair", option=option, pair=pair)
        if label in mapping:
            raise Refused("label_mapping.twice", option=option, label=label)
        mapping[label] = code
    return mapping


def map_labels(
    labels: Sequence[str],
    mapping: Mapping[str, str] | None = None,
    *,
    image_ids: Sequence[str | None] | None = None,
    unknown_is_other: bool = False,
) -> tuple[list[str], LabelMapping]:
    """Translate a source's words for diagnoses.

    Args:
        labels: One per row.
        mapping: What words mean: a code of `CODES`, a name of one, or ``"other"``. It goes before
            what `parse_dx` knows; case, accents and signs of the words do not matter.
        image_ids: Of the rows, for errors.
        unknown_is_other: Take unknown words for `OTHER` and do not refuse them.

    Returns:
        A code or ``"other"`` per row, and what each word was taken for.

    Raises:
        ValueError: If a word is known to neither, the mapping means something that is no diagnosis,
            or it speaks of a word that no row bears. All unknown words are named at once.
    """
    counts = Counter(labels)
    meanings = _meanings(mapping or {}, counts)
    codes: dict[str, str] = {}
    unknown: list[str] = []
    for label in counts:
        try:
            codes[label] = meanings.get(fold(label)) or parse_dx(label)
        except ValueError:
            unknown.append(label)
    if unknown_is_other:
        codes |= dict.fromkeys(unknown, OTHER)
    elif unknown:
        row = next(row for row, label in enumerate(labels) if label in unknown)
        raise row_error(row, image_ids[row] if image_ids else None, _unknown(labels[row], unknown))
    translated = [codes[label] for label in labels]
    return translated, count_labels(labels, translated)


def count_labels(labels: Sequence[str], codes: Sequence[str]) -> LabelMapping:
    """Count which words were taken for what.

    Args:
        labels: One per row; empty where there is none.
        codes: What each was taken for.
    """
    counts = Counter(zip(labels, codes, strict=True))
    return LabelMapping(
        tuple(MappedLabel(label or "(none)", code, n) for (label, code), n in counts.most_common())
    )


def _meanings(mapping: Mapping[str, str], counts: Counter[str]) -> dict[str, str]:
    """Check what the user said and key it by folded words."""
    known = {fold(label): label for label in counts}
    meanings: dict[str, str] = {}
    for label, code in mapping.items():
        if fold(label) not in known:
            raise Refused("label_mapping.no_such_word", label=label, counts=sorted(counts))
        try:
            meaning = OTHER if fold(code) == OTHER else parse_dx(code)
        except ValueError as error:
            raise Refused(
                "label_mapping.no_such_code", label=label, code=code, codes=CODES, other=OTHER
            ) from error
        if meanings.setdefault(fold(label), meaning) != meaning:
            raise Refused("label_mapping.two_meanings", label=label)
    return meanings


def _unknown(first: str, unknown: Sequence[str]) -> Phrase:
    more = [label for label in unknown if label != first]
    told = {"label": first, "codes": CODES, "other": OTHER, "more": more[:NAMED]}
    if not more:
        return Phrase("label_mapping.unknown", **told)
    if len(more) <= NAMED:
        return Phrase("label_mapping.several_unknown", **told)
    return Phrase("label_mapping.many_unknown", **told, count=len(more) - NAMED)
