"""What became of the old classes when new ones were enrolled, and how the new ones fare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from dermsim.core.bootstrap import Bootstrap, Interval
from dermsim.core.metrics import macro_mean
from dermsim.core.refused import Refused
from dermsim.core.vectors import check_labels
from dermsim.tasks.enroll.bank import ClassBank

FOLDS = 5
"""Parts into which the pictures of a new class are dealt to ask each of a bank without it."""


@dataclass(frozen=True)
class OldClassChange:
    """One old class before and after.

    Attributes:
        name: Its name.
        images: How many images of it were asked about.
        before: Share of them that the bank got right without the new classes.
        after: Share of them that it gets right with them.
        taken: By name of each new class, share of them that now count as it and were right before.
    """

    name: str
    images: int
    before: float
    after: float
    taken: dict[str, float]


@dataclass(frozen=True)
class NewClass:
    """One new class.

    Attributes:
        name: Its name.
        pictures: How many it is known by.
        head: How it is told from the others.
        recognised: Share of its pictures that are recognised by a bank that was not shown them;
            None with one picture, which leaves nothing to be shown.
        taken_for: By picture, the class that such a bank takes it for: its own name where it was
            recognised. What looks like another class may be a wrong picture. Empty with one.
    """

    name: str
    pictures: int
    head: str
    recognised: float | None
    taken_for: tuple[str, ...] = ()

    @property
    def mistaken(self) -> dict[int, str]:
        """The class that each picture not recognised is taken for, by its number from 1."""
        return {n: other for n, other in enumerate(self.taken_for, 1) if other != self.name}


@dataclass(frozen=True)
class EnrollmentReport:
    """The old classes before and after.

    Attributes:
        source: What the images of the old classes are.
        old: Each old class.
        new: Each new class.
        before: Balanced accuracy over the old classes without the new ones.
        after: The same with them.
    """

    source: str
    old: tuple[OldClassChange, ...]
    new: tuple[NewClass, ...]
    before: Interval
    after: Interval

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values."""
        return {
            **asdict(self),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


def before_and_after(
    bank: ClassBank,
    vectors: npt.ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    *,
    lesion_ids: Sequence[str | None] | None = None,
    source: str = "the images kept in the bank",
    resamples: int = 1000,
    seed: int = 0,
) -> EnrollmentReport:
    """Compare a bank with what it was before anything was enrolled.

    Args:
        bank: With old and new classes.
        vectors: ``(N, D)`` of images of the old classes that made neither them nor the new ones, as
            the encoder makes them; None for the held-out images kept in the bank. Those have also
            set the limits of the new classes, so that on others a little more may be lost.
        labels: N names of old classes; None with `vectors`.
        lesion_ids: N lesions, to be resampled as a whole; None where not known.
        source: What the images are, for the report.
        resamples: Lesion-bootstrap resamples.
        seed: Their seed.

    Raises:
        ValueError: If the bank has no new class or no old one, there are no images, or a label is
            no old class.
    """
    if not bank.enrolled or not bank.old_names:
        raise Refused("enrollment_report.no_classes")
    scores, true = _scored(bank, vectors, labels)
    classes = len(bank.old_names)
    old = scores[:, :classes].argmax(axis=1)
    now = scores.argmax(axis=1)
    lesions = [None] * len(true) if lesion_ids is None else lesion_ids
    bootstrap = Bootstrap(lesions, resamples, seed)

    def balanced(predicted: npt.NDArray[np.int64]) -> Interval:
        hits = (predicted == true).astype(np.float64)
        return bootstrap.interval(lambda rows: macro_mean(hits[rows], true[rows], classes))

    return EnrollmentReport(
        source=source,
        old=tuple(_change(bank, c, old[true == c], now[true == c]) for c in np.unique(true)),
        new=tuple(_new_class(bank, new.name) for new in bank.enrolled),
        before=balanced(old),
        after=balanced(now),
    )


def _scored(
    bank: ClassBank, vectors: npt.ArrayLike | None, labels: Sequence[str] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Score images of the old classes: those given, or those kept in the bank.

    Returns:
        ``(N, C)`` scores of old and new classes, and ``(N,)`` true ones, at least one.
    """
    names = bank.old_names
    if vectors is None or labels is None:
        if not len(bank.old.vectors):
            raise Refused("enrollment_report.no_images")
        return bank.unit_scores(bank.old.vectors), bank.old.labels
    if unknown := sorted(set(labels) - set(names)):
        raise Refused("enrollment_report.no_old_class", unknown=unknown[0], names=list(names))
    scores = bank.scores(vectors)
    if len(scores) == 0:
        raise Refused("enrollment_report.no_image")
    places = np.array([names.index(label) for label in labels])
    return scores, check_labels(places, rows=len(scores), num_classes=len(names))


def _change(
    bank: ClassBank, c: int, old: npt.NDArray[np.int64], now: npt.NDArray[np.int64]
) -> OldClassChange:
    right = old == c
    taken = {
        new.name: float((right & (now == len(bank.old_names) + place)).mean())
        for place, new in enumerate(bank.enrolled)
    }
    kept = float((now == c).mean())
    return OldClassChange(bank.old_names[c], len(old), float(right.mean()), kept, taken)


def _new_class(bank: ClassBank, name: str) -> NewClass:
    shots = bank.enrolled[bank.names.index(name) - len(bank.old_names)].shots
    taken_for = _taken_for(bank, name, shots)
    hits = [other == name for other in taken_for]
    recognised = float(np.mean(hits)) if hits else None
    return NewClass(name, len(shots), bank.kinds[name], recognised, taken_for)


def _taken_for(bank: ClassBank, name: str, shots: npt.NDArray[np.float32]) -> tuple[str, ...]:
    """Ask a bank about pictures of a class of which it was shown the others only."""
    if len(shots) < 2:
        return ()
    folds = np.arange(len(shots)) % min(FOLDS, len(shots))
    answers = np.zeros(len(shots), dtype=np.int64)
    for fold in range(folds.max() + 1):
        shown = bank.with_shots(name, shots[folds != fold])
        answers[folds == fold] = shown.unit_scores(shots[folds == fold]).argmax(axis=1)
    return tuple(bank.names[answer] for answer in answers)
