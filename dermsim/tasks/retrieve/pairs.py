"""How much a likeness means: where it stands among the likenesses of past cases to one another.

A cosine says little by itself, for encoders spread their embeddings differently. Beside the cosines
of pairs of past cases with the same diagnosis, and of pairs with different ones, it can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import number_lesions
from dermsim.core.refused import Refused
from dermsim.tasks.retrieve.gallery import Gallery

PAIRS = 2000
"""Pairs drawn for each two diagnoses: shares are then off by a hundredth or so."""


@dataclass(frozen=True)
class Standing:
    """Where a likeness stands.

    Attributes:
        same: Share of the pairs with the same diagnosis that are less alike, in [0, 1].
        different: Share of the pairs with different diagnoses that are less alike.
    """

    same: float
    different: float


@dataclass(frozen=True, eq=False)
class PairScale:
    """Likenesses of past cases to one another; `of` draws them.

    Attributes:
        same: ``(S,)`` cosines of pairs with the same diagnosis, ascending.
        different: ``(D,)`` cosines of pairs with different diagnoses, ascending.
    """

    same: npt.NDArray[np.float32]
    different: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls, gallery: Gallery, *, generator: np.random.Generator, pairs: int = PAIRS
    ) -> PairScale:
        """Draw pairs of a gallery's cases.

        Every diagnosis counts as much as any other among the same, and every two among the
        different: of pairs drawn at random nearly half would be two naevi. Two photographs of one
        lesion are no pair, for they are alike whatever the diagnosis.

        Args:
            gallery: The past cases.
            generator: Draws the pairs.
            pairs: How many for each two diagnoses.

        Raises:
            ValueError: If the gallery has no two lesions of one diagnosis, or only one diagnosis.
        """
        names, labels = gallery.records.codes("dx")
        lesions = number_lesions(gallery.records.values("lesion_id"))
        rows = [np.flatnonzero(labels == label) for label in range(len(names))]
        drawn: dict[bool, list[npt.NDArray[np.float32]]] = {True: [], False: []}
        for one in range(len(names)):
            for other in range(one, len(names)):
                first = generator.choice(rows[one], pairs)
                second = generator.choice(rows[other], pairs)
                apart = (lesions[first] != lesions[second]) & (first != second)
                cosines = np.einsum(
                    "nd,nd->n", gallery.fetch(first[apart]), gallery.fetch(second[apart])
                )
                drawn[one == other].append(_as_many(cosines, pairs, generator))
        if not any(map(len, drawn[True])) or not any(map(len, drawn[False])):
            raise Refused("pairs.too_few")
        return cls(*(np.sort(np.concatenate(drawn[kind])) for kind in (True, False)))

    def standing(self, similarity: float) -> Standing:
        """Return where a cosine stands among the pairs."""
        same, different = (
            float(np.searchsorted(cosines, similarity, side="left")) / len(cosines)
            for cosines in (self.same, self.different)
        )
        return Standing(same, different)


def _as_many(
    cosines: npt.NDArray[np.float32], wanted: int, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Repeat some, so that a diagnosis of few lesions counts as much as the others."""
    if len(cosines) == 0:
        return cosines.astype(np.float32)
    more = generator.choice(cosines, wanted - len(cosines))
    return np.concatenate([cosines, more]).astype(np.float32)
