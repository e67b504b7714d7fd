"""Photographs of other clinics whose diagnoses an encoder may learn from beside its own source."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES, LABEL2ID, fold, parse_dx
from dermsim.core.refused import Refused
from dermsim.data.dataset import open_source

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.opened_source import OpenedSource

OWN = "own"
"""What a word means that gets an output of its own while training."""


@dataclass(frozen=True)
class Elsewhere:
    """Photographs of other sources.

    Attributes:
        labelled: Rows of the `load_ham10000` schema with one of the seven diagnoses, by source.
        own: By the word for another diagnosis, those of its photographs, by source; ``dx`` is None.
    """

    labelled: list[Dataset]
    own: dict[str, list[Dataset]]

    def apart_from(self, held_out: Sequence[Dataset], *, names: Sequence[str]) -> Elsewhere:
        """Leave out what is held out of another source, as `without_shared` does.

        Args:
            held_out: Parts of the first source that nothing may learn from.
            names: What warnings call the sources of `labelled`.
        """
        labelled = [
            without_shared(rows, held_out, name=name)
            for rows, name in zip(self.labelled, names, strict=True)
        ]
        own = {
            word: [without_shared(rows, held_out, name=word) for rows in found]
            for word, found in self.own.items()
        }
        return Elsewhere(labelled, own)


def load_elsewhere(
    sources: Sequence[str | Path], meanings: Mapping[str, str] | None = None
) -> Elsewhere:
    """Load photographs that others diagnosed.

    A photograph of no known lesion counts as a lesion of its own: no split is made of these rows.

    Args:
        sources: Each as for `load_ham10000`.
        meanings: What words for none of the seven mean: one of the seven all the same, or `OWN`.
            Photographs of other words are left out.

    Warns:
        UserWarning: As `load_ham10000`; how many photographs of other diagnoses are left out, by
            their words.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If no row of a source has one of the seven diagnoses, or rows of one image
            contradict each other; if a word is not in any source among those for other diagnoses,
            or means nothing.
    """
    meant = {word: _meaning(word, meaning) for word, meaning in (meanings or {}).items()}
    taken = {fold(word): meaning for word, meaning in meant.items()}
    opened = [open_source(source, unknown_is_other=True) for source in sources]
    words = {
        fold(label.label): label.label
        for source in opened
        for label in source.mapping.labels
        if label.code not in CODES
    }
    if strange := [word for word in meant if fold(word) not in words]:
        raise Refused(
            "elsewhere.no_such_word",
            strange=strange[0],
            words=sorted(words.values()),
        )
    own: dict[str, list[Dataset]] = {word: [] for word in meant if meant[word] == OWN}
    labelled = []
    for source in opened:
        for word, found in own.items():
            if rows := [row for row in source.kept if _other_word(source, row) == fold(word)]:
                found.append(replace(source, kept=rows).load(more=False, keep_other=True))
        labelled.append(_merged(source, taken).load(more=False))
    return Elsewhere(labelled, own)


def _meaning(word: str, meaning: str) -> str:
    if meaning == OWN:
        return OWN
    try:
        return parse_dx(meaning)
    except ValueError as error:
        raise Refused(
            "elsewhere.no_such_code", word=word, meaning=meaning, codes=CODES, own=OWN
        ) from error


def _other_word(source: OpenedSource, row: int) -> str | None:
    """Return what a photograph of none of the seven diagnoses is called, folded."""
    facts = source.facts[row]
    return fold(str(facts["original_label"])) if facts["dx"] is None else None


def _merged(source: OpenedSource, taken: Mapping[str, str]) -> OpenedSource:
    """Count words among the seven, and leave those out that have an output of their own."""
    facts = list(source.facts)
    kept = []
    for row in source.kept:
        meaning = taken.get(_other_word(source, row) or "")
        if meaning != OWN:
            kept.append(row)
        if meaning in CODES:
            facts[row] = {**facts[row], "dx": LABEL2ID[meaning]}
    return replace(source, facts=facts, kept=kept)


def without_shared(rows: Dataset, held_out: Sequence[Dataset], *, name: str) -> Dataset:
    """Leave out what is held out of another source: data sets hold parts of each other.

    Args:
        rows: To learn from, with ``image_id`` and ``lesion_id``.
        held_out: Parts of the first source that nothing may learn from.
        name: What the warning calls `rows`.

    Returns:
        The rows that share neither an image_id nor a lesion_id with `held_out`.

    Warns:
        UserWarning: How many were left out.

    Raises:
        ValueError: If nothing is left.
    """
    images = {image_id for part in held_out for image_id in part["image_id"]}
    lesions = {lesion for part in held_out for lesion in part["lesion_id"]} - {None}
    kept = [
        number
        for number, (image_id, lesion) in enumerate(
            zip(rows["image_id"], rows["lesion_id"], strict=True)
        )
        if image_id not in images and lesion not in lesions
    ]
    if not kept:
        raise Refused("elsewhere.all_held_out", name=name)
    if len(kept) == len(rows):
        return rows
    warnings.warn(
        f"{len(rows) - len(kept):,} of {len(rows):,} pictures of {name} are held out of the data, "
        "by their names or lesions, and left out",
        stacklevel=2,
    )
    return rows.select(kept)
