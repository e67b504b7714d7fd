"""What the heatmaps of a checkpoint are worth, beside a blob in the middle of the picture.

`dermsim protocol explanations --into` measures it and writes it into the checkpoint folder.
Wherever a heatmap is shown, it stands beside the heatmap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from dermsim.core.bootstrap import Interval
from dermsim.core.checkpoint import EXPLANATIONS as WORTH
from dermsim.core.explain_methods import METHODS, UNMEASURED
from dermsim.core.refused import Refused
from dermsim.core.storage import check_keys, read_json, save_json

Verdict = Literal["better", "partly_better", "mixed", "no_better", "worse"]
"""How a method's maps compare with a blob in the middle, by both figures."""

GAINS = ("energy_gain", "road_gain")
"""What decides: the share of a map inside the outline, and ROAD, each less that of the blob."""

FIGURES = ("energy", *GAINS, "road")


@dataclass(frozen=True)
class MethodWorth:
    """What was measured of one method.

    Attributes:
        method: Key of `dermsim.core.explain_methods.METHODS`.
        layer: Stage of the backbone that its features are taken from, from the end as -1; None for
            where the heads begin, and for a method that reads the attention of every block.
        energy: Share of a map that lies inside the dermatologist's outline of the lesion.
        energy_gain: That, less the same of the blob.
        road: By how much more the probability of the diagnosis falls when what a map marks most is
            taken away than when what it marks least is.
        road_gain: That, less the same of the blob.
    """

    method: str
    layer: int | None
    energy: Interval
    energy_gain: Interval
    road: Interval
    road_gain: Interval

    @property
    def signs(self) -> tuple[int, int]:
        """For each of `GAINS` 1 if its interval lies above 0, -1 if below, else 0."""
        found = [getattr(self, name).to_dict() for name in GAINS]  # as files keep them
        energy, road = (int(gain["low"] > 0) - int(gain["high"] < 0) for gain in found)
        return energy, road

    @property
    def verdict(self) -> Verdict:
        """Better or worse than a blob in the middle."""
        signs = set(self.signs)
        verdicts: dict[frozenset[int], Verdict] = {
            frozenset({1}): "better",
            frozenset({1, 0}): "partly_better",
            frozenset({1, -1}): "mixed",
            frozenset({0}): "no_better",
        }
        return verdicts.get(frozenset(signs), "worse")

    @property
    def rank(self) -> tuple[int, float]:
        """What methods are ranked by: how many gains are sure, then their mean."""
        means = [getattr(self, name).to_dict()["value"] for name in GAINS]  # as files keep them
        return sum(self.signs), sum(means) / len(means)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, and the verdict."""
        figures = {name: getattr(self, name).to_dict() for name in FIGURES}
        return {"method": self.method, "layer": self.layer, "verdict": self.verdict, **figures}

    @classmethod
    def from_dict(cls, values: object) -> MethodWorth:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If anything is unknown, missing or of the wrong kind.
        """
        known = check_keys(values, {"method", "layer", "verdict", *FIGURES}, name="a method")
        if known["method"] not in METHODS:
            raise Refused("explain_worth.method", file=WORTH, method=known["method"])
        if known["layer"] is not None and type(known["layer"]) is not int:
            raise Refused("explain_worth.layer", file=WORTH, layer=known["layer"])
        parts = {f.name for f in fields(Interval)}
        figures: dict[str, Any] = {
            name: Interval(**check_keys(known[name], parts, name=name))  # type: ignore[arg-type]
            for name in FIGURES
        }
        return cls(method=str(known["method"]), layer=known["layer"], **figures)


Unmeasured = Literal["not_measured", "other_layer", "smooth", "likeness"]
"""Why there are no figures: of this checkpoint or method, or of maps made in this way."""


@dataclass(frozen=True)
class Worth:
    """What may be said of a heatmap that is shown.

    Attributes:
        figures: Of its method; None where there are none.
        dataset: What the photographs they rest on are called; empty without figures.
        split: Which part of them.
        why: Why there are no figures; None where there are.
    """

    figures: MethodWorth | None = None
    dataset: str = ""
    split: str = ""
    why: Unmeasured | None = "not_measured"

    @property
    def verdict(self) -> Verdict | None:
        """As that of the figures; None without any."""
        return None if self.figures is None else self.figures.verdict

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, the figures among them."""
        found: dict[str, object] = {"verdict": self.verdict, "not_measured": self.why}
        if self.figures is None:
            return found
        figures = {name: getattr(self.figures, name).to_dict() for name in FIGURES}
        return {**found, "dataset": self.dataset, "split": self.split, **figures}


@dataclass(frozen=True)
class ExplanationWorth:
    """What was measured of a checkpoint's heatmaps.

    Attributes:
        fingerprint: Of the encoder.
        dataset: What the photographs are called.
        split: Which part of them.
        methods: By method, in the order of menus.
        spread: Width of the blob as a share of the picture's side.
    """

    fingerprint: str
    dataset: str
    split: str
    methods: tuple[MethodWorth, ...]
    spread: float

    @property
    def default(self) -> str:
        """The method that did best, of those that answer whatever is asked for, and at once."""
        found = [one for one in self.methods if METHODS[one.method].may_be_default]
        return max(found, key=lambda one: one.rank).method if found else UNMEASURED

    def of(self, method: str) -> MethodWorth | None:
        """Return what was measured of a method, None where it was not."""
        return next((one for one in self.methods if one.method == method), None)

    def layer(self, method: str) -> int | None:
        """Return where the features of a method are taken that was measured there."""
        found = self.of(method)
        return None if found is None else found.layer

    def shown(self, method: str, *, other_layer: bool, smooth: bool, likeness: bool) -> Worth:
        """Say what may be said of a heatmap.

        Args:
            method: That drew it.
            other_layer: Whether its features were taken elsewhere than they were measured.
            smooth: Whether it is averaged over turns and mirror images; the figures are of plain
                maps.
            likeness: Whether it explains a likeness; the figures are of diagnoses.
        """
        found = self.of(method)
        if found is None:
            return Worth()
        unlike: dict[Unmeasured, bool] = {
            "likeness": likeness,
            "other_layer": other_layer,
            "smooth": smooth,
        }
        for why, holds in unlike.items():
            if holds:
                return Worth(why=why)
        return Worth(found, self.dataset, self.split, None)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            "fingerprint": self.fingerprint,
            "dataset": self.dataset,
            "split": self.split,
            "default": self.default,
            "spread": self.spread,
            "methods": [one.to_dict() for one in self.methods],
        }

    @classmethod
    def from_dict(cls, values: object) -> ExplanationWorth:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If anything is unknown, missing or of the wrong kind.
        """
        names = {f.name for f in fields(cls)} | {"default"}
        known: Mapping[str, Any] = check_keys(values, names, name=WORTH)
        if not isinstance(known["methods"], Sequence) or isinstance(known["methods"], str):
            raise Refused("explain_worth.methods", file=WORTH)
        return cls(
            fingerprint=str(known["fingerprint"]),
            dataset=str(known["dataset"]),
            split=str(known["split"]),
            methods=tuple(MethodWorth.from_dict(one) for one in known["methods"]),
            spread=float(known["spread"]),
        )

    def save(self, path: Path) -> None:
        """Write the file."""
        save_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path, *, fingerprint: str) -> ExplanationWorth | None:
        """Read the file; None where there is none, or it is of another encoder.

        Raises:
            ValueError: If it is damaged.
        """
        if not path.is_file():
            return None
        found = cls.from_dict(read_json(path))
        return found if found.fingerprint == fingerprint else None
