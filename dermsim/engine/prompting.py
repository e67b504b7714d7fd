"""What a loaded checkpoint is asked in words, apart from the rest of `DermSim`.

Texts are compared with pictures after what all texts share and what all past pictures share were
taken off both: the two kinds of embeddings lie apart, and otherwise the same few pictures would be
nearest to every text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Keyed, Refused, say
from dermsim.data.images import ImageSource, is_image_path
from dermsim.engine.concept_answers import with_concepts
from dermsim.engine.searching import LeftOut, Queries, Searching, left_out_of
from dermsim.engine.words import Words, refuse_without_words
from dermsim.tasks.prompt import (
    Directions,
    Wording,
    ZeroShot,
    center_rows,
    make_directions,
    zero_shot,
)
from dermsim.tasks.retrieve import Gallery, Neighbor
from dermsim.tasks.retrieve.parts import Part

if TYPE_CHECKING:
    from dermsim.models.encoder import Encoder

FUSED = 60
"""What is added to each rank before ranks are joined (Cormack et al. 2009,
https://doi.org/10.1145/1571941.1572114)."""

DEEP = 500
"""Cases of each ranking that are joined; further down a rank says next to nothing."""

_CENTRED: WeakKeyDictionary[Gallery, Gallery] = WeakKeyDictionary()


@dataclass(frozen=True)
class TextCases:
    """The past cases that a text fits best.

    Attributes:
        text: What was asked.
        neighbors: Best first. `similarity` is the cosine without what all texts and all past
            pictures share; `percentile` the share of past cases that the text fits less well.
        notes: What a reader must know of the text.
    """

    text: str
    neighbors: tuple[Neighbor, ...]
    notes: tuple[Keyed, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the cases as plain Python values."""
        return {
            "text": self.text,
            "neighbors": [case.to_dict() for case in self.neighbors],
            "notes": [say(note) for note in self.notes],
        }


@dataclass(frozen=True)
class Prompted:
    """What pictures are like among names.

    Attributes:
        found: Of all pictures.
        notes: What a reader must know of the names.
    """

    found: ZeroShot
    notes: tuple[Keyed, ...] = ()

    def rows(self, picture: int) -> list[dict[str, object]]:
        """Return what is said of one picture, the best name first."""
        found = self.found
        order = np.argsort(-found.similarities[picture], kind="stable").tolist()
        return [
            {
                "name": found.names[name],
                "probability": (
                    None
                    if found.probabilities is None
                    else float(found.probabilities[picture, name])
                ),
                "spread": found.spread[picture, name].tolist(),
                "similarity": float(found.similarities[picture, name]),
                "percentile": float(found.percentiles[picture, name]),
            }
            for name in order
        ]


class Prompting(Searching):
    """The part of `DermSim` that is asked in words.

    Attributes:
        words: What is known in words; None of an encoder of pictures alone.
        model: The encoder.
    """

    words: Words | None
    model: Encoder

    def search(
        self,
        images_or_embeddings: Queries,
        k: int = 5,
        *,
        where: Mapping[str, Any] | None = None,
        exclude_lesion_ids: LeftOut | None = None,
        one_per_lesion: bool = False,
    ) -> list[list[Neighbor]]:
        """Find the most similar past cases, or those that a text fits best.

        Args:
            images_or_embeddings: As for `Searching.search`, as are the others; or a text as for
                `search_text`: a string that is no file and is not named like a picture.
            k: How many cases per query.
            where: As for `Searching.search`.
            exclude_lesion_ids: As for `Searching.search`.
            one_per_lesion: As for `Searching.search`.

        Raises:
            ValueError: As for `Searching.search` and `search_text`.

        Examples:
            >>> (cases,) = engine.search(picture, k=3, where={"sex": "female"})
            >>> [case.facts["sex"] for case in cases]
            ['female', 'female', 'female']
        """
        options: dict[str, Any] = {"where": where, "one_per_lesion": one_per_lesion}
        if (text := text_of(images_or_embeddings)) is not None:
            return [list(self.search_text(text, k, **options).neighbors)]
        options["exclude_lesion_ids"] = exclude_lesion_ids
        return super().search(images_or_embeddings, k, **options)

    def search_text(
        self,
        text: str,
        k: int = 5,
        *,
        like: ImageSource | None = None,
        where: Mapping[str, Any] | None = None,
        one_per_lesion: bool = False,
    ) -> TextCases:
        """Find the past cases that a text fits best.

        Args:
            text: In the language of the text encoder; as it is, no template is put around it.
            k: How many cases.
            like: A picture that the cases shall also look like: the two rankings are joined by
                rank. Then `similarity` and `percentile` are still those of the text. A picture that
                is itself a past case is left out with its lesion.
            where: As for `DermSim.search`.
            one_per_lesion: Of several photographs of one lesion, return the best only.

        Raises:
            ValueError: If the checkpoint has no text encoder, or the text cannot be asked; as for
                `DermSim.search`.

        Examples:
            The released encoder knows pictures alone; one with words is made by `dermsim convert`.

            >>> try:
            ...     engine.search_text("blue-white veil", k=3)
            ... except ValueError as error:
            ...     print(error.key)
            words_of.pictures_alone
        """
        words = refuse_without_words(self.words)
        if k < 1:
            raise Refused("gallery.k", k=k)
        query, notes = words.query(text)
        centred = _centre(self.gallery)
        options: dict[str, Any] = {
            "where": with_concepts(self.concept_part, where),
            "one_per_lesion": one_per_lesion,
        }
        if like is None:
            (found,) = centred.search(query, k, **options)
            if not where and not one_per_lesion:  # then a rank says how many fit less well
                ranked = [
                    replace(case, percentile=(len(self.gallery) - rank) / len(self.gallery))
                    for rank, case in enumerate(found, start=1)
                ]
                return TextCases(text, tuple(ranked), notes)
        else:
            found = self._joined_with(like, query, k, options)
        scores = centred.embeddings @ query[0]
        ranked = [
            replace(case, percentile=float((scores < case.similarity - 1e-6).mean()))
            for case in found
        ]
        return TextCases(text, tuple(ranked), notes)

    def _joined_with(
        self,
        like: ImageSource,
        query: npt.NDArray[np.float32],
        k: int,
        options: dict[str, Any],
    ) -> list[Neighbor]:
        """Join what a text ``(1, D)`` fits with what a picture is like, by rank."""
        deep, centred = min(len(self.gallery), max(DEEP, k)), _centre(self.gallery)
        embeddings, seen = self._queries(like)
        options = {**options, **left_out_of(seen, None)}
        (by_text,) = centred.search(query, deep, **options)
        (by_picture,) = self.gallery.search(embeddings, deep, **options)
        return _rescored(_joined(by_text, by_picture)[:k], query[0], centred)

    def zero_shot(self, images: Queries, wording: Wording | None = None) -> Prompted:
        """Compare images with names that nothing was trained with.

        Args:
            images: Images as for `DermSim.embed`, or ``(N, D)`` embeddings.
            wording: Names and templates; by default the diagnoses as the checkpoint asks for them,
                which needs no text encoder.

        Raises:
            ValueError: If the checkpoint knows pictures alone, an image cannot be read, or a name
                cannot be asked.

        Examples:
            The released encoder knows pictures alone; one with words is made by `dermsim convert`.

            >>> engine.words is None
            True
            >>> try:
            ...     engine.zero_shot(picture)
            ... except ValueError as error:
            ...     print(error.key)
            words_of.pictures_alone
        """
        words = refuse_without_words(self.words)
        directions, notes = self._directions(words, wording)
        tower: Any = self.model  # words are of a text-image encoder alone
        scale = float(tower.logit_scale.detach().exp())
        embeddings, _ = self._queries(images)
        found = zero_shot(
            embeddings.astype(np.float32), directions, scale=scale, past=self.gallery.embeddings
        )
        return Prompted(found, notes)

    def _directions(
        self, words: Words, wording: Wording | None
    ) -> tuple[Directions, tuple[Keyed, ...]]:
        if wording is None:
            return words.prompts.directions, ()
        synonyms = [synonym for own in wording.names.values() for synonym in own]
        return make_directions(wording, words.embed), words.notes(synonyms)


def text_of(queries: object) -> str | None:
    """Return the text that a query is; None of what is, or is named like, a picture."""
    if not isinstance(queries, str) or is_image_path(queries):
        return None
    try:
        return None if Path(queries).exists() else queries
    except (OSError, ValueError):  # no system has a file of that name
        return queries


def _centre(gallery: Gallery) -> Gallery:
    """Return a gallery without what all of its pictures share; made once for each."""
    if gallery not in _CENTRED:
        part = Part(center_rows(gallery.embeddings, gallery.embeddings.mean(axis=0)))
        _CENTRED[gallery] = Gallery((part,), gallery.records, gallery.fingerprint)
    return _CENTRED[gallery]


def _joined(*rankings: Sequence[Neighbor]) -> list[Neighbor]:
    """Join rankings by rank: what comes early in each comes first."""
    points: defaultdict[str, float] = defaultdict(float)
    cases: dict[str, Neighbor] = {}
    for ranking in rankings:
        for rank, case in enumerate(ranking, start=1):
            points[case.image_id] += 1 / (FUSED + rank)
            cases.setdefault(case.image_id, case)
    return sorted(cases.values(), key=lambda case: -points[case.image_id])


def _rescored(
    cases: Sequence[Neighbor], query: npt.NDArray[np.float32], centred: Gallery
) -> list[Neighbor]:
    """Give cases, some of which came from another ranking, their similarity to the text."""
    rows = centred.records.rows_of("image_id", [{case.image_id} for case in cases])
    scores = centred.fetch(np.array([found[0] for found in rows])) @ query
    return [
        replace(case, similarity=float(score)) for case, score in zip(cases, scores, strict=True)
    ]
