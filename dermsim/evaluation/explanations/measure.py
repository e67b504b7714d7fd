"""Measures a checkpoint's explanations on a held-out split.

What is cheap is measured on every photograph. What asks the encoder again and again is measured on
a fixed part of them, balanced over the diagnoses
(`dermsim.evaluation.explanations.settings.Sizes`), so that a split is done within an hour on two
cores with the released encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dermsim.core.bootstrap import DECIMALS, Bootstrap
from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES
from dermsim.core.metrics import FloatArray, IntArray
from dermsim.core.refused import Refused
from dermsim.evaluation.explanations import shortcuts
from dermsim.evaluation.explanations.agreement import TURNS, correlation
from dermsim.evaluation.explanations.explanation_report import (
    BASELINES,
    GAUSSIAN,
    ExplanationReport,
    MapReport,
)
from dermsim.evaluation.explanations.ledger import Ledger
from dermsim.evaluation.explanations.localization import THRESHOLDS, energy, overlap, pointing
from dermsim.evaluation.explanations.removal import (
    FRACTIONS,
    STEPS,
    Filler,
    area_under,
    deletion,
    insertion,
    ranking,
    without,
)
from dermsim.evaluation.explanations.settings import Asked, Settings, Sizes, baselines, choose
from dermsim.evaluation.explanations.subject import Images, Maps, Photographs, Subject
from dermsim.evaluation.explanations.untrained import untrained
from dermsim.tasks.explain import Plan

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim
    from dermsim.evaluation.report import Report

SWAPS = 2
"""Photographs that each is swapped with."""

NEIGHBORS = 5
"""Cases that are found for each region."""

CHUNK = 8
"""Photographs measured at a time: each has 32 versions of it for every kind of maps."""

FRESH = 1_000_003
"""Added to the seed for random weights: an encoder may have been trained from those of the seed."""

BY_CLASS = ("pointing", "energy", "iou", "road")
"""Measures that are kept for each diagnosis."""


def examine_explanations(
    engine: DermSim,
    rows: Dataset,
    validation: Dataset,
    asked: Asked,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> ExplanationReport:
    """Measure the explanations of a checkpoint.

    Args:
        engine: The checkpoint.
        rows: Held-out photographs, rows of the `load_ham10000` schema.
        validation: Others, to choose each method's layer and threshold on.
        asked: What to measure, and the outlines of both.
        resamples: Lesion-bootstrap resamples.
        seed: Of the resamples and of all else that is left to chance.

    Raises:
        ValueError: If a method is unknown or not for this encoder, or a photograph has no outline.
    """
    possible = [method.name for method in engine.explanation_methods()]
    methods = possible if asked.methods is None else asked.methods
    if wrong := sorted(set(methods) - set(possible)):
        raise Refused("measure.method", wrong=wrong[0], possible=list(possible))
    subject = Subject(engine)
    blank = Subject(engine, untrained(engine.model, seed=seed + FRESH))
    settings = choose(
        subject,
        blank,
        Photographs(validation, asked.outlines, subject),
        [name for name in possible if name in methods],
        stages=len(engine.explanation_stages()),
        sizes=asked.sizes,
    )
    photographs = Photographs(rows, asked.outlines, subject)
    ledger = Ledger(photographs.labels, Bootstrap(photographs.lesion_ids, resamples, seed))
    examination = _Examination(subject, blank, photographs, ledger, settings, seed)
    examination.localize(asked.sizes)
    examination.remove_and_compare(asked.sizes)
    examination.swap(asked.sizes)
    examination.search(engine, asked.sizes)
    return _report(ledger, settings, asked.sizes, engine.explanation_stages())


def with_explanations(
    report: Report, engine: DermSim, rows: Dataset, validation: Dataset, asked: Asked
) -> Report:
    """Return a report of the same photographs with their explanations measured as well.

    Args:
        report: What was measured of `rows` so far.
        engine: As for `examine_explanations`, as are the others.
        rows: The photographs.
        validation: Others, to choose on.
        asked: What to measure.
    """
    found = examine_explanations(
        engine, rows, validation, asked, resamples=report.resamples, seed=report.seed
    )
    return replace(report, explanations=found)


class _Examination:
    """One split being measured: everything writes into the ledger."""

    def __init__(
        self,
        subject: Subject,
        blank: Subject,
        photographs: Photographs,
        ledger: Ledger,
        settings: Settings,
        seed: int,
    ) -> None:
        self._subject, self._blank = subject, blank
        self._photographs, self._ledger = photographs, ledger
        self._settings, self._seed = settings, seed
        self._filler = Filler(subject.side)

    def localize(self, sizes: Sizes) -> None:
        """Compare maps with outlines; those of slow methods come later."""
        for rows in _chunks(self._cheap(sizes), 8 * CHUNK, "where maps lie"):
            pixels, labels = self._asked(rows)
            self._locate(rows, self._draw(pixels, labels, self._settings.of(slow=False)))
        self._ledger.write_gain("energy", "energy_gain", over=GAUSSIAN)

    def remove_and_compare(self, sizes: Sizes) -> None:
        """Take away what maps mark, and compare maps with each other, on a part."""
        slow = [plan.name for plan in self._settings.of(slow=True)]
        for rows in _chunks(self._photographs.sample(sizes.removal), CHUNK, "what maps matter"):
            pixels, labels = self._asked(rows)
            maps = self._draw(pixels, labels, self._settings.of(slow=False))
            self._probe(rows, pixels, labels, maps, list(maps))
        for rows in _chunks(self._photographs.sample(sizes.slow), CHUNK, "slow methods"):
            if slow:
                pixels, labels = self._asked(rows)
                maps = self._draw(pixels, labels, self._settings.plans)
                self._locate(rows, {name: maps[name] for name in slow})
                self._probe(rows, pixels, labels, maps, slow)
        self._ledger.write_gain("energy", "energy_gain", over=GAUSSIAN)
        self._ledger.write_gain("road", "road_gain", over=GAUSSIAN)

    def swap(self, sizes: Sizes) -> None:
        """Exchange lesions and backgrounds, on a part."""
        sample = self._photographs.sample(sizes.shortcuts)
        sample = sample[shortcuts.has_room(self._photographs.outlines[sample])]
        cutouts = []
        for rows in _chunks(sample, 8 * CHUNK, "cutting out lesions"):
            pixels, outlines = self._photographs.pixels(rows), self._photographs.outlines[rows]
            for row, image, outline in zip(rows, pixels, outlines, strict=True):
                rng = self._photographs.rng(row, self._seed)
                cutouts.append(shortcuts.cut_out(image, outline, self._filler, rng))
        partners = shortcuts.draw_partners(
            self._photographs.labels[sample],
            [self._photographs.lesion_ids[row] for row in sample],
            count=SWAPS,
            rng=np.random.default_rng(self._seed),
        )
        for places in _chunks(np.arange(len(sample)), CHUNK, "swapping backgrounds"):
            found = shortcuts.measure(cutouts, partners, self._subject.probabilities, rows=places)
            for name, values in found.items():
                self._ledger.write("shortcuts", name, sample[places], values)

    def search(self, engine: DermSim, sizes: Sizes) -> None:
        """Ask the gallery with the lesion alone."""
        for rows in _chunks(self._cheap(sizes), 8 * CHUNK, "searching"):
            pixels, outlines = self._photographs.pixels(rows), self._photographs.outlines[rows]
            lesions = [self._photographs.lesion_ids[row] for row in rows]
            codes = [CODES[label] for label in self._photographs.labels[rows]]
            precision = []
            for regions in (outlines, np.ones_like(outlines)):
                found = engine.search(
                    self._subject.embeddings(pixels, regions),
                    NEIGHBORS,
                    exclude_lesion_ids=lesions,
                )
                hits = [
                    np.mean([neighbor.dx == code for neighbor in neighbors])
                    for neighbors, code in zip(found, codes, strict=True)
                ]
                precision.append(np.array(hits))
            self._ledger.write("regions", "region_precision_at_5", rows, precision[0])
            self._ledger.write("regions", "region_gain", rows, precision[0] - precision[1])

    def _cheap(self, sizes: Sizes) -> IntArray:
        """Return the photographs for what is cheap: all, unless a quick look was asked for."""
        if sizes.cheap is None:
            return np.arange(len(self._photographs))
        return self._photographs.sample(sizes.cheap)

    def _asked(self, rows: IntArray) -> tuple[Images, IntArray]:
        """Return photographs and the diagnosis to explain of each, the most probable."""
        pixels = self._photographs.pixels(rows)
        return pixels, self._subject.probabilities(pixels).argmax(axis=1)

    def _draw(self, pixels: Images, labels: IntArray, plans: Sequence[Plan]) -> Maps:
        """Make maps as planned, and those that they are held against."""
        maps = self._subject.maps(pixels, labels, plans)
        return maps | baselines(self._blank, pixels, labels, self._settings.spread)

    def _locate(self, rows: IntArray, maps: Maps) -> None:
        outlines = self._photographs.outlines[rows]
        for name, found in maps.items():
            cut = THRESHOLDS.index(self._settings.thresholds[name])
            self._ledger.write(name, "pointing", rows, pointing(found, outlines))
            self._ledger.write(name, "energy", rows, energy(found, outlines))
            self._ledger.write(name, "iou", rows, overlap(found, outlines)[:, cut])

    def _probe(
        self, rows: IntArray, pixels: Images, labels: IntArray, maps: Maps, names: Sequence[str]
    ) -> None:
        """Measure some of the maps, all of which they are compared with."""
        for name in names:
            self._remove(name, rows, pixels, labels, maps[name])
        others = [plan.name for plan in self._settings.plans if not plan.smooth]
        for name in names:
            like = [
                correlation(maps[name], maps[other])
                for other in others
                if other in maps and other != name.removesuffix(" smooth")
            ]
            if like:
                self._ledger.write(name, "agreement", rows, np.mean(like, axis=0))
        plans = [plan for plan in self._settings.plans if plan.name in names]
        for name, found in self._blank.maps(pixels, labels, plans).items():
            self._ledger.write(name, "sanity", rows, correlation(maps[name], found))
        steady = {name: np.zeros(len(rows)) for name in names}
        for turn in TURNS:
            turned = np.ascontiguousarray(turn.there(pixels), dtype=np.float32)
            seen = self._draw(turned, labels, plans)
            for name in names:
                steady[name] += correlation(maps[name], turn.back(seen[name])) / len(TURNS)
        for name, values in steady.items():
            self._ledger.write(name, "stability", rows, values)

    def _remove(
        self,
        name: str,
        rows: IntArray,
        pixels: Images,
        labels: IntArray,
        maps: npt.NDArray[np.float32],
    ) -> None:
        """Take pixels away in the order of maps, and ask for the diagnosis again each time."""

        def versions(place: int) -> Images:
            rng = self._photographs.rng(int(rows[place]), self._seed)
            image, order = pixels[place], ranking(maps[place], rng)
            return np.concatenate(
                [
                    without(image, order, self._filler, rng),
                    without(image, order[::-1], self._filler, rng),
                    deletion(image, order),
                    insertion(image, order),
                ]
            )

        with ThreadPoolExecutor() as pool:  # the solver of `Filler` works outside of Python's lock
            made = list(pool.map(versions, range(len(rows))))
        said = self._subject.probabilities(np.concatenate(made)).reshape(
            len(rows), len(made[0]), -1
        )
        asked: FloatArray = said[np.arange(len(rows)), :, labels]
        road = len(FRACTIONS)
        most, least, deleted, inserted = np.split(asked, np.cumsum([road, road, STEPS + 1]), axis=1)
        self._ledger.write(name, "road_most", rows, most.mean(axis=1))
        self._ledger.write(name, "road_least", rows, least.mean(axis=1))
        self._ledger.write(name, "road", rows, (least - most).mean(axis=1))
        self._ledger.write(name, "insertion", rows, area_under(inserted))
        self._ledger.write(name, "deletion", rows, area_under(deleted))


def _report(
    ledger: Ledger, settings: Settings, sizes: Sizes, stages: Sequence[str]
) -> ExplanationReport:
    places = {plan.name: _place(plan, stages) for plan in settings.plans}
    maps = {
        name: MapReport(
            place=places.get(name, ""),
            threshold=settings.thresholds[name],
            figures=ledger.figures(name),
            by_class=ledger.figures_by_class(name, BY_CLASS),
        )
        for name in (*places, *BASELINES)
    }
    return ExplanationReport(
        maps=maps,
        shortcuts=ledger.figures("shortcuts"),
        shortcuts_by_class=ledger.figures_by_class("shortcuts"),
        regions=ledger.figures("regions"),
        regions_by_class=ledger.figures_by_class("regions"),
        spread=round(settings.spread, DECIMALS),
        per_class=sizes.to_dict(),
    )


def _place(plan: Plan, stages: Sequence[str]) -> str:
    if plan.stage is None:
        return "every block" if METHODS[plan.method].needs_attention else "where the heads begin"
    return stages[plan.stage]


def _chunks(rows: IntArray, size: int, title: str) -> Iterator[IntArray]:
    starts = range(0, len(rows), size)
    for start in tqdm(starts, desc=title, unit=f"x {size} pictures", disable=None):
        yield rows[start : start + size]
