"""Which pictures must stay together when a data set is split: patient, lesion, near-duplicate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


class UnionFind:
    """Disjoint sets over ``0 .. n - 1`` (Tarjan 1975, https://doi.org/10.1145/321879.321884)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def find(self, item: int) -> int:
        """Return the lowest member of an item's set."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def union(self, a: int, b: int) -> None:
        """Join the sets of two items."""
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low

    def join_equal(self, keys: Sequence[Hashable | None]) -> None:
        """Join all items that share a key; None is no key.

        Args:
            keys: One for each item.
        """
        first: dict[Hashable, int] = {}
        for item, key in enumerate(keys):
            if key is not None:
                self.union(first.setdefault(key, item), item)


def group_ids(rows: Dataset, *, near_duplicates: Iterable[Collection[str]] = ()) -> list[str]:
    """Name for each picture the group that no split may cut.

    Pictures belong together when they share a patient, a lesion, a component of near-duplicates or
    their name. What is not known joins nothing: a picture of which nothing is known is a group by
    itself. Belonging together is passed on, so that a lesion of which one picture came again in
    another data set stays with it.

    Args:
        rows: With ``image_id``; ``patient_id`` and ``lesion_id``, if there, count.
        near_duplicates: The image_ids of each component, as
            `dermsim.data.duplicates.load_components` reads them.

    Returns:
        One name for each row, the same whatever the order of the rows. A group of one lesion bears
        the lesion's name.
    """
    image_ids = [str(name) for name in rows["image_id"]]
    known = set(rows.column_names)
    patients, lesions = (
        list(rows[name]) if name in known else [None] * len(image_ids)
        for name in ("patient_id", "lesion_id")
    )
    component = {name: n for n, names in enumerate(near_duplicates) for name in names}
    sets = UnionFind(len(image_ids))
    for keys in (patients, lesions, [component.get(name) for name in image_ids], image_ids):
        sets.join_equal(keys)
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(len(image_ids)):
        members[sets.find(row)].append(row)
    names = {
        root: _name(
            [patients[row] for row in own],
            [lesions[row] for row in own],
            [image_ids[row] for row in own],
        )
        for root, own in members.items()
    }
    return [names[sets.find(row)] for row in range(len(image_ids))]


def _name(
    patients: Sequence[str | None], lesions: Sequence[str | None], image_ids: Sequence[str]
) -> str:
    """Name a group after its one lesion, or else after what is first of its surest kind."""
    if len(set(lesions)) == 1 and lesions[0] is not None:
        return lesions[0]
    return min(filter(None, patients), default="") or min(
        filter(None, lesions), default=min(image_ids)
    )
