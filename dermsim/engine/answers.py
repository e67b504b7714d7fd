"""What is said of photographs: each verb once, as values that every front only presents.

The command line, REST, the tools for assistants and the page ask these functions. They refuse what
they cannot do with a `ValueError` of one sentence, and know nothing of how an answer is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dermsim.core.explain_methods import CLEAR, DEFAULT, VANISHED, parse_target
from dermsim.core.explain_worth import Worth
from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.facts import Facts
from dermsim.data.images import read_image
from dermsim.tasks.classify import POINTS

if TYPE_CHECKING:  # they bring torch, and a page is served while that loads
    from dermsim.data.images import ImageSource
    from dermsim.engine.dermsim import DermSim
    from dermsim.engine.explain import Like
    from dermsim.engine.results import Prediction, SimilarCases
    from dermsim.tasks.enroll import ClassBank, EnrollmentReport
    from dermsim.tasks.explain import Heatmap

FAINTEST = 1e-6
"""Peak of a likeness to an enrolled class below which there is rounding alone."""

SIMILARITY = "similarity"
"""What the target of a map of likeness is called."""


@dataclass(frozen=True)
class Classified:
    """What a photograph may show.

    Attributes:
        prediction: The classifier's answer, with the verdict at the operating point asked for.
        vote: Probability of each diagnosis by the vote of the nearest past cases.
        enrolled: Probability of each old and enrolled class; None without a bank.
    """

    prediction: Prediction
    vote: dict[str, float]
    enrolled: dict[str, float] | None = None

    @property
    def answer(self) -> dict[str, object]:
        """The label to read, its probability and which of the probabilities say so.

        With a bank that is the likeliest of all its classes, old and new. There is none where the
        verdict is withheld.
        """
        said, source = self.prediction.probabilities, "probabilities"
        if self.enrolled is not None:
            said, source = self.enrolled, "enrolled"
        label = max(said, key=lambda name: said[name])
        given = not self.prediction.withheld
        return {
            "label": label if given else None,
            "probability": said[label] if given else None,
            "of": source,
        }

    @property
    def agrees(self) -> bool | None:
        """Whether the past cases vote for the classifier's label; None where nothing may be said.

        That is so without a vote, and where the verdict is withheld.
        """
        if not self.vote or self.prediction.withheld:
            return None
        return max(self.vote, key=lambda code: self.vote[code]) == self.prediction.label_name

    def to_dict(self) -> dict[str, object]:
        """Return the answer as plain Python values, without classes where there is no bank."""
        found = {"answer": self.answer, **self.prediction.to_dict(), "vote": self.vote}
        found["agrees"] = self.agrees
        return found if self.enrolled is None else {**found, "enrolled": self.enrolled}


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where a photograph holds evidence, or two what makes them alike.

    Attributes:
        pictures: The photographs explained, as they were given.
        heatmaps: Where the evidence lies, one for each.
        strengths: How strongly each is to be drawn, in [0, 1]; see `strength`.
        answer: Target of the model's own answer.
        worth: What the maps were measured to be worth.
    """

    pictures: tuple[ImageSource, ...]
    heatmaps: tuple[Heatmap, ...]
    strengths: tuple[float, ...]
    answer: str = ""
    worth: Worth = field(default_factory=Worth)

    def to_dict(self) -> dict[str, object]:
        """Return what can be said in numbers; of a second photograph the peak alone."""
        first, *others = self.heatmaps
        found = {
            "target": first.target,
            "method": first.method,
            "score": first.score,
            "peak": first.peak,
        }
        if others:
            found["peak_like"] = others[0].peak
        return {**found, "strength": self.strengths[0], "worth": self.worth.to_dict()}


def classify(
    engine: DermSim,
    pictures: Sequence[ImageSource],
    *,
    facts: Facts | Sequence[Facts | None] | None = None,
    bank: ClassBank | None = None,
    operating_point: str | float = POINTS[0],
    exclude_lesion_ids: Sequence[str] = (),
) -> list[Classified]:
    """Say what each photograph may show.

    Args:
        engine: The loaded checkpoint.
        pictures: PIL images, paths or bytes.
        facts: What is known of the patient in all of them, or in each; None for nothing.
        bank: Enrolled classes to choose from as well.
        operating_point: Where malignant begins, as for `DermSim.predict`.
        exclude_lesion_ids: Lesions that do not vote on any of them.

    Raises:
        ValueError: If a photograph cannot be read, there is no such operating point or lesion, or
            there are facts and the encoder takes none.
    """
    left_out = [engine.check_lesions(exclude_lesion_ids)] * len(pictures)
    each = [facts] * len(pictures) if isinstance(facts, Facts) else facts or []
    known = each if any(one is not None and one.known for one in each) else None
    found = engine.predict_and_vote(
        pictures, facts=known, operating_point=operating_point, exclude_lesion_ids=left_out
    )
    if bank is None:
        return [Classified(*answer) for answer in found]
    classes = compare(engine, pictures, bank=bank)
    return [Classified(*answer, own) for answer, own in zip(found, classes, strict=True)]


