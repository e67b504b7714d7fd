"""What was measured of explanations, as it is kept in ``evaluation.json`` and printed.

`dermsim.evaluation.explanations` fills an `ExplanationReport`, a `dermsim.evaluation.report.Report`
carries it, and `dermsim.evaluation.explanations.explanation_tables` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dermsim.core.bootstrap import Interval
from dermsim.core.explain_methods import METHODS
from dermsim.core.refused import Refused
from dermsim.core.storage import check_keys

GAUSSIAN = "gaussian"
"""The map that explanations are held against: a blob in the middle of every photograph."""

RANDOM_WEIGHTS = "random weights"
"""Maps of an encoder that has learned nothing."""

BASELINES = {
    GAUSSIAN: "centred Gaussian",
    "uniform": "uniform map",
    "edges": "edge map",
    RANDOM_WEIGHTS: "Grad-CAM, random weights",
}
"""Maps that show what can be had without understanding, by name, in words."""

Figures = dict[str, Interval]


@dataclass(frozen=True)
class MapReport:
    """What was measured of one kind of maps.

    Attributes:
        place: Where its features are taken, such as ``"layer3"``; empty for maps without features.
        threshold: Share of its peak at which a map is cut for the IoU, chosen on validation.
        figures: By measure, averaged over images and then over diagnoses.
        by_class: By measure and diagnosis code.
    """

    place: str
    threshold: float
    figures: Figures
    by_class: dict[str, Figures]

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, figures rounded."""
        return {
            "place": self.place,
            "threshold": self.threshold,
            "figures": _plain(self.figures),
            "by_class": _plain_by_class(self.by_class),
        }

    @classmethod
    def from_dict(cls, values: object, *, name: str) -> MapReport:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If anything is unknown, missing or of the wrong kind.
        """
        known = check_keys(values, {f.name for f in fields(cls)}, name=name)
        return cls(
            place=str(known["place"]),
            threshold=float(known["threshold"]),  # type: ignore[arg-type]
            figures=_figures(known["figures"], name=name),
            by_class=_by_class(known["by_class"], name=f"{name} by_class"),
        )


@dataclass(frozen=True)
class ExplanationReport:
    """What was measured of a checkpoint's explanations.

    Attributes:
        maps: By name, methods first, then what they are held against.
        shortcuts: What swapping backgrounds shows, by figure.
        shortcuts_by_class: The same, by figure and diagnosis code.
        regions: What searching with the outlined lesion alone shows, by figure.
        regions_by_class: The same, by figure and diagnosis code.
        spread: Width of the centred Gaussian as a share of the side, measured on validation.
        per_class: By measure that was taken of a part of the photographs, how many of each
            diagnosis it took.
    """

    maps: dict[str, MapReport]
    shortcuts: Figures
    shortcuts_by_class: dict[str, Figures]
    regions: Figures
    regions_by_class: dict[str, Figures]
    spread: float
    per_class: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, figures rounded."""
        return {
            "maps": {name: found.to_dict() for name, found in self.maps.items()},
            "shortcuts": _plain(self.shortcuts),
            "shortcuts_by_class": _plain_by_class(self.shortcuts_by_class),
            "regions": _plain(self.regions),
            "regions_by_class": _plain_by_class(self.regions_by_class),
            "spread": self.spread,
            "per_class": self.per_class,
        }

    @classmethod
    def from_dict(cls, values: object) -> ExplanationReport:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If anything is unknown, missing or of the wrong kind.
        """
        known = check_keys(values, {f.name for f in fields(cls)}, name="explanations")
        maps = _mapping(known["maps"], name="explanations maps")
        return cls(
            maps={name: MapReport.from_dict(found, name=name) for name, found in maps.items()},
            shortcuts=_figures(known["shortcuts"], name="shortcuts"),
            shortcuts_by_class=_by_class(known["shortcuts_by_class"], name="shortcuts_by_class"),
            regions=_figures(known["regions"], name="regions"),
            regions_by_class=_by_class(known["regions_by_class"], name="regions_by_class"),
            spread=float(known["spread"]),  # type: ignore[arg-type]
            per_class={
                name: int(count)
                for name, count in _mapping(known["per_class"], name="per_class").items()
            },
        )

    @property
    def winners(self) -> tuple[str, ...]:
        """Methods better than the centred Gaussian in where they lie and in what they matter.

        That is, whose gains in the energy inside the outline and in ROAD both have a 95 % interval
        above zero.
        """
        return tuple(
            name
            for name, found in self.maps.items()
            if name not in BASELINES
            and all(found.figures[gain].low > 0 for gain in ("energy_gain", "road_gain"))
        )


def map_title(name: str) -> str:
    """Say in words what the maps called `name` are."""
    if name in BASELINES:
        return BASELINES[name]
    method = METHODS[name.removesuffix(" smooth")]
    return f"{method.title}, smooth" if name.endswith(" smooth") else method.title


def _plain(figures: Mapping[str, Interval]) -> dict[str, object]:
    return {name: figure.to_dict() for name, figure in figures.items()}


def _plain_by_class(figures: Mapping[str, Figures]) -> dict[str, object]:
    return {name: _plain(found) for name, found in figures.items()}


def _mapping(values: object, *, name: str) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise Refused("storage.not_an_object", name=name, kind=type(values).__name__)
    return dict(values)


def _figures(values: object, *, name: str) -> Figures:
    names = {f.name for f in fields(Interval)}
    return {
        key: Interval(**check_keys(figure, names, name=f"{name} {key}"))  # type: ignore[arg-type]
        for key, figure in _mapping(values, name=name).items()
    }


def _by_class(values: object, *, name: str) -> dict[str, Figures]:
    return {
        key: _figures(found, name=f"{name} {key}")
        for key, found in _mapping(values, name=name).items()
    }
