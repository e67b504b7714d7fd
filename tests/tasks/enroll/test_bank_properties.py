"""A bank comes back from its file as it was, and gives the same answers, whatever it was taught."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsim.core.refused import Refused
from dermsim.tasks.enroll import ClassBank
from dermsim.tasks.enroll.files import bank_parts

TITLES = st.text(
    st.characters(categories=("L", "N", "P"), exclude_characters="\x00"), min_size=1, max_size=12
).filter(str.strip)


def assert_same(a: ClassBank, b: ClassBank) -> None:
    arrays, facts = bank_parts(a)
    others, other_facts = bank_parts(b)
    assert facts == other_facts
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])


@given(
    names=st.lists(TITLES, min_size=1, max_size=4, unique_by=str.casefold),
    shots=st.integers(1, 6),
    dim=st.integers(2, 9),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_round_trip(names, shots, dim, seed):
    rng = np.random.default_rng(seed)
    bank = ClassBank()
    for name in names:
        try:
            bank = bank.enroll(name, rng.normal(size=(shots, dim)))
        except Refused as error:  # "MEL" and "melanoma" are one class
            assert error.key in ("bank.class_exists", "bank.class_exists_as"), error
    again = ClassBank.from_bytes(bank.to_bytes())
    queries = rng.normal(size=(5, dim))
    assert_same(again, bank)
    assert again.predict(queries) == bank.predict(queries)


@given(seed=st.integers(0, 2**32 - 1), dim=st.integers(2, 9))
@settings(max_examples=25, deadline=None)
def test_what_is_taught_and_taken_back_leaves_no_trace(seed, dim):
    rng = np.random.default_rng(seed)
    before = ClassBank().enroll("first", rng.normal(size=(3, dim)))
    after = before.enroll("second", rng.normal(size=(4, dim))).remove("second")
    assert_same(after, before)
