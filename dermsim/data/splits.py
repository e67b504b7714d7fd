"""Splits a data set into train, validation and test without sharing a lesion between them."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.grouping import group_ids

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def without(rows: Dataset, codes: Collection[str]) -> Dataset:
    """Leave diagnoses out, so that an encoder can be examined on what it has never seen.

    Split first: without them the lesions of the other diagnoses would be shared out differently.

    Args:
        rows: With ``dx``.
        codes: Diagnoses of `CODES` to leave out; none leaves the rows as they are.

    Raises:
        ValueError: If a code is unknown, or nothing is left.
    """
    if unknown := sorted(set(codes) - set(CODES)):
        raise Refused("splits.no_diagnosis", unknown=unknown[0], codes=CODES)
    if not codes:
        return rows
    out = {CODES.index(code) for code in codes}
    kept = [row for row, dx in enumerate(rows["dx"]) if dx not in out]
    if not kept:
        raise Refused("splits.nothing_left", codes=sorted(codes))
    return rows.select(kept)


@dataclass(frozen=True)
class _Lesion:
    lesion_id: str
    dx: int
    images: int


def grouped_splits(
    dataset: Dataset,
    *,
    validation: float = 0.125,
    test: float = 0.125,
    seed: int = 0,
    near_duplicates: Iterable[Collection[str]] = (),
) -> DatasetDict:
    """Split by lesion, near-stratified by diagnosis, the same way whatever the order of the rows.

    Where the patient is known, and where pictures are known to be near-duplicates, lesions that are
    so joined stay together, too: `dermsim.data.grouping.group_ids` says what is one.

    Within each diagnosis the lesions are put in the order of a hash of seed and lesion_id; the
    first ones fill the test split up to its share of the diagnosis' images, the next ones
    validation, the rest is train. What a diagnosis' last lesion adds too much or too little is
    carried over to the next diagnosis, so the splits' sizes come out right even for small data
    sets.

    Args:
        dataset: Rows with ``image_id`` (unique), ``lesion_id`` (None where not known) and ``dx``;
            ``patient_id``, if there, counts.
        validation: Share of the images wanted in validation, in (0, 1).
        test: Share of the images wanted in test, in (0, 1).
        seed: Another seed gives another split.
        near_duplicates: The image_ids of each component of near-duplicates, as
            `dermsim.data.duplicates.load_components` reads them.

    Returns:
        ``train``, ``validation`` and ``test``, each sorted by image_id.

    Raises:
        ValueError: If the shares leave nothing to a split, an image_id repeats, or there are too
            few lesions to fill every split.

    Examples:
        >>> from dermsim import grouped_splits, load_dataset
        >>> splits = grouped_splits(load_dataset("synthetic"))
        >>> set(splits["train"]["lesion_id"]) & set(splits["test"]["lesion_id"])
        set()
    """
    from datasets import DatasetDict

    if validation <= 0 or test <= 0 or validation + test >= 1:
        raise Refused("splits.shares", validation=validation, test=test)
    image_ids = list(dataset["image_id"])
    if len(set(image_ids)) < len(image_ids):
        raise Refused("splits.repeats")

    lesion_ids = group_ids(dataset, near_duplicates=near_duplicates)
    split_of = _assign(
        _lesions(lesion_ids, list(dataset["dx"])), {"test": test, "validation": validation}, seed
    )
    rows: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for row in sorted(range(len(image_ids)), key=image_ids.__getitem__):
        rows[split_of[lesion_ids[row]]].append(row)
    empty = [name for name, members in rows.items() if not members]
    if empty:
        raise Refused("splits.too_few", count=len(split_of), empty=list(empty))
    return DatasetDict({name: dataset.select(members) for name, members in rows.items()})


def _lesions(lesion_ids: list[str], dx: list[int]) -> list[_Lesion]:
    """Count each lesion's images; of several diagnoses the commonest counts, then the lowest."""
    labels: dict[str, Counter[int]] = defaultdict(Counter)
    for lesion_id, label in zip(lesion_ids, dx, strict=True):
        labels[lesion_id][label] += 1
    return [
        _Lesion(lesion_id, min(counts, key=lambda label: (-counts[label], label)), counts.total())
        for lesion_id, counts in labels.items()
    ]


def _assign(lesions: list[_Lesion], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Map each lesion_id to ``"train"`` or one of the shares' names."""

    def order(lesion: _Lesion) -> tuple[int, bytes]:
        key = f"{seed}:{lesion.lesion_id}".encode()
        return lesion.dx, hashlib.blake2b(key, digest_size=16).digest()

    images_of = Counter[int]()
    for lesion in lesions:
        images_of[lesion.dx] += lesion.images

    split_of: dict[str, str] = {}
    waiting = sorted(lesions, key=order)
    for name, share in shares.items():
        owed, current, left = 0.0, None, []
        for lesion in waiting:
            if lesion.dx != current:
                current = lesion.dx
                owed += share * images_of[current]
            # A lesion is taken when that brings the split closer to what it is owed.
            if owed >= lesion.images / 2:
                split_of[lesion.lesion_id] = name
                owed -= lesion.images
            else:
                left.append(lesion)
        waiting = left
    return split_of | {lesion.lesion_id: "train" for lesion in waiting}
