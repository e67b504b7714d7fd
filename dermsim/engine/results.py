"""What `DermSim` answers with: plain values that can be shown, stored or sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from dermsim.core.labels import MALIGNANT
from dermsim.core.metrics import entropy
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.tasks.concepts import ConceptReading
    from dermsim.tasks.explain import Heatmap
    from dermsim.tasks.retrieve import Neighbor


UNFAMILIAR = "unfamiliar"
"""The reason for which a verdict is withheld when the image is an outlier."""

WITHHELD = "withheld"
"""The verdict where there is none: the reasons stand beside it."""

NOTICES = {
    UNFAMILIAR: "unlike anything in training",
    "no_lesion": "no lesion in view",
    "lesion_small": "the lesion is too small in the picture",
    "lesion_at_edge": "the lesion lies at the edge",
    "too_dark": "too dark",
    "too_bright": "too bright",
    "greyscale": "without colour",
    "out_of_focus": "out of focus",
    "not_dermoscopy": "not taken with a dermatoscope",
}
"""Every reason for which a verdict is withheld, in English; the page has its own words for them."""

DRAWN = "from a model trained on drawings"
"""What is said before any answer of a model that knows nothing of skin."""

Verdict = Literal["malignant", "benign", "withheld"]

Conflict = Literal["benign_label_above_threshold", "malignant_label_below_threshold"]


@dataclass(frozen=True)
class Recognised:
    """A past case that a picture is a copy of: its figures flatter, and it is no case like itself.

    Attributes:
        image_id: The case's photograph.
        lesion_id: Its lesion, which is left out of search and vote; None when not known.
        dx: Its known diagnosis.
        learned: Whether the cases are those that the encoder learned from.
    """

    image_id: str
    lesion_id: str | None
    dx: str
    learned: bool


@dataclass(frozen=True)
class ListedDiagnosis:
    """A diagnosis with its probability, and whether the prediction set lists it.

    Attributes:
        code: Its code.
        probability: Calibrated.
        in_set: Whether it is in the prediction set.
        limit: Probability from which it is listed. Each diagnosis has a limit of its own, so that a
            likelier one may be left out where a less likely one is listed. None when not known.
        out_though_likelier: Whether it is left out though a less likely one is listed.
    """

    code: str
    probability: float
    in_set: bool
    limit: float | None
    out_though_likelier: bool


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one image.

    The figures are always there; `verdict` says whether anything may be read from them.

    Attributes:
        label: Index into `LABELS` of the most probable diagnosis.
        label_name: Its HAM10000 code, for example ``"mel"``.
        probabilities: Calibrated probability of each diagnosis code, summing to 1.
        prediction_set: Codes that cannot be excluded at the calibrated coverage, most probable
            first.
        malignancy: Summed probability of the malignant diagnoses, in [0, 1].
        is_malignant: Whether `malignancy` reaches the operating point chosen on validation.
        ood_score: Distance from the training data; higher means stranger.
        is_outlier: Whether `ood_score` exceeds the threshold that accepts 95 % of validation.
        prediction_sets: `prediction_set` at every coverage the checkpoint was calibrated for, by
            names such as ``"0.95"``; empty when it was for the default alone.
        quality: Why the picture is not one to judge, keys of `NOTICES`; empty when nothing is
            wrong with it, or the checkpoint has nothing to tell by.
        ood_limit: `ood_score` above which an image is an outlier; None when not known.
        threshold: Malignancy threshold of the operating point; None when not known.
        set_limits: By code, the probability from which `prediction_set` lists it; empty when not
            known.
        recognised: The past case that the picture is a copy of; None when it is of none.
        drawn: Whether the model was trained on drawings, and knows nothing of skin.

    Examples:
        >>> (prediction,) = engine.predict(picture)
        >>> prediction.label_name, prediction.verdict, prediction.notice
        ('mel', 'malignant', None)
        >>> round(prediction.entropy, 1)
        1.0
    """

    label: int
    label_name: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    malignancy: float
    is_malignant: bool
    ood_score: float
    is_outlier: bool
    prediction_sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quality: tuple[str, ...] = ()
    ood_limit: float | None = None
    threshold: float | None = None
    set_limits: dict[str, float] = field(default_factory=dict)
    recognised: Recognised | None = None
    drawn: bool = False

    @property
    def withheld(self) -> tuple[str, ...]:
        """Why no verdict is given, keys of `NOTICES`; empty when one is.

        Examples:
            >>> from PIL import Image
            >>> (prediction,) = engine.predict(Image.new("RGB", (200, 150), "green"))
            >>> prediction.withheld, prediction.verdict
            (('no_lesion', 'unfamiliar'), 'withheld')
        """
        return (*self.quality, UNFAMILIAR) if self.is_outlier else self.quality

    @property
    def verdict(self) -> Verdict:
        """Benign or malignant at the operating point; withheld where neither can be said."""
        return self.verdict_at(None)

    def verdict_at(self, threshold: float | None) -> Verdict:
        """Return the verdict at another malignancy threshold; None for the operating point.

        Examples:
            >>> (prediction,) = engine.predict(picture)
            >>> prediction.verdict_at(0.3), prediction.verdict_at(0.99)
            ('malignant', 'benign')
        """
        if self.withheld:
            return "withheld"
        reached = self.is_malignant if threshold is None else self.malignancy >= threshold
        return "malignant" if reached else "benign"

    def conflict_at(self, threshold: float | None = None) -> Conflict | None:
        """Say how label and malignancy disagree at a threshold; None when they do not.

        The most probable diagnosis can be benign while the malignant ones together reach the
        threshold, and the other way round. Of a picture whose verdict is withheld nothing is said.

        Examples:
            >>> (prediction,) = engine.predict(picture)
            >>> prediction.label_name, prediction.conflict_at(0.99)
            ('mel', 'malignant_label_below_threshold')
        """
        verdict, label_malignant = self.verdict_at(threshold), self.label_name in MALIGNANT
        if verdict == "malignant" and not label_malignant:
            return "benign_label_above_threshold"
        if verdict == "benign" and label_malignant:
            return "malignant_label_below_threshold"
        return None

    @property
    def listing(self) -> tuple[ListedDiagnosis, ...]:
        """Every diagnosis, most probable first, and whether the prediction set lists it.

        Examples:
            >>> (prediction,) = engine.predict(picture)
            >>> [(row.code, row.in_set) for row in prediction.listing[:4]]
            [('mel', True), ('bkl', True), ('akiec', True), ('nv', False)]
        """
        order = sorted(self.probabilities.items(), key=lambda item: -item[1])
        least = min((p for code, p in order if code in self.prediction_set), default=1.0)
        return tuple(
            ListedDiagnosis(
                code=code,
                probability=probability,
                in_set=code in self.prediction_set,
                limit=self.set_limits.get(code),
                out_though_likelier=code not in self.prediction_set and probability > least,
            )
            for code, probability in order
        )

    @property
    def notice(self) -> str | None:
        """What must be read before the label; None when there is nothing of the kind.

        Why no verdict is given, that the picture is one of the past cases, and that the model was
        trained on drawings.
        """
        said = [NOTICES[reason] for reason in self.withheld]
        if self.recognised is not None:
            kind = "a training photograph" if self.recognised.learned else "one of the past cases"
            said.append(f"{kind}, {self.recognised.image_id}")
        if self.drawn:
            said.append(DRAWN)
        return "; ".join(said) or None

    @property
    def entropy(self) -> float:
        """How undecided the probabilities are, in bits: 0 for one diagnosis, 2.81 for all seven."""
        return float(entropy([list(self.probabilities.values())])[0])

    def to_dict(self) -> dict[str, object]:
        """Return the notice, the verdict, the fields and what follows from them as plain values.

        Examples:
            >>> answer = engine.predict(picture)[0].to_dict()
            >>> answer["verdict"], answer["label_name"]
            ('malignant', 'mel')
        """
        return {
            "notice": self.notice,
            "verdict": self.verdict,
            "withheld": self.withheld,
            **asdict(self),
            "conflict": self.conflict_at(),
            "listing": [asdict(row) for row in self.listing],
            "entropy": self.entropy,
        }


