"""A look into a data set before anything is learned from it: what there is, and what is missing.

Works on any rows of the `dermsim.data.ham10000.load_ham10000` schema. Photographs are counted
beside lesions throughout: many lesions were photographed several times, and whoever counts
photographs alone counts some patients twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsim.core.labels import CODES, MALIGNANT
from dermsim.core.refused import Refused
from dermsim.data.tables import case_records

if TYPE_CHECKING:
    from datasets import Dataset

FACTS = ("dx_type", "age", "sex", "localization")
"""What a source may not know of a photograph."""

AGE_STEP = 5
"""Years that one bar of the ages spans; HAM10000 gives ages in steps of five."""

Crossed = dict[str | None, dict[str, int]]
"""Photographs of each diagnosis code by the value of a fact; None stands for not known."""


@dataclass(frozen=True)
class AgeSummary:
    """How old the patients of one diagnosis are, in years, photograph by photograph.

    Attributes:
        n: Photographs with a known age.
        low: The lowest age.
        lower: The lower quartile.
        median: The median.
        upper: The upper quartile.
        high: The highest age.
    """

    n: int
    low: float
    lower: float
    median: float
    upper: float
    high: float


@dataclass(frozen=True)
class Census:
    """What some rows are of.

    Attributes:
        images: How many photographs there are.
        lesions: Of how many lesions.
        dx_images: Photographs of each diagnosis code.
        dx_lesions: Lesions of each, a lesion of several diagnoses counted with each.
        facts: For ``dx_type``, ``sex`` and ``localization`` the photographs by value and diagnosis,
            the commonest value first, those not known last.
        ages: The same by the first year of bands of `AGE_STEP` years, ascending, None last.
        age_summary: Of each diagnosis with a known age.
        multiplicity: By diagnosis, how many of its lesions have 1, 2, 3, … photographs.
        missing: By name of a fact, how many photographs lack it.
        contradictory: Lesions whose photographs bear more than one diagnosis, sorted.
    """

    images: int
    lesions: int
    dx_images: dict[str, int]
    dx_lesions: dict[str, int]
    facts: dict[str, Crossed]
    ages: dict[int | None, dict[str, int]]
    age_summary: dict[str, AgeSummary]
    multiplicity: dict[str, dict[int, int]]
    missing: dict[str, int]
    contradictory: tuple[str, ...]

    @property
    def malignant(self) -> int:
        """Photographs of a malignant diagnosis."""
        return sum(self.dx_images[code] for code in MALIGNANT)

    @property
    def photographs_per_lesion(self) -> dict[int, int]:
        """How many lesions have 1, 2, 3, … photographs, whatever their diagnosis.

        A lesion of several diagnoses counts with each of them.
        """
        counts = Counter[int]()
        for found in self.multiplicity.values():
            counts.update(found)
        return dict(sorted(counts.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python values; what is not known is called ``not known``."""
        plain = asdict(self)
        plain["facts"] = {fact: _named(values) for fact, values in self.facts.items()}
        plain["ages"] = _named(self.ages)
        plain["multiplicity"] = {code: _named(found) for code, found in self.multiplicity.items()}
        return {**plain, "contradictory": list(self.contradictory), "malignant": self.malignant}


