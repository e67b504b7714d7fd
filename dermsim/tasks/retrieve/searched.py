"""How a gallery is searched, apart from the rest of `Gallery`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import l2_normalize, vote_shares
from dermsim.tasks.retrieve.exact import FloatArray, HalfIndex
from dermsim.tasks.retrieve.search import (
    Exclusions,
    Found,
    exact_nearest,
    excluded_rows,
    proposed_nearest,
)

if TYPE_CHECKING:
    from dermsim.tasks.retrieve.approximate import ApproximateIndex
    from dermsim.tasks.retrieve.case_table import CaseTable
    from dermsim.tasks.retrieve.neighbor import Neighbor
    from dermsim.tasks.retrieve.parts import IntArray, Part, Vectors

HALVED = 1_000_000
"""Cases up to which a copy in half precision makes exact search faster."""

SCANNED = 100_000
"""Where a filter leaves so few cases, all of them are compared, whatever the index."""

VOTERS = 16
"""Neighbours that vote, as in Tschandl et al., 2019, https://doi.org/10.1111/bjd.18380."""


class Searched:
    """The part of `Gallery` that finds cases.

    Attributes:
        parts: The embeddings, in pieces that follow each other.
        records: The facts.
        index: Approximate index over the first cases; None where every search looks at all.
    """

    parts: tuple[Part, ...]
    records: CaseTable
    index: ApproximateIndex | None

    if TYPE_CHECKING:

        @property
        def dim(self) -> int:
            """Dimensions D of the embeddings."""

        @property
        def embeddings(self) -> Vectors:
            """All of them, ``(M, D)``."""

        def __len__(self) -> int: ...

    def search(
        self,
        queries: npt.ArrayLike,
        k: int = 5,
        *,
        where: Mapping[str, object] | None = None,
        exclude_lesion_ids: Exclusions | None = None,
        exclude_image_ids: Exclusions | None = None,
        one_per_lesion: bool = False,
    ) -> list[list[Neighbor]]:
        """Find the k most similar cases to each query.

        Args:
            queries: ``(N, D)``; their length does not matter.
            k: Cases per query; fewer come back when fewer are allowed.
            where: Keep only cases whose facts match all of these: an exact value, a list or set
                of values, or for ``age`` a ``(low, high)`` tuple in years, ends included. A case
                whose age is not known is in no range.
            exclude_lesion_ids: For each query, the lesion or lesions to leave out (its own, when
                measuring), or None.
            exclude_image_ids: Likewise the photograph or photographs to leave out, for those whose
                lesion is not known.
            one_per_lesion: Of several photographs of one lesion, return the most similar only.

        Returns:
            For each query its neighbours, most similar first, the lower gallery row among equals:
            those of `exact_search`, or with an index those that it proposes (its
            ``facts.recall_at_10`` says how many it finds).

        Raises:
            ValueError: If a query is zero, holds NaN or has another D; if k < 1; if `where` names
                an unknown column, a value that no case has or a bad range; if `exclude_lesion_ids`
                has another length.

        Examples:
            >>> where = {"dx": "mel", "age": (30, 50)}
            >>> (cases,) = engine.gallery.search(engine.embed(picture), k=3, where=where)
            >>> [case.dx for case in cases], all(30 <= case.facts["age"] <= 50 for case in cases)
            (['mel', 'mel', 'mel'], True)
        """
        found = self.nearest(
            queries,
            k,
            where=where,
            exclude_lesion_ids=exclude_lesion_ids,
            exclude_image_ids=exclude_image_ids,
            one_per_lesion=one_per_lesion,
        )
        return [self.records.neighbors(rows, similarity) for similarity, rows in found]

    def nearest(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        where: Mapping[str, object] | None = None,
        exclude_lesion_ids: Exclusions | None = None,
        exclude_image_ids: Exclusions | None = None,
        one_per_lesion: bool = False,
    ) -> list[Found]:
        """Return the similarities ``(k,)`` float64 and the rows ``(k,)`` that `search` finds.

        Args:
            queries: As for `search`, as are the others.
            k: As for `search`.
            where: As for `search`.
            exclude_lesion_ids: As for `search`.
            exclude_image_ids: As for `search`.
            one_per_lesion: As for `search`.

        Raises:
            ValueError: As for `search`.

        Examples:
            >>> [(similarities, rows)] = engine.gallery.nearest(engine.embed(picture), 3)
            >>> similarities.shape, rows.shape
            ((3,), (3,))
        """
        if k < 1:
            raise Refused("gallery.k", k=k)
        unit = l2_normalize(queries, dim=self.dim, name="queries")
        allowed = self.records.matching(where)
        left_out = {"lesion_id": exclude_lesion_ids, "image_id": exclude_image_ids}
        skip = excluded_rows(self.records, left_out, len(unit))
        if not one_per_lesion:
            return self._nearest(unit, k, allowed, skip)
        most, wanted = len(self) if allowed is None else len(allowed), 4 * k
        while True:  # until each query has its k lesions, or has been shown everything
            found = self._nearest(unit, wanted, allowed, skip)
            thinned = [self._first_of_each_lesion(*line, k) for line in found]
            if wanted >= most or all(len(rows) == k for _, rows in thinned):
                return thinned
            wanted *= 4

    def vote(
        self,
        queries: npt.ArrayLike,
        k: int = VOTERS,
        *,
        where: Mapping[str, object] | None = None,
        exclude_lesion_ids: Exclusions | None = None,
        exclude_image_ids: Exclusions | None = None,
    ) -> list[dict[str, float]]:
        """Let the k most similar cases vote on each query's diagnosis.

        A second opinion beside the classifier's: no head, only likeness. See
        `dermsim.core.vectors.vote_shares` for how votes become probabilities.

        Args:
            queries: ``(N, D)``.
            k: How many vote.
            where: As for `search`.
            exclude_lesion_ids: As for `search`.
            exclude_image_ids: As for `search`.

        Returns:
            For each query the probability of every diagnosis in the gallery, summing to 1. Beside
            the neighbours count the diagnoses of all cases that match; of all cases if none does.

        Raises:
            ValueError: As `search`.

        Examples:
            >>> (vote,) = engine.gallery.vote(engine.embed(picture), where={"dx": ["mel", "nv"]})
            >>> vote["mel"] > vote["nv"]
            True
        """
        found = self.nearest(
            queries,
            k,
            where=where,
            exclude_lesion_ids=exclude_lesion_ids,
            exclude_image_ids=exclude_image_ids,
        )
        names, labels = self.records.codes("dx")
        matching = self.records.matching(where)
        voters = labels if matching is None or len(matching) == 0 else labels[matching]
        counts = np.bincount(voters, minlength=len(names))
        answers = []
        for similarity, rows in found:
            shares = vote_shares(similarity[None], labels[rows][None], counts)[0]
            answers.append(dict(zip(names, shares.tolist(), strict=True)))
        return answers

    def _nearest(
        self,
        queries: Vectors,
        k: int,
        allowed: IntArray | None,
        skip: Sequence[IntArray] | None,
    ) -> list[Found]:
        if self.index is None or (allowed is not None and len(allowed) <= SCANNED):
            return exact_nearest(
                queries, k, self.parts, half=self._half, allowed=allowed, skip=skip
            )
        return proposed_nearest(queries, k, self.parts, self.index, allowed=allowed, skip=skip)

    @cached_property
    def _half(self) -> HalfIndex | None:
        """What makes exact search fast where all embeddings are in memory."""
        if len(self) > HALVED or any(isinstance(part.vectors, np.memmap) for part in self.parts):
            return None
        return HalfIndex.build(self.embeddings)

    def _first_of_each_lesion(
        self, similarity: FloatArray, rows: IntArray, k: int
    ) -> tuple[FloatArray, IntArray]:
        kept: list[int] = []
        seen: set[object] = set()
        for place, lesion in enumerate(self.records.take(rows).values("lesion_id")):
            if lesion is None or lesion not in seen:
                kept.append(place)
                seen.add(lesion)
        return similarity[kept[:k]], rows[kept[:k]]
