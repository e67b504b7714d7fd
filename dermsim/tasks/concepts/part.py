"""What a checkpoint knows of concepts: ``concepts.json`` and ``concepts.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Interval
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys, load_json, read_arrays, save_arrays, save_json
from dermsim.tasks.concepts.bottleneck import Bottleneck
from dermsim.tasks.concepts.cases import CaseConcepts
from dermsim.tasks.concepts.dense import DenseHead
from dermsim.tasks.concepts.heads import ConceptHead, ConceptHeads
from dermsim.tasks.concepts.regions import RegionFigures

JSON, ARRAYS = "concepts.json", "concepts.safetensors"
"""The two files of the part; a checkpoint has both or neither."""

_KEYS = {
    "fingerprint",
    "sources",
    "heads",
    "structures",
    "transfers",
    "outline",
    "bottleneck",
    "cases",
}


NO_HEADS = ConceptHeads((), np.zeros((0, 0), np.float32), np.zeros(0, np.float32))
"""What a checkpoint has before anything was fitted."""


@dataclass(frozen=True, eq=False)
class Structures:
    """Where the concepts of one data set are.

    Attributes:
        source: The data set whose outlines supervised it.
        concepts: K names, of the outputs.
        head: Gives a map of each.
        figures: How well each map ranks the pixels of lesions held out; a concept without any has
            too few outlines to measure.
    """

    source: str
    concepts: tuple[str, ...]
    head: DenseHead
    figures: Mapping[str, RegionFigures]

    def may_point(self, concept: str) -> bool:
        """Say whether a sentence about the concept may say where it is."""
        return concept in self.figures and self.figures[concept].may_point


@dataclass(frozen=True, eq=False)
class Outline:
    """Where the lesion is.

    Attributes:
        source: The data set whose outlines supervised it.
        head: Gives one map.
        dice: Against outlines of lesions held out.
        overlap: Intersection over union with them.
    """

    source: str
    head: DenseHead
    dice: Interval
    overlap: Interval


@dataclass(frozen=True)
class Transfer:
    """How a head of one data set answers about another, for a concept that both label.

    Attributes:
        concept: Its name, which both use.
        fitted_to: The data set of the head.
        asked_of: The data set it was asked of.
        auc: There.
    """

    concept: str
    fitted_to: str
    asked_of: str
    auc: Interval

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            "concept": self.concept,
            "fitted_to": self.fitted_to,
            "asked_of": self.asked_of,
            "auc": self.auc.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class Concepts:
    """Everything that was fitted about concepts, to one encoder.

    Attributes:
        fingerprint: Names the encoder.
        heads: Say whether a concept is there.
        sources: By data set its provenance: title, licence, pictures, groups, folds, seed.
        structures: Say where, by data set.
        transfers: Between data sets that share a name.
        outline: Of the lesion, or None.
        bottleneck: Melanoma from concepts alone, or None.
        cases: What the heads say of the gallery's cases, or None where nobody looked.
    """

    fingerprint: str
    heads: ConceptHeads = NO_HEADS
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    structures: Mapping[str, Structures] = field(default_factory=dict)
    transfers: tuple[Transfer, ...] = ()
    outline: Outline | None = None
    bottleneck: Bottleneck | None = None
    cases: CaseConcepts | None = None

    @property
    def usable(self) -> ConceptHeads:
        """The heads that may be shown."""
        rows = [row for row, head in enumerate(self.heads.heads) if head.usable]
        return self.heads.take(rows)

    def name_of(self, head: ConceptHead) -> str:
        """Return what a head is called: its concept, and its data set where several share it."""
        shared = sum(other.concept == head.concept for other in self.usable.heads)
        return head.concept if shared < 2 else head.key

    def may_point(self, head: ConceptHead) -> bool:
        """Say whether a sentence about a head's concept may say where it is."""
        own = self.structures.get(head.source)
        return own is not None and own.may_point(head.concept)

    def head_of(self, name: str) -> ConceptHead:
        """Return the usable head that is called so, as `name_of` calls it.

        Raises:
            ValueError: If there is none.
        """
        for head in self.usable.heads:
            if name in (self.name_of(head), head.key):
                return head
        known = [self.name_of(head) for head in self.usable.heads]
        raise Refused("part.no_head", name=name, known=known)

    def with_source(
        self,
        heads: ConceptHeads,
        provenance: Mapping[str, Any],
        *,
        source: str,
        structures: Structures | None = None,
        transfers: tuple[Transfer, ...] = (),
    ) -> Concepts:
        """Return this with what was fitted to a data set, in place of what was before.

        A bottleneck that reads heads of this data set is dropped, and so is what they said of the
        gallery: both were fitted to their scores.
        """
        kept = {name: own for name, own in self.structures.items() if name != source}
        if structures is not None:
            kept[source] = structures
        others = tuple(t for t in self.transfers if source not in (t.fitted_to, t.asked_of))
        reads = self.bottleneck is not None and any(
            key.endswith(f"@{source}") for key in self.bottleneck.inputs
        )
        return replace(
            self,
            heads=self.heads.without(source).join(heads),
            sources={**self.sources, source: dict(provenance)},
            structures=kept,
            transfers=(*others, *transfers),
            bottleneck=None if reads else self.bottleneck,
            cases=None,
        )

    def save(self, folder: str | Path) -> None:
        """Write into a folder the two files that `load` reads."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "heads.weight": self.heads.weight,
            "heads.bias": self.heads.bias,
        }
        structures = {}
        for name, own in self.structures.items():
            arrays |= own.head.arrays(f"structures.{name}")
            figures = {concept: found.to_dict() for concept, found in own.figures.items()}
            structures[name] = {
                "concepts": list(own.concepts),
                "grid": own.head.grid,
                "figures": figures,
            }
        outline = None
        if self.outline is not None:
            arrays |= self.outline.head.arrays("outline")
            outline = {
                "source": self.outline.source,
                "grid": self.outline.head.grid,
                "dice": self.outline.dice.to_dict(),
                "overlap": self.outline.overlap.to_dict(),
            }
        if self.cases is not None:
            arrays |= self.cases.arrays()
        save_arrays(Path(folder) / ARRAYS, arrays, facts={"fingerprint": self.fingerprint})
        values = {
            "fingerprint": self.fingerprint,
            "sources": self.sources,
            "heads": [head.to_dict() for head in self.heads.heads],
            "structures": structures,
            "transfers": [transfer.to_dict() for transfer in self.transfers],
            "outline": outline,
            "bottleneck": None if self.bottleneck is None else self.bottleneck.to_dict(),
            "cases": None if self.cases is None else list(self.cases.keys),
        }
        save_json(Path(folder) / JSON, values)

    @classmethod
    def load(cls, folder: str | Path, *, fingerprint: str | None = None) -> Concepts | None:
        """Read what `save` wrote.

        Args:
            folder: Of a checkpoint.
            fingerprint: Names its encoder; None to skip the comparison.

        Returns:
            None where the checkpoint has no such part.

        Raises:
            FileNotFoundError: If it has one of the two files only.
            ValueError: If they are damaged, or were made by another encoder.
        """
        if not any((Path(folder) / name).exists() for name in (JSON, ARRAYS)):
            return None
        values: dict[str, Any] = load_json(Path(folder) / JSON, keys=_KEYS)
        arrays, facts = read_arrays(Path(folder) / ARRAYS)
        for name, told in ((JSON, values["fingerprint"]), (ARRAYS, facts.get("fingerprint"))):
            if told != (fingerprint or values["fingerprint"]):
                raise Refused("part.other_encoder", name=name)
        try:
            return cls._from(values, arrays)
        except (AttributeError, KeyError, TypeError) as error:
            raise Refused("part.damaged", json=JSON, error=repr(error)) from error

    @classmethod
    def _from(
        cls, values: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[np.generic]]
    ) -> Concepts:
        heads = ConceptHeads(
            tuple(ConceptHead.from_dict(own) for own in values["heads"]),
            arrays["heads.weight"].astype(np.float32),
            arrays["heads.bias"].astype(np.float32),
        )
        structures = {
            name: Structures(
                name,
                tuple(own["concepts"]),
                DenseHead.from_arrays(arrays, f"structures.{name}", grid=own["grid"]),
                {key: RegionFigures.from_dict(found) for key, found in own["figures"].items()},
            )
            for name, own in values["structures"].items()
        }
        for own in structures.values():
            if len(own.concepts) != len(own.head.output):
                raise Refused("part.other_regions", source=own.source)
        outline, bottleneck, cases = (values[name] for name in ("outline", "bottleneck", "cases"))
        return cls(
            fingerprint=str(values["fingerprint"]),
            heads=heads,
            sources=dict(values["sources"]),
            structures=structures,
            transfers=tuple(
                Transfer(own["concept"], own["fitted_to"], own["asked_of"], Interval(**own["auc"]))
                for own in map(_transfer, values["transfers"])
            ),
            outline=outline
            and Outline(
                outline["source"],
                DenseHead.from_arrays(arrays, "outline", grid=outline["grid"]),
                Interval(**outline["dice"]),
                Interval(**outline["overlap"]),
            ),
            bottleneck=bottleneck and Bottleneck.from_dict(bottleneck),
            cases=None if cases is None else CaseConcepts.from_arrays(arrays, cases),
        )


def _transfer(values: object) -> dict[str, Any]:
    return check_keys(
        values, {"concept", "fitted_to", "asked_of", "auc"}, name=Phrase("part.transfer")
    )
