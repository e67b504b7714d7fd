"""What is chosen on validation before anything is measured: layers, thresholds, a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES
from dermsim.core.metrics import IntArray, macro_mean
from dermsim.core.refused import Refused
from dermsim.evaluation.explanations.baselines import (
    centred_gaussian,
    edges,
    lesion_spread,
    uniform,
)
from dermsim.evaluation.explanations.explanation_report import GAUSSIAN, RANDOM_WEIGHTS
from dermsim.evaluation.explanations.localization import THRESHOLDS, best_threshold, energy, overlap
from dermsim.evaluation.explanations.subject import Images, Maps, Photographs, Subject
from dermsim.tasks.explain import Plan

if TYPE_CHECKING:
    from dermsim.data.outlines import Outlines

STAGES = 3
"""Last stages of the backbone that each method is tried at."""


@dataclass(frozen=True)
class Sizes:
    """How many photographs of each diagnosis a measure takes; fewer where there are fewer lesions.

    Attributes:
        validation: To choose layers and thresholds on.
        cheap: For what asks the encoder once for a map; None for every photograph, those of one
            lesion included.
        removal: For what takes pixels away, and for how alike maps are.
        slow: For all measures of methods that ask the encoder hundreds of times for one map.
        shortcuts: For swapping backgrounds.
    """

    validation: int = 24
    cheap: int | None = None
    removal: int = 24
    slow: int = 8
    shortcuts: int = 60

    def __post_init__(self) -> None:
        """Refuse nothing and less, and samples that are not part of one another."""
        for name, size in self.to_dict().items():
            if size < 1:
                raise Refused("settings.at_least_one", name=name, size=size)
        if self.slow > self.removal:
            raise Refused("settings.slow", slow=self.slow, removal=self.removal)
        if self.cheap is not None and self.removal > self.cheap:
            raise Refused("settings.removal", removal=self.removal, cheap=self.cheap)

    def at_most(self, count: int) -> Sizes:
        """Return sizes of which none is above `count`, for a quick look.

        Raises:
            ValueError: If `count` is below 1.
        """
        if count < 1:
            raise Refused("settings.photographs", count=count)
        fewer = {name: min(size, count) for name, size in self.to_dict().items()}
        return Sizes(**{**fewer, "cheap": min(self.cheap or count, count)})

    def to_dict(self) -> dict[str, int]:
        """Return how many photographs each measure takes that does not take all."""
        return {name: size for name, size in asdict(self).items() if size is not None}


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be measured of explanations.

    Attributes:
        outlines: Of the lesions in the photographs, those of validation included.
        methods: Keys of `dermsim.core.explain_methods.METHODS`; None for all that the encoder can
            be asked with.
        sizes: How many photographs the measures take.
    """

    outlines: Outlines
    methods: Sequence[str] | None = None
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(frozen=True)
class Settings:
    """How maps are made and cut.

    Attributes:
        plans: How each method is asked, plain and smooth.
        thresholds: By the name of maps, where they are cut for the IoU.
        spread: Width of the centred Gaussian.
    """

    plans: tuple[Plan, ...]
    thresholds: dict[str, float]
    spread: float

    def of(self, *, slow: bool) -> list[Plan]:
        """Return the plans of the methods that are slow, or of the others."""
        return [plan for plan in self.plans if METHODS[plan.method].is_slow == slow]


def baselines(blank: Subject, pixels: Images, labels: IntArray, spread: float) -> Maps:
    """Make the maps that explanations are held against.

    Args:
        blank: An encoder with random weights.
        pixels: ``(N, 3, S, S)``.
        labels: ``(N,)`` the diagnoses that are explained.
        spread: Width of the Gaussian.

    Returns:
        ``(N, S, S)`` by the names of
        `dermsim.evaluation.explanations.explanation_report.BASELINES`.
    """
    count, side = len(pixels), pixels.shape[-1]
    grad_cam = Plan("gradcam", -1)
    return {
        GAUSSIAN: np.repeat(centred_gaussian(side, spread)[None], count, axis=0),
        "uniform": np.repeat(uniform(side)[None], count, axis=0),
        "edges": edges(pixels),
        RANDOM_WEIGHTS: blank.maps(pixels, labels, [grad_cam])[grad_cam.name],
    }


def choose(
    subject: Subject,
    blank: Subject,
    photographs: Photographs,
    methods: Sequence[str],
    *,
    stages: int,
    sizes: Sizes,
) -> Settings:
    """Choose on validation the layer of each method and where its maps are cut.

    Args:
        subject: The checkpoint.
        blank: The same encoder with random weights.
        photographs: Of validation.
        methods: Keys of `dermsim.core.explain_methods.METHODS`.
        stages: How many stages the backbone has.
        sizes: How many photographs to take.
    """
    rows = photographs.sample(sizes.validation)
    pixels, outlines = photographs.pixels(rows), photographs.outlines[rows]
    labels, true = subject.probabilities(pixels).argmax(axis=1), photographs.labels[rows]
    cams = [m for m in methods if not (METHODS[m].needs_attention or METHODS[m].is_slow)]
    best: dict[str, tuple[float, Plan]] = {}
    for stage in range(1, min(STAGES, stages) + 1):
        tried = [Plan(method, -stage) for method in cams]
        # together, as methods that read the same features share the forward pass
        for plan, maps in zip(tried, subject.maps(pixels, labels, tried).values(), strict=True):
            mean = macro_mean(energy(maps, outlines), true, len(CODES))
            best[plan.method] = max(
                best.get(plan.method, (-1.0, plan)), (mean, plan), key=itemgetter(0)
            )
    settings = Settings(
        plans=tuple(plan for method in methods for plan in _plans(method, best)),
        thresholds={},
        spread=lesion_spread(outlines),
    )

    drawn = subject.maps(pixels, labels, settings.of(slow=False))
    drawn |= baselines(blank, pixels, labels, settings.spread)
    cuts = {name: _threshold(found, outlines, true) for name, found in drawn.items()}
    few = np.isin(rows, photographs.sample(min(sizes.slow, sizes.validation)))
    slow = subject.maps(pixels[few], labels[few], settings.of(slow=True))
    cuts |= {name: _threshold(found, outlines[few], true[few]) for name, found in slow.items()}
    return replace(settings, thresholds=cuts)


def first_plan(method: str) -> Plan:
    """Return where a method is asked unless another layer is chosen for it: where heads begin.

    Score-CAM asks the encoder once for every channel, and there are fewer after the last stage.
    """
    return Plan(method, -1 if method == "scorecam" else None)


def _plans(method: str, best: Mapping[str, tuple[float, Plan]]) -> list[Plan]:
    """Return how a method is asked: plain and smooth, or once where that is slow enough."""
    if METHODS[method].is_slow:
        return [first_plan(method)]
    plain = first_plan(method) if METHODS[method].needs_attention else best[method][1]
    return [plain, replace(plain, smooth=True)]


def _threshold(
    maps: npt.NDArray[np.float32], outlines: npt.NDArray[np.bool_], labels: IntArray
) -> float:
    overlaps = overlap(maps, outlines)
    return THRESHOLDS[best_threshold(overlaps, labels, num_classes=len(CODES))]
