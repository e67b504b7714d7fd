"""A gallery comes back from its folder as it was, whatever was added to it and taken from it."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsim.core.labels import CODES
from dermsim.tasks.retrieve import Gallery

TEXTS = st.one_of(st.none(), st.text("abcäé ", min_size=1, max_size=6).filter(str.strip))
CASES = st.lists(
    st.fixed_dictionaries(
        {"dx": st.sampled_from(CODES)},
        optional={
            "lesion_id": TEXTS,
            "age": st.one_of(st.none(), st.integers(0, 100).map(float)),
            "sex": st.sampled_from([None, "male", "female"]),
            "localization": st.sampled_from([None, "back", "face"]),
        },
    ),
    min_size=1,
    max_size=12,
)


def made(cases, first, rng, dim=4) -> Gallery:
    records = [{"image_id": f"I{first + row}"} | case for row, case in enumerate(cases)]
    return Gallery.build(rng.normal(size=(len(cases), dim)), records, fingerprint="f")


def assert_same(a: Gallery, b: Gallery) -> None:
    np.testing.assert_array_equal(a.embeddings, b.embeddings)
    assert list(a.records) == list(b.records)
    assert a.fingerprint == b.fingerprint


@given(cases=CASES, more=CASES, seed=st.integers(0, 2**32 - 1), out=st.integers(0, 11))
@settings(max_examples=40, deadline=None)
def test_saved_joined_and_thinned_it_comes_back_as_it_was(cases, more, seed, out):
    rng = np.random.default_rng(seed)
    gallery, other = made(cases, 0, rng), made(more, 100, rng)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "gallery"
        gallery.save(folder)
        assert_same(Gallery.load(folder), gallery)

        joined = gallery.join(other)
        joined.save(folder)
        assert_same(Gallery.load(folder), joined)
        assert_same(Gallery.load(folder, mapped=True), joined)

        if len(gallery) > 1:
            name = f"I{out % len(gallery)}"
            less = joined.remove(image_ids=[name])
            less.save(folder)
            again = Gallery.load(folder)
            assert_same(again, less)
            assert [r for r in joined.records if r["image_id"] != name] == list(again.records)


@given(cases=CASES, seed=st.integers(0, 2**32 - 1), k=st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_one_per_lesion_keeps_the_nearest_of_each(cases, seed, k):
    rng = np.random.default_rng(seed)
    gallery = made(cases, 0, rng)
    [query] = rng.normal(size=(1, 4))
    [every] = gallery.search([query], len(cases))
    seen, expected = set(), []
    for neighbor in every:
        lesion = neighbor.lesion_id
        if lesion is None or lesion not in seen:
            expected.append(neighbor)
        seen.add(lesion)
    assert gallery.search([query], k, one_per_lesion=True) == [expected[:k]]
