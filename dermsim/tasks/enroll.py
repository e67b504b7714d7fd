"""New classes from a few photographs: the nearest class mean.

A class is one point on the unit sphere: the mean direction of its embeddings, its prototype (Snell
et al., 2017, https://arxiv.org/abs/1703.05175). The probability of class c given an embedding z is

    p(c | z) = exp(cos(z, prototype_c) / T) / sum over k of exp(cos(z, prototype_k) / T),

where k runs over all classes, old and new.

Snell uses squared Euclidean distance; between unit vectors it is ``2 - 2 cos``, so the two differ
only by a factor in T. Old classes (the prototypes of the training diagnoses) and enrolled ones are
treated alike: all prototypes have length 1, and one temperature, fitted on validation images of
the old classes with each class weighing the same, serves all. So neither the five pictures of a
new class nor the thousands of an old one give it a head start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dermsim.metrics import fit_temperature
from dermsim.storage import load_arrays, save_arrays
from dermsim.vectors import centroids, check_embeddings, cosine_similarity, l2_normalize, softmax

DEFAULT_TEMPERATURE = 0.1
"""Used by a bank with no old classes, which have nothing to fit one on."""

MAX_NAME_LENGTH = 80


def fit_prototype_temperature(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, prototypes: npt.ArrayLike
) -> float:
    """Fit the temperature of a bank on validation images of its old classes.

    Args:
        embeddings: ``(N, D)`` of images that did not make the prototypes.
        labels: ``(N,)`` integers, rows of `prototypes`.
        prototypes: ``(C, D)``.

    Returns:
        T minimising the class-balanced negative log-likelihood.

    Raises:
        ValueError: If there are no rows, or shapes or labels are wrong.
    """
    return fit_temperature(cosine_similarity(embeddings, prototypes), labels, class_balanced=True)


@dataclass(frozen=True, eq=False)
class ClassBank:
    """Classes known by their prototypes: a small value that never changes.

    `enroll` and `remove` return a new bank, so a bank may be copied, kept per visitor, and shared
    between threads. ``ClassBank()`` is empty and takes its dimension from the first class.

    Attributes:
        names: Class names, in order.
        prototypes: ``(C, D)`` float32, rows of length 1, read-only.
        counts: Number of pictures behind each prototype.
        temperature: T of the softmax above.
        fingerprint: Names the encoder that made the embeddings; empty when not known.
    """

    names: tuple[str, ...] = ()
    prototypes: npt.NDArray[np.float32] = field(
        default_factory=lambda: np.zeros((0, 0), dtype=np.float32), repr=False
    )
    counts: tuple[int, ...] = ()
    temperature: float = DEFAULT_TEMPERATURE
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Check that the parts fit together, and freeze the array."""
        if not len(self.names) == len(self.prototypes) == len(self.counts):
            raise ValueError(
                f"a bank needs as many names, prototypes and counts, got {len(self.names)}, "
                f"{len(self.prototypes)} and {len(self.counts)}."
            )
        for i, name in enumerate(self.names):
            _check_name(name, self.names[:i])
        if any(type(count) is not int or count < 1 for count in self.counts):
            raise ValueError(f"every class needs at least one picture, got counts {self.counts}.")
        if not isinstance(self.temperature, int | float) or not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature must be positive, got {self.temperature!r}.")
        frozen = l2_normalize(self.prototypes) if self.names else np.zeros((0, 0), np.float32)
        frozen.flags.writeable = False
        object.__setattr__(self, "prototypes", frozen)

    @classmethod
    def from_classes(
        cls,
        names: Sequence[str],
        prototypes: npt.ArrayLike,
        counts: Sequence[int],
        temperature: float,
        fingerprint: str,
    ) -> ClassBank:
        """Start from the old classes.

        Args:
            names: One name per class.
            prototypes: ``(C, D)``, for example from `dermsim.vectors.centroids`.
            counts: Number of pictures behind each prototype.
            temperature: From `fit_prototype_temperature`.
            fingerprint: Names the encoder that made the embeddings.

        Raises:
            ValueError: If the parts do not fit together, or a name is empty or repeated.
        """
        array = check_embeddings(prototypes, name="prototypes")
        whole = tuple(int(count) for count in counts)
        return cls(tuple(names), array, whole, float(temperature), fingerprint)

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    def enroll(self, name: str, embeddings: npt.ArrayLike) -> ClassBank:
        """Return a bank with one more class.

        Args:
            name: What to call it; at most 80 characters on one line.
            embeddings: ``(shots, D)`` of its pictures, at least one.

        Raises:
            ValueError: If the name is empty or taken, there is no picture, or D differs from the
                bank's.
        """
        cleaned = name.strip()
        _check_name(cleaned, self.names)
        support = check_embeddings(embeddings, dim=self.prototypes.shape[1] if self.names else None)
        if len(support) == 0:
            raise ValueError(f"class {cleaned!r} needs at least one picture, got none.")
        prototype = centroids(support, np.zeros(len(support), dtype=np.int64), 1)
        stacked = np.concatenate([self.prototypes, prototype]) if self.names else prototype
        return ClassBank(
            (*self.names, cleaned),
            stacked,
            (*self.counts, len(support)),
            self.temperature,
            self.fingerprint,
        )

    def remove(self, name: str) -> ClassBank:
        """Return a bank without that class.

        Raises:
            ValueError: If there is no such class.
        """
        if name not in self.names:
            raise ValueError(f"there is no class {name!r}; the bank holds {list(self.names)}.")
        keep = [i for i, other in enumerate(self.names) if other != name]
        return ClassBank(
            tuple(self.names[i] for i in keep),
            self.prototypes[keep],
            tuple(self.counts[i] for i in keep),
            self.temperature,
            self.fingerprint,
        )

    def predict(self, embeddings: npt.ArrayLike) -> list[dict[str, float]]:
        """Return the probability of every class, old and new, for each embedding.

        Args:
            embeddings: ``(N, D)``.

        Returns:
            One dict per row, in the order of `names`, summing to 1.

        Raises:
            ValueError: If the bank is empty, or D differs from the bank's.
        """
        if not self.names:
            raise ValueError("the bank holds no class yet; enroll one first.")
        queries = check_embeddings(embeddings, dim=self.prototypes.shape[1])
        probabilities = softmax(cosine_similarity(queries, self.prototypes), self.temperature)
        return [dict(zip(self.names, row.tolist(), strict=True)) for row in probabilities]

    def save(self, path: str | Path) -> None:
        """Write the bank into one ``.safetensors`` file, atomically.

        Raises:
            ValueError: If the bank is empty.
        """
        if not self.names:
            raise ValueError("the bank holds no class yet; there is nothing to save.")
        facts = {
            "names": self.names,
            "counts": self.counts,
            "temperature": self.temperature,
            "fingerprint": self.fingerprint,
        }
        save_arrays(path, {"prototypes": self.prototypes}, facts=facts)

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None = None) -> ClassBank:
        """Read what `save` wrote.

        Args:
            path: The file.
            fingerprint: The encoder in use, or None to skip the comparison.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, is not a bank, or was made by another encoder.
        """
        arrays, facts = load_arrays(
            path, arrays={"prototypes"}, facts={"names", "counts", "temperature", "fingerprint"}
        )
        names, counts = facts["names"], facts["counts"]
        if not isinstance(names, list) or not isinstance(counts, list):
            raise ValueError(f"{Path(path).name} is not a class bank: names and counts are lists.")
        if fingerprint is not None and facts["fingerprint"] != fingerprint:
            raise ValueError(
                f"{Path(path).name} was made by encoder {facts['fingerprint']!r}, this one is "
                f"{fingerprint!r}; enroll its classes again."
            )
        array = check_embeddings(arrays["prototypes"], name="prototypes")
        return cls(
            tuple(names),
            array,
            tuple(counts),
            facts["temperature"],  # type: ignore[arg-type]
            str(facts["fingerprint"]),
        )


def _check_name(name: object, taken: Sequence[str]) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ValueError("a class needs a name, got an empty one.")
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise ValueError(f"a class name must be one line of at most {MAX_NAME_LENGTH} characters.")
    if name.casefold() in {other.casefold() for other in taken}:
        raise ValueError(f"there is already a class {name!r}; choose another name or remove it.")