@dataclass(frozen=True)
class SimilarCases:
    """The past cases most like a photograph.

    Attributes:
        neighbors: Most similar first.
        vote: Probability of each diagnosis by the vote of the nearest; empty when there are none.
        recognised: The past case that the photograph is a copy of, which is left out together with
            its lesion; None when it is of none.
    """

    neighbors: tuple[Neighbor, ...]
    vote: dict[str, float]
    recognised: Recognised | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the cases and their vote as plain Python values."""
        return {
            "recognised": None if self.recognised is None else asdict(self.recognised),
            "neighbors": [case.to_dict() for case in self.neighbors],
            "vote": self.vote,
        }


@dataclass(frozen=True)
class Analysis:
    """Everything dermsim has to say of one image.

    Attributes:
        prediction: The classifier's answer.
        heatmap: Where the encoder looked, or None when no explanation was asked for.
        neighbors: The most similar past cases, most similar first.
        position: ``(x, y)`` on the atlas, or None when the checkpoint has no atlas.
        enrolled: Probability of each old and enrolled class, or None without a bank.
        vote: Probability of each diagnosis by the vote of the nearest past cases, a second opinion
            that rests on likeness alone.
        concepts: Which dermoscopic concepts the picture shows, and what they say of melanoma; None
            of a checkpoint without concept heads.

    Examples:
        >>> analysis = engine.analyze(picture, explain=None)
        >>> analysis.prediction.label_name, len(analysis.neighbors), analysis.heatmap
        ('mel', 5, None)
        >>> analysis.disagreement < 0.5
        True
    """

    prediction: Prediction
    heatmap: Heatmap | None
    neighbors: tuple[Neighbor, ...]
    position: tuple[float, float] | None
    enrolled: dict[str, float] | None
    vote: dict[str, float] = field(default_factory=dict)
    concepts: ConceptReading | None = None

    def with_concept(self, name: str, *, absent: bool = False) -> float:
        """Return the melanoma score from concepts as it would be with one present, or absent.

        Args:
            name: Name of a concept in `concepts`.
            absent: True asks for the concept absent, False for it present.

        Raises:
            ValueError: If there are no concepts, no such concept, or no score that reads it.

        Examples:
            >>> analysis = engine.analyze(picture, explain=None)
            >>> analysis.with_concept("streaks") > analysis.with_concept("streaks", absent=True)
            True
        """
        if self.concepts is None:
            raise Refused("results.no_concepts")
        return self.concepts.with_concept(name, absent=absent)

    @property
    def disagreement(self) -> float | None:
        """Share of the neighbors with another diagnosis than the predicted; None without any."""
        if not self.neighbors:
            return None
        others = sum(case.dx != self.prediction.label_name for case in self.neighbors)
        return others / len(self.neighbors)

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values, arrays as nested lists.

        Examples:
            >>> answer = engine.analyze(picture, explain=None).to_dict()
            >>> answer["prediction"]["label_name"], len(answer["neighbors"])
            ('mel', 5)
        """
        concepts = {} if self.concepts is None else {"concepts": self.concepts.to_dict()}
        return {
            "prediction": self.prediction.to_dict(),
            "heatmap": self.heatmap.to_dict() if self.heatmap else None,
            "neighbors": [neighbor.to_dict() for neighbor in self.neighbors],
            "disagreement": self.disagreement,
            "position": self.position,
            "enrolled": self.enrolled,
            "vote": self.vote,
            **concepts,
        }