def point(
    engine: DermSim, choice: str | float = POINTS[0], *, facts: Facts | None = None
) -> dict[str, Any]:
    """Say where malignant begins, and what that reached.

    Args:
        engine: The loaded checkpoint.
        choice: Name of an operating point, or a malignancy threshold.
        facts: What is known of the patient; with facts another calibration is asked.

    Returns:
        ``name`` (None for a threshold of one's own), ``threshold``, and under ``reached`` its
        sensitivity and specificity with intervals on held-out lesions and in other clinics, as far
        as that was measured. Under ``validation`` is what it did to the photographs it was fitted
        on, which flatters; None where the checkpoint cannot say.

    Raises:
        ValueError: If there is no such operating point.
    """
    known = facts is not None and facts.known
    calibration = (engine.calibration_facts if known else None) or engine.calibration
    threshold = calibration.threshold(choice)
    named: dict[float, str] = {}
    for name, known_point in calibration.operating_points.items():
        named.setdefault(known_point.threshold, name)  # of two alike, the first
    fitted = None
    if calibration.malignancy_curve is not None or threshold in named:
        found = calibration.operating_point(choice)
        fitted = {"sensitivity": found.sensitivity, "specificity": found.specificity}
    return {
        "name": choice if isinstance(choice, str) else named.get(threshold),
        "threshold": threshold,
        "reached": [figures.to_dict() for figures in engine.reached_at(threshold)],
        "validation": fitted,
    }


def compare(
    engine: DermSim, pictures: Sequence[ImageSource], *, bank: ClassBank | None
) -> list[dict[str, float]]:
    """Return the probability of each class of a bank, for each photograph.

    Args:
        engine: The loaded checkpoint.
        pictures: As for `classify`.
        bank: The classes; None for the seven diagnoses.

    Raises:
        ValueError: If a photograph cannot be read.
    """
    known = engine.class_bank() if bank is None else bank
    return known.predict(engine.embed(pictures, space=known.space.name))


def similar(
    engine: DermSim,
    pictures: Sequence[ImageSource],
    *,
    k: int = 5,
    where: Mapping[str, Any] | None = None,
    one_per_lesion: bool = False,
    exclude_lesion_ids: Sequence[str] = (),
    most: int | None = None,
) -> list[SimilarCases]:
    """Find the past cases most like each photograph, and let the nearest vote.

    Args:
        engine: The loaded checkpoint.
        pictures: As for `classify`.
        k: How many cases of each.
        where: Facts the cases must have, as for `Gallery.search`.
        one_per_lesion: Whether to leave out further photographs of a lesion.
        exclude_lesion_ids: Lesions to leave out for all of them.
        most: How many may be asked for; None for any number.

    Raises:
        ValueError: If a photograph cannot be read, a filter or lesion is unknown or `k` is out of
            range.
    """
    if most is not None and k not in range(1, most + 1):
        raise Refused("answers.cases", k=k, most=most)
    return engine.similar_cases(
        pictures,
        int(k),
        where=where,
        exclude_lesion_ids=[engine.check_lesions(exclude_lesion_ids)] * len(pictures),
        one_per_lesion=one_per_lesion,
    )


