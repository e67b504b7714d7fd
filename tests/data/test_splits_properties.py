"""Whatever the table, no split shares what belongs together, and the order of rows is nothing."""

import random

from datasets import ClassLabel, Dataset
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.core.refused import Refused
from dermsim.data.grouping import group_ids
from dermsim.data.splits import grouped_splits

NAMES = st.one_of(st.none(), st.integers(0, 40).map("L{:03}".format))


@st.composite
def tables(draw):
    """Between 30 and 90 photographs; lesions and patients are shared, unknown, or at odds."""
    count = draw(st.integers(30, 90))
    columns = {
        "image_id": [f"I{row:03}" for row in range(count)],
        "lesion_id": draw(st.lists(NAMES, min_size=count, max_size=count)),
        "patient_id": draw(st.lists(NAMES, min_size=count, max_size=count)),
        "dx": draw(st.lists(st.integers(0, len(CODES) - 1), min_size=count, max_size=count)),
    }
    if draw(st.booleans()):
        del columns["patient_id"]
    return Dataset.from_dict(columns).cast_column("dx", ClassLabel(names=list(CODES)))


def split(rows, **choices):
    try:
        return grouped_splits(rows, **choices)
    except Refused as error:
        # the one thing that a table of known groups may be refused for
        assert error.key == "splits.too_few", error
        assume(False)


@given(rows=tables(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_nothing_that_belongs_together_is_parted(rows, seed):
    splits = split(rows, seed=seed)
    found = sorted(name for part in splits.values() for name in part["image_id"])
    assert found == sorted(rows["image_id"])
    group = dict(zip(rows["image_id"], group_ids(rows), strict=True))
    groups = [{group[name] for name in part["image_id"]} for part in splits.values()]
    assert sum(map(len, groups)) == len(set(group.values()))


@given(rows=tables(), seed=st.integers(0, 2**32 - 1), order=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_changes_nothing(rows, seed, order: random.Random):
    before = split(rows, seed=seed)
    mixed = list(range(len(rows)))
    order.shuffle(mixed)
    after = grouped_splits(rows.select(mixed), seed=seed)
    assert {name: list(part["image_id"]) for name, part in after.items()} == {
        name: list(part["image_id"]) for name, part in before.items()
    }


@given(rows=tables(), pairs=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_near_duplicates_stay_together(rows, pairs):
    names = rows["image_id"]
    components = [{names[a], names[b]} for a, b in pairs]
    splits = split(rows, near_duplicates=components)
    where = {name: part for part, rows in splits.items() for name in rows["image_id"]}
    together = group_ids(rows, near_duplicates=components)
    group = dict(zip(names, together, strict=True))
    for a, b in pairs:
        if group[names[a]] == group[names[b]]:
            assert where[names[a]] == where[names[b]]


def test_too_few_lesions_are_refused_in_words():
    rows = Dataset.from_dict(
        {"image_id": list("abcdefgh"), "lesion_id": ["L"] * 8, "dx": [0] * 8}
    ).cast_column("dx", ClassLabel(names=list(CODES)))
    with refuses("splits.too_few"):
        grouped_splits(rows)
