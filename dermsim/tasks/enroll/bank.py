"""Classes known by a few pictures beside those that the encoder was trained with.

Old classes are nearest class means: each is one direction, the mean of its training images, its
prototype (Snell et al., 2017, https://arxiv.org/abs/1703.05175). The probability of class c is

    p(c | z) = exp(s_c(z)) / sum over k of exp(s_k(z)),    s_c(z) = cos(z, prototype_c) / T,

where k runs over all classes, old and new. Snell uses squared Euclidean distance; between unit
vectors it is ``2 - 2 cos``, so the two differ only by a factor in T, which is fitted on validation
images with each class weighing the same. So neither the five pictures of a new class nor the
thousands of an old one give it a head start. New classes score by one of the heads in
`dermsim.tasks.enroll.heads`, which keep them from swallowing the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Refused
from dermsim.core.vectors import (
    centroids,
    check_embeddings,
    check_labels,
    l2_normalize,
    softmax,
    spread,
)
from dermsim.tasks.enroll.feature_space import Space
from dermsim.tasks.enroll.heads import (
    HEADS,
    EnrolledClass,
    Head,
    OldClasses,
    fit_heads,
    fit_prototype_temperature,
    head_for,
)
from dermsim.tasks.enroll.kept_bank import KeptBank
from dermsim.tasks.enroll.names import check_name, taken_as

DEFAULT_TEMPERATURE = 0.1
"""Used by a bank with no old classes, which have nothing to fit one on."""

REFERENCE = 600
"""Held-out images of the old classes that a bank keeps, at most: what new ones are told from."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClassBank(KeptBank):
    """Old and new classes: a small value that never changes.

    `enroll` and `remove` return a new bank, so a bank may be kept per visitor and shared between
    threads; a deep copy of it is the bank itself. ``ClassBank()`` is empty and takes its dimension
    from the first class.

    Attributes:
        old_names: Names of the old classes, in order.
        old_counts: Number of training images behind each.
        old: Their prototypes and the images that new classes are told from.
        enrolled: The new classes, in order.
        space: What vectors are compared.
        fingerprint: Names the encoder that made the vectors; empty when not known.

    Examples:
        >>> from dermsim import ClassBank
        >>> bank = ClassBank().enroll("scar", [[1, 0]]).enroll("tattoo", [[0, 1], [0.2, 1]])
        >>> bank.names, bank.counts, bank.dim
        (('scar', 'tattoo'), (1, 2), 2)
        >>> bank.temperature, bank.kinds, len(bank.heads)
        (0.1, {'scar': 'mean', 'tattoo': 'mean'}, 2)
    """

    old_names: tuple[str, ...] = ()
    old_counts: tuple[int, ...] = ()
    old: OldClasses = field(default=OldClasses.none(DEFAULT_TEMPERATURE), repr=False)
    enrolled: tuple[EnrolledClass, ...] = field(default=(), repr=False)
    space: Space = field(default_factory=Space, repr=False)
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Check that the parts fit together, and freeze the arrays."""
        if not len(self.old_names) == len(self.old.prototypes) == len(self.old_counts):
            raise Refused(
                "bank.lengths",
                old_names_count=len(self.old_names),
                prototypes_count=len(self.old.prototypes),
                old_counts_count=len(self.old_counts),
            )
        for i, name in enumerate(self.names):
            check_name(name, self.names[:i])
        if any(type(count) is not int or count < 1 for count in self.counts):
            raise Refused("bank.counts", counts=self.counts)
        temperature = self.old.temperature
        if type(temperature) not in (int, float) or not 0 < temperature < np.inf:
            raise Refused("calibration.temperature", temperature=temperature)
        widths = {part.shape[1] for part in self._parts() if len(part)}
        if len(widths) > 1:
            raise Refused("bank.widths", widths=sorted(widths))
        for part in self._parts():
            if np.abs(np.linalg.norm(part, axis=1) - 1.0).max(initial=0.0) > 1e-2:
                raise Refused("bank.length")
            part.flags.writeable = False

    def _parts(self) -> list[Vectors]:
        return [self.old.prototypes, self.old.vectors, *(new.shots for new in self.enrolled)]

    def __deepcopy__(self, memo: Mapping[int, object]) -> ClassBank:
        """A value that never changes needs no copy."""
        return self

    @classmethod
    def fit(
        cls,
        vectors: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        names: Sequence[str],
        validation: npt.ArrayLike,
        validation_labels: npt.ArrayLike,
        fingerprint: str,
        space: str = "pooled_features",
    ) -> ClassBank:
        """Learn the old classes.

        Args:
            vectors: ``(N, D)`` of training images, as the encoder makes them.
            labels: ``(N,)`` integers, indices into `names`. A class without a training image does
                not become an old class.
            names: What the classes are called.
            validation: ``(V, D)`` of images that the encoder was not trained on.
            validation_labels: ``(V,)`` integers, as `labels`.
            fingerprint: Names the encoder.
            space: What the vectors are, one of `SPACES`.

        Raises:
            ValueError: If shapes or labels are wrong, or an old class has no validation image.

        Examples:
            >>> from dermsim import ClassBank
            >>> seen, labels = [[1, 0], [0.9, 0.2], [0, 1], [0.2, 0.9]], [0, 0, 1, 1]
            >>> new = {"validation": [[0.8, 0.1], [0.1, 0.8]], "validation_labels": [0, 1]}
            >>> ClassBank.fit(seen, labels, names=["nv", "mel"], fingerprint="toy", **new).names
            ('nv', 'mel')
        """
        measure = Space.standardised(space, vectors)
        train = measure.unit(vectors)
        true = check_labels(labels, rows=len(train), num_classes=len(names))
        held_out = measure.unit(validation, dim=train.shape[1])
        asked = check_labels(validation_labels, rows=len(held_out), num_classes=len(names))
        known, positions, counts = np.unique(true, return_inverse=True, return_counts=True)
        if missing := sorted(set(known.tolist()) - set(asked.tolist())):
            raise Refused("bank.no_validation", names=names[missing[0]])
        prototypes = centroids(train, positions, len(known))
        own = np.isin(asked, known)
        held_out, asked = held_out[own], np.searchsorted(known, asked[own])
        kept = spread(asked, REFERENCE)
        old = OldClasses(
            prototypes,
            fit_prototype_temperature(held_out, asked, prototypes),
            # as they come back from a file, so that a saved bank answers to the last digit alike
            held_out[kept].astype(np.float16).astype(np.float32),
            asked[kept],
        )
        names_of = tuple(names[label] for label in known)
        return cls(names_of, tuple(counts.tolist()), old, (), measure, fingerprint)

    @classmethod
    def from_classes(
        cls,
        names: Sequence[str],
        prototypes: npt.ArrayLike,
        counts: Sequence[int],
        temperature: float,
        fingerprint: str,
    ) -> ClassBank:
        """Start from old classes of which only the prototypes are known.

        New classes beside them are not held back from swallowing them.

        Args:
            names: One name per class.
            prototypes: ``(C, D)`` embeddings, for example from `dermsim.core.vectors.centroids`.
            counts: Number of pictures behind each prototype.
            temperature: From `fit_prototype_temperature`.
            fingerprint: Names the encoder that made the embeddings.

        Raises:
            ValueError: If the parts do not fit together, or a name is empty or repeated.

        Examples:
            >>> from dermsim import ClassBank
            >>> ClassBank.from_classes(["nv", "mel"], [[1, 0], [0, 1]], [20, 5], 0.1, "toy").counts
            (20, 5)
        """
        array = l2_normalize(check_embeddings(prototypes, name="prototypes"))
        old = replace(OldClasses.none(temperature, dim=array.shape[1]), prototypes=array)
        return cls(tuple(names), tuple(counts), old, fingerprint=fingerprint)

    @property
    def names(self) -> tuple[str, ...]:
        """All classes, the old ones first."""
        return (*self.old_names, *(new.name for new in self.enrolled))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many pictures each of `names` rests on."""
        return (*self.old_counts, *(len(new.shots) for new in self.enrolled))

    @property
    def dim(self) -> int | None:
        """D; None while the bank is empty and takes any."""
        if self.space.center is not None:
            return len(self.space.center)
        return next((part.shape[1] for part in self._parts() if len(part)), None)

    @property
    def temperature(self) -> float:
        """T of the softmax above."""
        return self.old.temperature

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    @property
    def kinds(self) -> dict[str, str]:
        """By name of each new class, the head that it has: one of `HEADS`."""
        # what has nothing to be told from cannot learn to be
        alone = not len(self.old.vectors) and (len(self.old_names) > 0 or len(self.enrolled) < 2)
        chosen = {
            new.name: head_for(len(new.shots)) if new.head == "auto" else new.head
            for new in self.enrolled
        }
        if alone:
            return {n: "mean" if kind == "logistic" else kind for n, kind in chosen.items()}
        return chosen

    @cached_property
    def heads(self) -> list[Head]:
        """The fitted head of each new class."""
        shots = [new.shots for new in self.enrolled]
        old = self.old if self.old_names else OldClasses.none(self.temperature, dim=self.dim or 0)
        return fit_heads(shots, list(self.kinds.values()), old=old)

    def enroll(self, name: str, vectors: npt.ArrayLike, *, head: str = "auto") -> ClassBank:
        """Return a bank with one more class.

        Args:
            name: What to call it; at most 80 characters on one line.
            vectors: ``(shots, D)`` of its pictures, at least one, as the encoder makes them: see
                `space`.
            head: One of `HEADS`, or ``"auto"`` to choose by the number of pictures.

        Raises:
            ValueError: If the name is empty or taken, there is no picture, D differs from the
                bank's, or the head is unknown.

        Examples:
            >>> bank = engine.class_bank()
            >>> shots = engine.embed([picture, picture.rotate(90)], space=bank.space.name)
            >>> bank.enroll("my new class", shots).names[-2:]
            ('vasc', 'my new class')
        """
        cleaned = name.strip()
        check_name(cleaned, self.names)
        if head not in ("auto", *HEADS):
            raise Refused("bank.head", head=head, heads=HEADS)
        if len(np.shape(vectors)) > 0 and len(np.asarray(vectors)) == 0:
            raise Refused("bank.no_picture", cleaned=cleaned)
        shots = self.space.unit(vectors, dim=self.dim)
        centroids(shots, np.zeros(len(shots), dtype=np.int64), 1)  # refuses what cancels out
        return replace(self, enrolled=(*self.enrolled, EnrolledClass(cleaned, shots, head)))

    def taken_as(self, name: str) -> str | None:
        """Return the class that a name stands for already, as "Melanoma" does for mel; or None.

        Examples:
            >>> engine.class_bank().taken_as("Melanoma")
            'mel'
        """
        return taken_as(name.strip(), self.names)

    def remove(self, name: str) -> ClassBank:
        """Return a bank without that class, as if it had never been enrolled.

        Raises:
            ValueError: If there is no such class.

        Examples:
            >>> engine.class_bank().remove("df").names
            ('akiec', 'bcc', 'bkl', 'mel', 'nv', 'vasc')
        """
        if name not in self.names:
            raise Refused("bank.no_class", name=name, names=list(self.names))
        if name not in self.old_names:
            return replace(self, enrolled=tuple(n for n in self.enrolled if n.name != name))
        gone = self.old_names.index(name)
        keep = [i for i in range(len(self.old_names)) if i != gone]
        own = self.old.labels != gone
        old = replace(
            self.old,
            prototypes=self.old.prototypes[keep],
            vectors=self.old.vectors[own],
            labels=np.searchsorted(keep, self.old.labels[own]),
        )
        return replace(
            self,
            old_names=tuple(self.old_names[i] for i in keep),
            old_counts=tuple(self.old_counts[i] for i in keep),
            old=old,
        )

    def with_shots(self, name: str, shots: Vectors) -> ClassBank:
        """Return a bank in which a new class is known by other pictures, comparable rows.

        Its head stays what it is, also where fewer pictures would choose another.

        Args:
            name: Of the new class; another name changes nothing.
            shots: ``(shots, D)`` float32, rows of length 1 as `space` makes them.

        Examples:
            >>> from dermsim import ClassBank
            >>> bank = ClassBank().enroll("scar", [[1, 0], [0.8, 0.2]])
            >>> bank.with_shots("scar", bank.enrolled[0].shots[:1]).counts
            (1,)
        """
        enrolled = tuple(
            replace(new, shots=shots.copy(), head=self.kinds[name]) if new.name == name else new
            for new in self.enrolled
        )
        return replace(self, enrolled=enrolled)

    def blank(self) -> ClassBank:
        """Return a bank of the same encoder without any class.

        Examples:
            >>> engine.class_bank().blank().names
            ()
        """
        nothing = OldClasses.none(self.temperature)
        return replace(self, old_names=(), old_counts=(), old=nothing, enrolled=())

    def scores(self, vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the score of every class ``(N, C)``, before the softmax.

        Args:
            vectors: ``(N, D)`` as the encoder makes them.

        Raises:
            ValueError: If the bank is empty, or D differs from the bank's.

        Examples:
            >>> bank = engine.class_bank()
            >>> bank.scores(engine.embed(picture, space=bank.space.name)).shape
            (1, 7)
        """
        if not self.names:
            raise Refused("bank.empty")
        return self.unit_scores(self.space.unit(vectors, dim=self.dim))

    def unit_scores(self, rows: Vectors) -> npt.NDArray[np.float64]:
        """As `scores`, of ``(N, D)`` rows that `space` has already made comparable.

        Examples:
            >>> bank = engine.class_bank()
            >>> bank.unit_scores(bank.old.prototypes).argmax(axis=1).tolist()
            [0, 1, 2, 3, 4, 5, 6]
        """
        new = [head.scores(rows) for head in self.heads]
        old = self.old.scores(rows) if self.old_names else np.zeros((len(rows), 0))
        return np.column_stack([old, *new])

    def predict(self, vectors: npt.ArrayLike) -> list[dict[str, float]]:
        """Return the probability of every class, old and new, for each image.

        Args:
            vectors: ``(N, D)`` as the encoder makes them.

        Returns:
            One dict per row, in the order of `names`, summing to 1.

        Raises:
            ValueError: If the bank is empty, or D differs from the bank's.

        Examples:
            >>> bank = engine.class_bank()
            >>> (answer,) = bank.predict(engine.embed(picture, space=bank.space.name))
            >>> len(answer), round(sum(answer.values()), 6)
            (7, 1.0)
        """
        probabilities = softmax(self.scores(vectors))
        return [dict(zip(self.names, row.tolist(), strict=True)) for row in probabilities]
