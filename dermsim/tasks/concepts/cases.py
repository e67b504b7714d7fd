"""What the concept heads say of the cases of a gallery, so that cases are found by concept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.concept_schema import STATES
from dermsim.core.refused import Refused
from dermsim.tasks.concepts.heads import ConceptHead, sigmoid


@dataclass(frozen=True, eq=False)
class CaseConcepts:
    """Log-odds of N cases.

    Attributes:
        image_ids: N names.
        keys: Of K heads, by `ConceptHead.key`.
        log_odds: ``(N, K)`` float16, calibrated.
    """

    image_ids: tuple[str, ...]
    keys: tuple[str, ...]
    log_odds: npt.NDArray[np.float16]

    def __post_init__(self) -> None:
        """Refuse numbers that are not of these cases and heads."""
        if self.log_odds.shape != (len(self.image_ids), len(self.keys)):
            raise Refused(
                "cases.shape",
                shape=self.log_odds.shape,
                image_ids_count=len(self.image_ids),
                keys_count=len(self.keys),
            )

    def matching(self, head: ConceptHead, state: str) -> list[str]:
        """Return the image_ids of the cases of which a state may be said.

        Args:
            head: The concept.
            state: ``"present"`` or ``"absent"``.

        Raises:
            ValueError: If there is no such state, the head may never say it, or it was fitted after
                the cases were looked through.
        """
        if state not in STATES:
            raise Refused("cases.state", states=STATES, state=state)
        if head.key not in self.keys:
            raise Refused("cases.not_looked_through", concept=head.concept)
        limit = head.present if state == "present" else head.absent
        if limit is None:
            raise Refused("cases.never_said", concept=head.concept, state=state)
        own = sigmoid(self.log_odds[:, self.keys.index(head.key)].astype(np.float64))
        found = own >= limit.probability if state == "present" else own < limit.probability
        return [self.image_ids[row] for row in np.flatnonzero(found)]

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what `from_arrays` takes; the names as UTF-8 bytes, one a line."""
        names = np.frombuffer("\n".join(self.image_ids).encode(), dtype=np.uint8)
        return {"cases.log_odds": self.log_odds, "cases.image_ids": names}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[np.generic]], keys: Sequence[str]
    ) -> CaseConcepts:
        """Rebuild the concepts from arrays of the shapes that `arrays` gives, as from a file.

        Raises:
            ValueError: If the names are damaged or do not fit the numbers.
        """
        text = arrays["cases.image_ids"].astype(np.uint8).tobytes().decode("utf-8")
        return cls(
            tuple(text.split("\n")), tuple(keys), arrays["cases.log_odds"].astype(np.float16)
        )
