"""A past case as the answer to a search."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Neighbor:
    """A past case and how alike it is.

    Attributes:
        image_id: HAM10000's id of the photograph.
        lesion_id: Its lesion, or None when not known.
        dx: Its diagnosis code.
        similarity: Cosine similarity to the query, in [-1, 1].
        facts: What else is known: dx_type (how it was confirmed), age, sex, localization.
        percentile: Share of pairs of past cases with one diagnosis that are less alike, in [0, 1].

    Examples:
        >>> (case,) = engine.search(picture, k=1)[0]
        >>> case.dx, round(case.similarity, 1)
        ('mel', 1.0)
    """

    image_id: str
    lesion_id: str | None
    dx: str
    similarity: float
    facts: dict[str, object]
    percentile: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values.

        Examples:
            >>> (case,) = engine.search(picture, k=1)[0]
            >>> case.to_dict()["dx"] == case.dx
            True
        """
        return asdict(self)
