"""A bank of classes as one file, which one visitor saves and another loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dermsim.core.refused import Keyed, Phrase, Refused
from dermsim.core.storage import check_keys
from dermsim.core.vectors import check_embeddings, check_labels
from dermsim.tasks.enroll.feature_space import Space
from dermsim.tasks.enroll.heads import HEADS, EnrolledClass, OldClasses

FACTS = {"old_names", "old_counts", "temperature", "fingerprint", "space", "enrolled"}
ARRAYS = {"prototypes", "center", "scale", "reference", "reference_labels", "shots"}

Arrays = Mapping[str, npt.NDArray[Any]]
Restored = TypeVar("Restored")


class Bank(Protocol):
    """What is kept of a `dermsim.tasks.enroll.ClassBank`."""

    @property
    def old_names(self) -> tuple[str, ...]:
        """Names of the old classes."""

    @property
    def old_counts(self) -> tuple[int, ...]:
        """Number of training images behind each."""

    @property
    def old(self) -> OldClasses:
        """Their prototypes and held-out images."""

    @property
    def enrolled(self) -> tuple[EnrolledClass, ...]:
        """The new classes."""

    @property
    def space(self) -> Space:
        """What vectors are compared."""

    @property
    def fingerprint(self) -> str:
        """Names the encoder."""

    @property
    def dim(self) -> int | None:
        """Width of the vectors, None for an empty bank."""


def bank_parts(bank: Bank) -> tuple[Arrays, dict[str, object]]:
    """Return the arrays and facts that a bank's file holds.

    Raises:
        ValueError: If the bank is empty.
    """
    if not (bank.old_names or bank.enrolled) or bank.dim is None:
        raise Refused("files.empty")
    facts: dict[str, object] = {
        "old_names": bank.old_names,
        "old_counts": bank.old_counts,
        "temperature": bank.old.temperature,
        "fingerprint": bank.fingerprint,
        "space": bank.space.name,
        "enrolled": [
            {"name": new.name, "pictures": len(new.shots), "head": new.head}
            for new in bank.enrolled
        ],
    }
    nothing = np.zeros((0, bank.dim), dtype=np.float32)
    center, scale = bank.space.center, bank.space.scale
    arrays: dict[str, npt.NDArray[Any]] = {
        "prototypes": bank.old.prototypes if bank.old_names else nothing,
        # as they are: a space that leaves vectors alone has neither
        "center": np.zeros(0, np.float32) if center is None else center,
        "scale": np.zeros(0, np.float32) if scale is None else scale,
        "reference": (bank.old.vectors if len(bank.old.vectors) else nothing).astype(np.float16),
        "reference_labels": bank.old.labels.astype(np.int16),
        "shots": np.concatenate([nothing, *(new.shots for new in bank.enrolled)]),
    }
    return arrays, facts


def restore_bank(
    build: Callable[..., Restored],
    arrays: Arrays,
    facts: Mapping[str, Any],
    *,
    name: Keyed | str,
    fingerprint: str | None,
) -> Restored:
    """Make a bank of what a file holds.

    Args:
        build: The bank's class, called with its fields by name.
        arrays: As from `bank_parts`.
        facts: As from `bank_parts`.
        name: What a refusal calls the file.
        fingerprint: The encoder in use, or None to skip the comparison.

    Raises:
        ValueError: If the file is not a bank, or was made by another encoder.
    """
    check_keys(facts, FACTS, name=Phrase("storage.header", name=name))
    check_keys(arrays, ARRAYS, name=name)
    if fingerprint is not None and facts["fingerprint"] != fingerprint:
        raise Refused(
            "files.other_encoder",
            name=name,
            theirs=facts["fingerprint"],
            ours=fingerprint,
        )
    try:
        return build(**_fields(arrays, facts))
    except (TypeError, KeyError, OverflowError) as error:
        raise Refused("files.no_bank", name=name, error=error) from error
    except ValueError as error:
        raise Refused("files.no_bank_because", name=name, error=error) from error


def _fields(arrays: Arrays, facts: Mapping[str, Any]) -> dict[str, Any]:
    names, counts, entries = _lists(facts, "old_names", "old_counts", "enrolled")
    center, scale = (arrays[key].astype(np.float32) for key in ("center", "scale"))
    whole = center.size > 0 or scale.size > 0
    space = Space(facts["space"], center if whole else None, scale if whole else None)
    prototypes, reference, shots = (
        check_embeddings(arrays[key], name=key) for key in ("prototypes", "reference", "shots")
    )
    labels = check_labels(
        arrays["reference_labels"], rows=len(reference), num_classes=max(len(names), 1)
    )
    ends = np.cumsum([0, *(_pictures(entry) for entry in entries)])
    if ends[-1] != len(shots):
        raise Refused("files.pictures", count=len(shots), ends=ends[-1])
    return {
        "old_names": tuple(names),
        "old_counts": tuple(counts),
        "old": OldClasses(prototypes, facts["temperature"], reference, labels),
        "enrolled": tuple(
            EnrolledClass(entry["name"], shots[start:end].copy(), entry["head"])
            for entry, start, end in zip(entries, ends[:-1], ends[1:], strict=True)
        ),
        "space": space,
        "fingerprint": str(facts["fingerprint"]),
    }


def _lists(facts: Mapping[str, Any], *names: str) -> list[list[Any]]:
    for name in names:
        if not isinstance(facts[name], list):
            raise Refused("files.not_a_list", name=name, facts=facts[name])
    return [facts[name] for name in names]


def _pictures(entry: object) -> int:
    plain = check_keys(entry, {"name", "pictures", "head"}, name=Phrase("files.enrolled_class"))
    pictures = plain["pictures"]
    if type(pictures) is not int or pictures < 1 or plain["head"] not in ("auto", *HEADS):
        raise Refused("files.plain", plain=plain)
    return pictures
