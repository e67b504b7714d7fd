"""A bank of classes as one file, which one visitor saves and another loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dermsim.storage import check_keys, pack_arrays, read_arrays, save_arrays, unpack_arrays
from dermsim.tasks.enroll.bank import ClassBank, EnrolledClass
from dermsim.tasks.enroll.heads import HEADS, OldClasses
from dermsim.tasks.enroll.space import Space
from dermsim.vectors import check_embeddings, check_labels

OLDER_FACTS = {"names", "counts", "temperature", "fingerprint"}
"""Facts of a file written before there were heads, beside prototypes that are embeddings."""

FACTS = {"old_names", "old_counts", "temperature", "fingerprint", "space", "enrolled"}
ARRAYS = {"prototypes", "center", "scale", "reference", "reference_labels", "shots"}

Arrays = Mapping[str, npt.NDArray[Any]]


def save_bank(bank: ClassBank, path: str | Path) -> None:
    """Write a bank, atomically.

    Raises:
        ValueError: If the bank is empty.
    """
    arrays, facts = _parts(bank)
    save_arrays(path, arrays, facts=facts)


def bank_to_bytes(bank: ClassBank) -> bytes:
    """Return the bytes of a file of `save_bank`, for where nothing is to be put on disk.

    Raises:
        ValueError: If the bank is empty.
    """
    arrays, facts = _parts(bank)
    return pack_arrays(arrays, facts=facts)


def load_bank(path: str | Path, *, fingerprint: str | None = None) -> ClassBank:
    """Read what `save_bank` wrote, or an older file.

    Args:
        path: The file.
        fingerprint: The encoder in use, or None to skip the comparison.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is not a bank, or was made by another encoder.
    """
    arrays, facts = read_arrays(path)
    return _restore(arrays, facts, name=Path(path).name, fingerprint=fingerprint)


def bank_from_bytes(data: bytes, *, fingerprint: str | None = None) -> ClassBank:
    """Read what `bank_to_bytes` returned, or the bytes of a file.

    Args:
        data: The bytes.
        fingerprint: As for `load_bank`.

    Raises:
        ValueError: As `load_bank`.
    """
    arrays, facts = unpack_arrays(data, name="the bank")
    return _restore(arrays, facts, name="the bank", fingerprint=fingerprint)


def _parts(bank: ClassBank) -> tuple[Arrays, dict[str, object]]:
    """Return the arrays and facts of a bank."""
    if not bank.names or bank.dim is None:
        raise ValueError("the bank holds no class yet; there is nothing to save.")
    facts: dict[str, object] = {
        "old_names": bank.old_names,
        "old_counts": bank.old_counts,
        "temperature": bank.temperature,
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


def _restore(
    arrays: Arrays, facts: Mapping[str, Any], *, name: str, fingerprint: str | None
) -> ClassBank:
    """Make a bank of what a file holds."""
    older = set(facts) == OLDER_FACTS
    check_keys(facts, OLDER_FACTS if older else FACTS, name=f"the header of {name}")
    check_keys(arrays, {"prototypes"} if older else ARRAYS, name=name)
    if fingerprint is not None and facts["fingerprint"] != fingerprint:
        raise ValueError(
            f"{name} was made by encoder {facts['fingerprint']!r}, this one is {fingerprint!r}; "
            "enroll its classes again."
        )
    try:
        return _older(arrays, facts) if older else _bank(arrays, facts)
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"{name} is not a class bank: {error}.") from error
    except ValueError as error:
        raise ValueError(f"{name} is not a class bank: {error}") from error


def _older(arrays: Arrays, facts: Mapping[str, Any]) -> ClassBank:
    names, counts = _lists(facts, "names", "counts")
    prototypes = check_embeddings(arrays["prototypes"], name="prototypes")
    return ClassBank.from_classes(
        names, prototypes, counts, facts["temperature"], str(facts["fingerprint"])
    )


def _bank(arrays: Arrays, facts: Mapping[str, Any]) -> ClassBank:
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
        raise ValueError(f"it holds {len(shots)} pictures, but its header says {ends[-1]}.")
    return ClassBank(
        old_names=tuple(names),
        old_counts=tuple(counts),
        old=OldClasses(prototypes, facts["temperature"], reference, labels),
        enrolled=tuple(
            EnrolledClass(entry["name"], shots[start:end].copy(), entry["head"])
            for entry, start, end in zip(entries, ends[:-1], ends[1:], strict=True)
        ),
        space=space,
        fingerprint=str(facts["fingerprint"]),
    )


def _lists(facts: Mapping[str, Any], *names: str) -> list[list[Any]]:
    for name in names:
        if not isinstance(facts[name], list):
            raise ValueError(f"{name} must be a list, got {facts[name]!r}.")
    return [facts[name] for name in names]


def _pictures(entry: object) -> int:
    plain = check_keys(entry, {"name", "pictures", "head"}, name="an enrolled class")
    pictures = plain["pictures"]
    if type(pictures) is not int or pictures < 1 or plain["head"] not in ("auto", *HEADS):
        raise ValueError(f"an enrolled class cannot be {plain}.")
    return pictures
