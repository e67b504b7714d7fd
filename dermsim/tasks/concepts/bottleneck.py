"""Melanoma from concepts alone, and what becomes of the answer when a concept is taken away.

A concept bottleneck (Koh 2020, https://arxiv.org/abs/2007.04612): a logistic regression sees the
log-odds of the concepts and nothing else of the picture. Setting one of them is an intervention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Interval
from dermsim.core.concept_schema import Schema
from dermsim.core.refused import Phrase, Refused
from dermsim.core.storage import check_keys
from dermsim.tasks.concepts.heads import ConceptHeads, fit_linear, fit_sigmoid, sigmoid

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

FARTHEST = 6.0
"""Log-odds are cut here on both sides: beyond it a head is no surer, only farther out."""

STRENGTH = 1.0
"""Inverse of the ridge penalty: there are few inputs, and nothing to hold small."""

CLINIC = 3
"""Points of the seven-point checklist from which on a lesion is suspicious."""


@dataclass(frozen=True)
class Bottleneck:
    """A melanoma score that sees concepts only.

    Attributes:
        inputs: The concept heads it reads, by `ConceptHead.key`.
        weight: One for each, of the log-odds.
        bias: Added to their sum; the score is the sigmoid, a calibrated probability.
        absent_at: The log-odds that each head gives where the concept is not, on average.
        present_at: The same where it is.
        source: The data set whose diagnoses it was fitted to.
        positives: Melanomas among them.
        n: Pictures in all.
        figures: AUC on lesions held out, by name: ``soft``, ``hard``, ``direct`` and the controls.
    """

    inputs: tuple[str, ...]
    weight: tuple[float, ...]
    bias: float
    absent_at: tuple[float, ...]
    present_at: tuple[float, ...]
    source: str
    positives: int
    n: int
    figures: Mapping[str, Interval] = field(default_factory=dict)

    def score(self, log_odds: FloatArray) -> FloatArray:
        """Return ``(N,)`` probabilities of melanoma, of log-odds ``(N, K)`` of the inputs."""
        seen = np.clip(log_odds, -FARTHEST, FARTHEST)
        return sigmoid(seen @ np.array(self.weight) + self.bias)

    def set(self, log_odds: FloatArray, key: str, *, absent: bool) -> FloatArray:
        """Return log-odds ``(N, K)`` in which one concept is as it is where it is, or is not.

        Raises:
            ValueError: If the score does not read this concept.
        """
        if key not in self.inputs:
            names = [name.partition("@")[0] for name in self.inputs]
            raise Refused("bottleneck.not_read", key=key.partition("@")[0], names=names)
        place = self.inputs.index(key)
        changed = np.array(log_odds, dtype=np.float64)
        changed[:, place] = (self.absent_at if absent else self.present_at)[place]
        return changed

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        figures = {name: figure.to_dict() for name, figure in self.figures.items()}
        return {**asdict(self), "figures": figures}

    @classmethod
    def from_dict(cls, values: object) -> Bottleneck:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or there is not one number for each input.
        """
        names = {part.name for part in fields(cls)}
        known: dict[str, Any] = check_keys(values, names, name=Phrase("bottleneck.bottleneck"))
        for name in ("inputs", "weight", "absent_at", "present_at"):
            known[name] = tuple(known[name])
            if len(known[name]) != len(known["inputs"]):
                raise Refused("bottleneck.inputs", count=len(known[name]), name=name)
        known["figures"] = {name: Interval(**own) for name, own in known["figures"].items()}
        return cls(**known)


def fit_bottleneck(
    log_odds: FloatArray, melanoma: BoolArray, heads: ConceptHeads, *, source: str
) -> Bottleneck:
    """Fit the score.

    Args:
        log_odds: ``(N, K)`` of pictures that the heads were not fitted to, or left out.
        melanoma: ``(N,)`` bool.
        heads: K heads that gave them.
        source: The data set whose diagnoses these are.
    """
    seen = np.clip(log_odds, -FARTHEST, FARTHEST)
    weight, bias = fit_linear(seen, melanoma, strength=STRENGTH)
    slope, offset = fit_sigmoid(seen @ weight + bias, melanoma)
    absent, present = concept_levels(heads)
    return Bottleneck(
        inputs=tuple(head.key for head in heads.heads),
        weight=tuple(float(value) for value in slope * weight),
        bias=float(slope * bias + offset),
        absent_at=absent,
        present_at=present,
        source=source,
        positives=int(melanoma.sum()),
        n=len(melanoma),
    )


def concept_levels(heads: ConceptHeads) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the log-odds at which a concept counts as not there, and as there, for each head.

    Where a threshold was found it is the threshold's, or else the odds that its share of the
    pictures gives, halved or doubled.
    """
    absent: list[float] = []
    present: list[float] = []
    for head in heads.heads:
        prior = np.log(head.positives / head.negatives)
        low = head.absent.probability if head.absent else sigmoid(prior - np.log(2))
        high = head.present.probability if head.present else sigmoid(prior + np.log(2))
        for found, value in ((absent, low), (present, high)):
            share = np.clip(value, 1e-6, 1 - 1e-6)
            found.append(float(np.clip(np.log(share / (1 - share)), -FARTHEST, FARTHEST)))
    return tuple(absent), tuple(present)


def hard_states(log_odds: FloatArray) -> FloatArray:
    """Return ``(N, K)`` of 1 and 0: whether each concept is likelier there than not.

    Nothing of how sure a head is is left, and with it nothing that leaks beside the concept.
    """
    return (np.asarray(log_odds) > 0).astype(np.float64)


def checklist_points(
    log_odds: FloatArray, concepts: Sequence[str], schema: Schema, *, hard: bool = False
) -> FloatArray | None:
    """Return the points of the seven-point checklist (Argenziano 1998), nothing fitted.

    Args:
        log_odds: ``(N, K)``.
        concepts: K names.
        schema: The list, which gives the points.
        hard: Count a concept as there or not, as a doctor does; else by its probability.

    Returns:
        ``(N,)``; None where one of the seven is not among the concepts.
    """
    places = []
    for concept in schema.checklist:
        if concept.name not in concepts:
            return None
        places.append(list(concepts).index(concept.name))
    points = np.array([concept.points for concept in schema.checklist], dtype=np.float64)
    own = np.asarray(log_odds[:, places], dtype=np.float64)
    return (hard_states(own) if hard else sigmoid(own)) @ points