@dataclass(frozen=True)
class Exploration:
    """A data set as a whole, and its splits when they were asked for.

    Attributes:
        name: What it is called.
        whole: All of it.
        splits: By name.
        shared_lesions: How many lesions have photographs in more than one split.
        notes: What was noticed while it was read, a sentence each.
    """

    name: str
    whole: Census
    splits: dict[str, Census]
    shared_lesions: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain Python values."""
        found: dict[str, Any] = {"name": self.name, "notes": list(self.notes)}
        found["whole"] = self.whole.to_dict()
        if self.splits:
            found["splits"] = {name: part.to_dict() for name, part in self.splits.items()}
            found["shared_lesions"] = self.shared_lesions
        return found


def explore(
    dataset: Dataset,
    *,
    name: str,
    splits: Mapping[str, Dataset] | None = None,
    notes: tuple[str, ...] = (),
) -> Exploration:
    """Count what a data set holds.

    Args:
        dataset: Rows of the `load_ham10000` schema.
        name: What it is called.
        splits: The same rows parted, as by `dermsim.data.splits.grouped_splits`; None for none.
        notes: What was noticed while it was read.

    Raises:
        ValueError: If there is no row.
    """
    parts = dict(splits or {})
    seen = Counter[str]()
    for part in parts.values():
        seen.update(set(part["lesion_id"]))
    return Exploration(
        name=name,
        whole=take_census(dataset),
        splits={split: take_census(part) for split, part in parts.items()},
        shared_lesions=sum(count > 1 for count in seen.values()),
        notes=notes,
    )


def take_census(dataset: Dataset) -> Census:
    """Count what rows are of; no picture is looked at.

    Raises:
        ValueError: If there is no row.
    """
    if not len(dataset):
        raise Refused("census.nothing")
    records = [_known(record) for record in case_records(dataset)]
    of_lesion: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        of_lesion[record["lesion_id"]][record["dx"]] += 1
    lesions_of = Counter(code for counts in of_lesion.values() for code in counts)
    images_of = Counter(record["dx"] for record in records)
    return Census(
        images=len(records),
        lesions=len(of_lesion),
        dx_images={code: images_of[code] for code in CODES},
        dx_lesions={code: lesions_of[code] for code in CODES},
        facts={
            fact: _crossed((record[fact], record["dx"]) for record in records)
            for fact in ("dx_type", "sex", "localization")
        },
        ages=_age_bands(records),
        age_summary=_age_summary(records),
        multiplicity=_multiplicity(of_lesion),
        missing={fact: sum(record[fact] is None for record in records) for fact in FACTS},
        contradictory=tuple(sorted(name for name, found in of_lesion.items() if len(found) > 1)),
    )


def _known(record: dict[str, Any]) -> dict[str, Any]:
    """Write what is not known in one way, as None."""
    known = {name: None if value == "unknown" else value for name, value in record.items()}
    age = known["age"]
    return {**known, "age": None if age is None or np.isnan(age) else float(age)}


def _crossed(pairs: Any) -> dict[Any, dict[str, int]]:
    """Count diagnoses by value, the commonest value first, None last."""
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for value, code in pairs:
        counts[value][code] += 1
    order = sorted(counts, key=lambda v: (v is None, -counts[v].total(), str(v)))
    return {value: {code: counts[value][code] for code in CODES} for value in order}


def _age_bands(records: list[dict[str, Any]]) -> dict[int | None, dict[str, int]]:
    """Count diagnoses by band of ages, empty bands between others included."""
    first = [
        None if record["age"] is None else int(record["age"] // AGE_STEP * AGE_STEP)
        for record in records
    ]
    found = _crossed(zip(first, (record["dx"] for record in records), strict=True))
    known = [band for band in found if band is not None]
    empty = dict.fromkeys(CODES, 0)
    bands: dict[int | None, dict[str, int]] = {}
    if known:
        for band in range(min(known), max(known) + 1, AGE_STEP):
            bands[band] = found.get(band, dict(empty))
    if None in found:
        bands[None] = found[None]
    return bands


def _age_summary(records: list[dict[str, Any]]) -> dict[str, AgeSummary]:
    summaries = {}
    for code in CODES:
        ages = [r["age"] for r in records if r["dx"] == code and r["age"] is not None]
        if ages:
            quantiles = np.quantile(ages, [0, 0.25, 0.5, 0.75, 1]).tolist()
            summaries[code] = AgeSummary(len(ages), *quantiles)
    return summaries


def _multiplicity(of_lesion: Mapping[str, Counter[str]]) -> dict[str, dict[int, int]]:
    """Count, by diagnosis, the lesions with so many photographs."""
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for found in of_lesion.values():
        for code in found:
            counts[code][found.total()] += 1
    return {code: dict(sorted(counts[code].items())) for code in CODES}


def _named(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {"not known" if name is None else str(name): value for name, value in values.items()}
