"""Whether a head may point at a place in the picture, by figures on pictures it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dermsim.core.bootstrap import Interval
from dermsim.core.storage import check_keys

CONTROLS = ("gaussian", "darkness", "other", "cam")
"""What a region is always measured beside: a Gaussian in the middle of the square, how dark each
place is, the dense head of another concept, and the map of the presence head."""


@dataclass(frozen=True)
class RegionFigures:
    """How well a dense head ranks the pixels of a lesion, and what else does.

    All are the area under the ROC curve within the lesion, averaged over pictures left out.

    Attributes:
        dense: Of the dense head.
        controls: Of each of `CONTROLS`.
        gains: Dense head minus control on the same pictures.
        threshold: Log-odds from which on a cell belongs to the region.
        other: Name of the concept whose head is the control ``other``.
    """

    dense: Interval
    controls: Mapping[str, Interval]
    gains: Mapping[str, Interval]
    threshold: float
    other: str

    @property
    def may_point(self) -> bool:
        """Whether the dense head beats every control with an interval clear of zero."""
        return all(gain.low > 0 for gain in self.gains.values())

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, and whether the head may point."""
        plain = {name: own.to_dict() for name, own in self.controls.items()}
        gains = {name: own.to_dict() for name, own in self.gains.items()}
        found = {**asdict(self), "dense": self.dense.to_dict(), "controls": plain, "gains": gains}
        return {**found, "may_point": self.may_point}

    @classmethod
    def from_dict(cls, values: object) -> RegionFigures:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or a control is.
        """
        names = {part.name for part in fields(cls)}
        known: dict[str, Any] = check_keys(values, names | {"may_point"}, name="a region's figures")
        told = known.pop("may_point")
        known["dense"] = Interval(**known["dense"])
        for name in ("controls", "gains"):
            own = check_keys(known[name], set(CONTROLS), name=f"the {name} of a region")
            known[name] = {key: Interval(**value) for key, value in own.items()}  # type: ignore[arg-type]
        found = cls(**known)
        if found.may_point is not told:
            raise ValueError(f"a region says may_point {told}, and its gains do not.")
        return found
