"""Measures on validation what a checkpoint's heatmaps are worth, for the checkpoint to keep.

It is the part of `dermsim.evaluation.explanations.measure` that a reader of a heatmap needs, and
that a choice of method may be made by: on other lesions than the layers are chosen on, and with
energy on more photographs than ROAD, whose pictures are slow to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dermsim.core.bootstrap import DECIMALS, Bootstrap
from dermsim.core.explain_methods import METHODS
from dermsim.core.explain_worth import FIGURES, ExplanationWorth, MethodWorth
from dermsim.core.labels import CODES
from dermsim.core.metrics import FloatArray, IntArray, macro_mean
from dermsim.core.refused import Refused
from dermsim.evaluation.explanations.baselines import centred_gaussian, lesion_spread
from dermsim.evaluation.explanations.explanation_report import GAUSSIAN
from dermsim.evaluation.explanations.ledger import Ledger
from dermsim.evaluation.explanations.localization import energy
from dermsim.evaluation.explanations.removal import FRACTIONS, Filler, ranking, without
from dermsim.evaluation.explanations.settings import STAGES, first_plan
from dermsim.evaluation.explanations.subject import Images, Photographs, Subject
from dermsim.tasks.explain import Plan

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.data.outlines import Outlines
    from dermsim.engine import DermSim

CHOOSING = 1 / 3
"""Share of the lesions of a rare diagnosis that layers are chosen on."""

CHUNK = 4
"""Photographs measured at a time: each has ten versions of it for every method."""


@dataclass(frozen=True)
class Counts:
    """How many photographs of each diagnosis are looked at, each of another lesion.

    Attributes:
        choosing: To choose layers on; of a rare diagnosis at most `CHOOSING` of its lesions.
        energy: For what asks the encoder once for a map.
        road: Of these, for what takes pixels away.
    """

    choosing: int = 8
    energy: int = 24
    road: int = 8

    def __post_init__(self) -> None:
        """Refuse nothing and less, and a part that is larger than the whole."""
        if min(self.choosing, self.road) < 1 or self.road > self.energy:
            raise Refused("explanation_worth.counts", **vars(self))


def measure_worth(
    engine: DermSim,
    rows: Dataset,
    outlines: Outlines,
    *,
    dataset: str,
    split: str,
    counts: Counts | None = None,
    methods: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> ExplanationWorth:
    """Measure what heatmaps are worth beside a blob in the middle.

    Explained is the most probable diagnosis, whether it is right or not. Figures are means over
    photographs and then over diagnoses.

    Args:
        engine: The checkpoint.
        rows: Photographs of lesions that it was not trained on.
        outlines: Of the lesions in them.
        dataset: What the photographs are called.
        split: Which part of the data they are.
        counts: How many photographs to take.
        methods: Only these; all that the encoder can be asked with when empty.
        resamples: Lesion-bootstrap resamples.
        seed: Of the resamples and of all else that is left to chance.

    Raises:
        ValueError: If a method is unknown or not for this encoder, or a photograph has no outline.
    """
    possible = [method.name for method in engine.explanation_methods()]
    if wrong := sorted(set(methods) - set(possible)):
        raise Refused("measure.method", wrong=wrong[0], possible=possible)
    subject, counts = Subject(engine), counts or Counts()
    photographs = Photographs(rows, outlines, subject)
    choosing, measured = _parts(photographs, counts)
    asked = [name for name in possible if not methods or name in methods]
    stages = min(STAGES, len(engine.explanation_stages()))
    plans = choose_layers(subject, photographs, choosing, asked, stages=stages)
    spread = lesion_spread(photographs.outlines[choosing])
    ledger = Ledger(photographs.labels, Bootstrap(photographs.lesion_ids, resamples, seed))
    measure = _Measure(subject, photographs, ledger, plans, spread, seed)
    for start in tqdm(range(0, len(measured), CHUNK), unit=f"x {CHUNK} pictures", disable=None):
        part = measured[start : start + CHUNK]
        taken = np.isin(part, _few(photographs, measured, counts.road))
        measure.run(part, taken)
    for name in ("energy", "road"):
        ledger.write_gain(name, f"{name}_gain", over=GAUSSIAN)
    return ExplanationWorth(
        fingerprint=engine.fingerprint,
        dataset=dataset,
        split=split,
        methods=tuple(_worth_of(plan, ledger) for plan in plans),
        spread=round(spread, DECIMALS),
    )


def _worth_of(plan: Plan, ledger: Ledger) -> MethodWorth:
    figures = ledger.figures(plan.name)
    return MethodWorth(
        plan.method, plan.stage, **{name: figures[name] for name in FIGURES if name in figures}
    )


def choose_layers(
    subject: Subject,
    photographs: Photographs,
    rows: IntArray,
    methods: Sequence[str],
    *,
    stages: int,
) -> list[Plan]:
    """Choose for each method the layer at which most of its map lies inside the outlines.

    Args:
        subject: The checkpoint.
        photographs: Those to choose on among others.
        rows: ``(n,)`` numbers of those to choose on.
        methods: Keys of `METHODS`.
        stages: Last stages to try, beside where the heads begin. Methods that are slow, and those
            that need no features, are asked there alone.
    """
    pixels, outlines = photographs.pixels(rows), photographs.outlines[rows]
    labels, true = subject.probabilities(pixels).argmax(axis=1), photographs.labels[rows]
    best = {name: (-1.0, first_plan(name)) for name in methods}
    free = [n for n in methods if not (METHODS[n].needs_attention or METHODS[n].is_slow)]
    for stage in (None, *(-number for number in range(1, stages + 1))):
        tried = [Plan(name, stage) for name in free]
        for plan, maps in zip(tried, subject.maps(pixels, labels, tried).values(), strict=True):
            mean = macro_mean(energy(maps, outlines), true, len(CODES))
            if mean > best[plan.method][0]:
                best[plan.method] = mean, plan
    return [plan for _, plan in best.values()]


class _Measure:
    """Photographs being measured: everything is written into the ledger."""

    def __init__(
        self,
        subject: Subject,
        photographs: Photographs,
        ledger: Ledger,
        plans: Sequence[Plan],
        spread: float,
        seed: int,
    ) -> None:
        self._subject, self._photographs, self._ledger = subject, photographs, ledger
        self._plans, self._seed = plans, seed
        self._blob = centred_gaussian(subject.side, spread)
        self._filler = Filler(subject.side)

    def run(self, rows: IntArray, taken: npt.NDArray[np.bool_]) -> None:
        """Measure where maps lie, and of those taken whether the model cares."""
        pixels, outlines = self._photographs.pixels(rows), self._photographs.outlines[rows]
        labels = self._subject.probabilities(pixels).argmax(axis=1)
        slow = [plan for plan in self._plans if METHODS[plan.method].is_slow]
        fast = [plan for plan in self._plans if plan not in slow]
        maps = self._subject.maps(pixels, labels, fast)
        maps[GAUSSIAN] = np.repeat(self._blob[None], len(rows), axis=0)
        for name, found in maps.items():
            self._ledger.write(name, "energy", rows, energy(found, outlines))
        few = rows[taken]
        if len(few) == 0:
            return
        for name, found in self._subject.maps(pixels[taken], labels[taken], slow).items():
            maps[name] = found
            self._ledger.write(name, "energy", few, energy(found, outlines[taken]))
        for name, found in maps.items():
            kept = found if name in {plan.name for plan in slow} else found[taken]
            self._ledger.write(
                name, "road", few, self._road(few, pixels[taken], labels[taken], kept)
            )

    def _road(self, rows: IntArray, pixels: Images, labels: IntArray, maps: Images) -> FloatArray:
        """Take pixels away, least and most relevant first: the difference that makes."""

        def versions(place: int) -> Images:
            rng = self._photographs.rng(int(rows[place]), self._seed)
            image, order = pixels[place], ranking(maps[place], rng)
            taken = [without(image, o, self._filler, rng) for o in (order, order[::-1])]
            return np.concatenate(taken)

        with ThreadPoolExecutor() as pool:  # the solver of `Filler` works outside of Python's lock
            made = list(pool.map(versions, range(len(rows))))
        said = self._subject.probabilities(np.concatenate(made))
        said = said.reshape(len(rows), 2, len(FRACTIONS), -1).mean(axis=2)
        most, least = (said[np.arange(len(rows)), way, labels] for way in (0, 1))
        return least - most


def _parts(photographs: Photographs, counts: Counts) -> tuple[IntArray, IntArray]:
    """Divide photographs: those to choose layers on, and those of other lesions to measure on."""
    choosing, measured = [], []
    every = photographs.sample(len(photographs))
    for label in range(len(CODES)):
        own = every[photographs.labels[every] == label]
        first = min(counts.choosing, int(len(own) * CHOOSING))
        choosing += own[:first].tolist()
        measured += own[first : first + counts.energy].tolist()
    if not choosing or not measured:
        raise Refused("explanation_worth.too_few")
    return np.array(choosing), np.array(measured)


def _few(photographs: Photographs, rows: IntArray, per_class: int) -> IntArray:
    """Return the first of each diagnosis."""
    own = [rows[photographs.labels[rows] == label][:per_class] for label in range(len(CODES))]
    return np.concatenate(own)
