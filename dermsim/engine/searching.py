"""What a loaded checkpoint does with its past cases, apart from the rest of `DermSim`.

A photograph that is one of them is no evidence about itself: it is left out of search and vote
together with its lesion, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.data.images import ImageSource, as_list
from dermsim.data.synthetic import is_drawn
from dermsim.engine.concept_answers import with_concepts
from dermsim.engine.results import Recognised, SimilarCases
from dermsim.tasks.retrieve import Gallery, Neighbor, PairScale, recognise

if TYPE_CHECKING:
    from dermsim.engine.shared_encoder import SharedEncoder
    from dermsim.models.encode import Encoding
    from dermsim.tasks.concepts import Concepts
    from dermsim.tasks.retrieve import CaseTable

Queries: TypeAlias = "ImageSource | Sequence[ImageSource] | npt.NDArray[np.floating]"
"""Images, or embeddings ``(N, D)`` of some."""

LeftOut: TypeAlias = "Sequence[Any]"
"""Per query, the lesion or lesions to leave out, or None."""

_SCALES: WeakKeyDictionary[Gallery, PairScale | None] = WeakKeyDictionary()


class Searching:
    """The part of `DermSim` that looks for past cases.

    Attributes:
        gallery: The past cases.
        concept_part: What was fitted about concepts; None where nothing was.
    """

    gallery: Gallery
    concept_part: Concepts | None
    _encode: SharedEncoder
    _learned: Gallery

    def search(
        self,
        images_or_embeddings: Queries,
        k: int = 5,
        *,
        where: Mapping[str, Any] | None = None,
        exclude_lesion_ids: LeftOut | None = None,
        one_per_lesion: bool = False,
    ) -> list[list[Neighbor]]:
        """Find the most similar past cases.

        Args:
            images_or_embeddings: Images as for `DermSim.embed`, or ``(N, D)`` embeddings. An image
                that is one of the past cases is left out with its lesion; an embedding cannot tell.
            k: How many cases per query.
            where: As for `Gallery.search`; also states of concepts, ``"concept.streaks"``.
            exclude_lesion_ids: Per query, the lesion or lesions to leave out.
            one_per_lesion: Of several photographs of one lesion, return the most similar only.

        Returns:
            Per query up to k neighbors, most similar first.

        Raises:
            ValueError: If an image cannot be read or a filter is unknown.

        Examples:
            >>> (cases,) = engine.search(picture, k=3, where={"sex": "female"})
            >>> [case.facts["sex"] for case in cases]
            ['female', 'female', 'female']
        """
        embeddings, seen = self._queries(images_or_embeddings)
        found = self.gallery.search(
            embeddings,
            k,
            where=with_concepts(self.concept_part, where),
            one_per_lesion=one_per_lesion,
            **left_out_of(seen, exclude_lesion_ids),
        )
        return self._with_percentiles(found)

    def vote(
        self,
        images_or_embeddings: Queries,
        *,
        where: Mapping[str, Any] | None = None,
        exclude_lesion_ids: LeftOut | None = None,
    ) -> list[dict[str, float]]:
        """Let the nearest past cases vote on the diagnosis: a second opinion.

        Args:
            images_or_embeddings: As for `search`, as are the others.
            where: As for `search`.
            exclude_lesion_ids: As for `search`.

        Returns:
            Per query the probability of each diagnosis; see `Gallery.vote`.

        Raises:
            ValueError: As for `search`.

        Examples:
            >>> (vote,) = engine.vote(picture)
            >>> max(vote, key=vote.get), round(sum(vote.values()), 6)
            ('mel', 1.0)
        """
        embeddings, seen = self._queries(images_or_embeddings)
        where = with_concepts(self.concept_part, where)
        return self.gallery.vote(embeddings, where=where, **left_out_of(seen, exclude_lesion_ids))

    def similar_cases(
        self,
        images: ImageSource | Sequence[ImageSource],
        k: int = 5,
        *,
        where: Mapping[str, Any] | None = None,
        exclude_lesion_ids: LeftOut | None = None,
        one_per_lesion: bool = False,
    ) -> list[SimilarCases]:
        """Search and vote in one forward pass, and say which image is itself one of the cases.

        Args:
            images: As for `DermSim.embed`.
            k: As for `search`, as are the others.
            where: As for `search`.
            exclude_lesion_ids: As for `search`.
            one_per_lesion: As for `search`.

        Raises:
            ValueError: As for `search`.

        Examples:
            >>> (found,) = engine.similar_cases(picture, k=3)
            >>> len(found.neighbors), found.recognised
            (3, None)
        """
        embeddings, seen = self._queries(images)
        left_out = left_out_of(seen, exclude_lesion_ids)
        where = with_concepts(self.concept_part, where)
        found = self._with_percentiles(
            self.gallery.search(
                embeddings, k, where=where, one_per_lesion=one_per_lesion, **left_out
            )
        )
        votes: list[dict[str, float]] = [{} for _ in found]
        if any(found):
            votes = self.gallery.vote(embeddings, where=where, **left_out)
        return [
            SimilarCases(tuple(cases), vote, known)
            for cases, vote, known in zip(found, votes, seen, strict=True)
        ]

    def check_lesions(self, lesion_ids: Sequence[str]) -> tuple[str, ...]:
        """Return lesions to leave out, or refuse one that no past case is of.

        Raises:
            ValueError: If there is no such lesion.

        Examples:
            >>> engine.check_lesions(["HAM_0000550"])
            ('HAM_0000550',)
        """
        rows = self.gallery.records.rows_of("lesion_id", [{name} for name in lesion_ids])
        for name, own in zip(lesion_ids, rows, strict=True):
            if len(own) == 0:
                raise Refused("searching.no_lesion", lesion=name)
        return tuple(lesion_ids)

    @property
    def pair_scale(self) -> PairScale | None:
        """How alike past cases are to one another; None where there are no pairs to compare.

        It is drawn once for each gallery, the same every time.

        Examples:
            >>> standing = engine.pair_scale.standing(0.99)
            >>> standing.same > 0.5
            True
        """
        gallery = self.gallery
        if gallery not in _SCALES:
            try:
                _SCALES[gallery] = PairScale.of(gallery, generator=np.random.default_rng(0))
            except ValueError:  # of one lesion, or of one diagnosis
                _SCALES[gallery] = None
        return _SCALES[gallery]

    def _recognised(self, encoding: Encoding) -> list[Recognised | None]:
        """Say which pictures are photographs of past cases."""
        assert encoding.looks is not None  # whoever asks has had them made
        rows = recognise(encoding.looks.hashes, self.gallery.records)
        return [None if row is None else self._case(row) for row in rows]

    def _case(self, row: int) -> Recognised:
        case = self.gallery.records[row]
        lesion = case["lesion_id"]
        return Recognised(
            image_id=str(case["image_id"]),
            lesion_id=None if lesion is None else str(lesion),
            dx=str(case["dx"]),
            learned=self.gallery is self._learned,
        )

    def _queries(
        self, queries: Queries
    ) -> tuple[npt.NDArray[np.floating], list[Recognised | None]]:
        if isinstance(queries, np.ndarray):
            return queries, [None] * len(queries)
        encoding = self._encode(as_list(queries), looks=True, statistics=False)
        return encoding.embeddings, self._recognised(encoding)

    def _with_percentiles(self, found: list[list[Neighbor]]) -> list[list[Neighbor]]:
        """Say of each neighbour how its likeness compares with those of past cases."""
        scale = self.pair_scale if any(found) else None
        if scale is None:
            return found
        return [
            [replace(case, percentile=scale.standing(case.similarity).same) for case in cases]
            for cases in found
        ]


def left_out_of(seen: Sequence[Recognised | None], lesions: LeftOut | None) -> dict[str, Any]:
    """Return what `Gallery.search` leaves out: what the caller names and what is recognised.

    Args:
        seen: For each query the past case that it is a copy of; None where it is of none.
        lesions: For each query the lesion or lesions that the caller names; None for none.

    Raises:
        ValueError: If `lesions` has another length than `seen`.
    """
    asked = [None] * len(seen) if lesions is None else lesions
    if isinstance(asked, str) or len(asked) != len(seen):
        raise Refused("searching.exclude", count=len(seen))
    if not any(asked) and not any(seen):
        return {}
    names = [{entry} if isinstance(entry, str) else set(entry or ()) for entry in asked]
    for own, known in zip(names, seen, strict=True):
        if known is not None and known.lesion_id is not None:
            own.add(known.lesion_id)
    images = [set() if known is None else {known.image_id} for known in seen]
    return {"exclude_lesion_ids": names, "exclude_image_ids": images}


def are_drawn(records: CaseTable) -> bool:
    """Say whether all cases are drawings of `dermsim.data.synthetic`."""
    return is_drawn(records[0]["image_id"]) and all(map(is_drawn, records.values("image_id")))