def explain(
    engine: DermSim,
    picture: ImageSource,
    *,
    target: str | None = None,
    like: Like | None = None,
    method: str = DEFAULT,
    layer: int | str | None = None,
    smooth: bool = False,
    bank: ClassBank | None = None,
) -> Explanation:
    """Say where a photograph holds evidence, or what makes it like another.

    Args:
        engine: The loaded checkpoint.
        picture: A PIL image, a path or bytes.
        target: Diagnosis by any of its names, ``"malignancy"`` or a class of `bank`; None for the
            model's own answer.
        like: Another photograph, or an embedding ``(D,)``, to explain the likeness to instead.
        method: As for `DermSim.explain`.
        layer: As for `DermSim.explain`.
        smooth: Whether to average over turns and mirror images.
        bank: Where enrolled classes are looked up.

    Returns:
        One heatmap; two where `like` is a photograph.

    Raises:
        ValueError: If a photograph cannot be read, `target` and `like` are both given, or a name is
            unknown or not for this encoder.
    """
    options: dict[str, Any] = {"method": method, "layer": layer, "smooth": smooth}
    if like is not None:
        if target is not None:
            raise Refused("answers.two_questions")
        if isinstance(like, np.ndarray):
            maps = [engine.explain(picture, like=like, **options)]
            return _explanation(engine, [picture], maps, maps, options)
        maps = list(engine.explain_likeness(picture, like, **options))
        return _explanation(engine, [picture, like], maps, maps, options)
    goal = parse_target(target, bank.names if bank else ())
    photograph = read_image(picture)
    # the model's own answer too: its peak is the measure of the other's
    own, *others = engine.explain_many(
        [photograph] if goal is None else [photograph, photograph],
        target=[None] if goal is None else [None, goal],
        bank=bank,
        **options,
    )
    return _explanation(engine, [picture], others or [own], [own], options)


def _explanation(
    engine: DermSim,
    pictures: Sequence[ImageSource],
    maps: Sequence[Heatmap],
    own: Sequence[Heatmap],
    options: Mapping[str, Any],
) -> Explanation:
    worth = engine.worth_of(maps[0], layer=options["layer"], smooth=options["smooth"])
    strengths = tuple(map(strength, maps, own))
    return Explanation(tuple(pictures), tuple(maps), strengths, own[0].target, worth)


def strength(heatmap: Heatmap, own: Heatmap) -> float:
    """Say how strongly a map is to be drawn, in [0, 1]: faint evidence is drawn faint.

    Logits compare within a picture, so the evidence for a diagnosis or for malignancy is as strong
    as its peak is beside the peak for the model's own answer. A likeness to a picture is as strong
    as its peak is beside `CLEAR`, and nothing up to `VANISHED`: the pictures are alike as a whole.
    That to an enrolled class is as strong as the cosine it explains.

    Args:
        heatmap: The map to draw.
        own: The map of the same picture and method for the model's own answer.
    """
    if heatmap.peak <= 0:
        return 0.0
    if heatmap.target == SIMILARITY:
        return min(heatmap.peak / CLEAR, 1.0) if heatmap.peak > VANISHED else 0.0
    if heatmap.target not in CODES and heatmap.target != "malignancy":
        return float(np.clip(heatmap.score or 0.0, 0, 1)) if heatmap.peak > FAINTEST else 0.0
    return min(heatmap.peak / own.peak, 1.0) if own.peak > 0 else 1.0


def teach(
    engine: DermSim,
    pictures: Iterable[ImageSource],
    *,
    name: str,
    head: str = "auto",
    bank: ClassBank | None = None,
) -> ClassBank:
    """Return a bank that also knows a class shown in a few photographs.

    Args:
        engine: The loaded checkpoint.
        pictures: Of the new class; PIL images, paths or bytes.
        name: What it is called.
        head: ``"auto"`` or one of `dermsim.tasks.enroll.HEADS`.
        bank: What to extend; None for the seven diagnoses. It stays as it is.

    Raises:
        ValueError: If a photograph cannot be read, the name is empty or taken, or the head unknown.
    """
    known = engine.class_bank() if bank is None else bank
    taught = known.enroll(name, engine.embed(pictures, space=known.space.name), head=head)
    shots = taught.enrolled[-1].shots
    if not all(np.isfinite(scored.scores(shots)).all() for scored in taught.heads):
        raise Refused("answers.foreign_bank")
    return taught


def classes(bank: ClassBank) -> list[dict[str, Any]]:
    """Return the classes of a bank as plain Python values, the old ones first."""
    return [
        {"name": name, "pictures": count, "enrolled": name in bank.kinds, "head": head}
        for name, count in zip(bank.names, bank.counts, strict=True)
        for head in [bank.kinds.get(name)]
    ]


def enrollment(bank: ClassBank) -> EnrollmentReport | None:
    """Measure what became of the old classes; None when a bank keeps no images to measure it by."""
    from dermsim.tasks.enroll import before_and_after

    if not len(bank.old.vectors) or not bank.old_names:
        return None
    return before_and_after(bank)
