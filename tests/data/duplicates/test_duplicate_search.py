"""Which pairs are found, what they join to, and what cannot be asked."""

import numpy as np
import pytest
from PIL import ImageOps
from refusals import refuses

from dermsim.data.duplicates import Pair, components, find_pairs, look_at
from dermsim.data.synthetic import draw_lesion

N = 24


@pytest.fixture(scope="module")
def planted():
    """40 lesions, then copies: halved, turned, the centre of one, a corner of one, an equal one."""
    images = [
        draw_lesion(dx, seed=seed, size=(240, 180))
        for seed in range(N // 4)
        for dx in ("mel", "nv", "bkl", "akiec")
    ]
    images += [
        images[0].resize((120, 90)),
        images[1].rotate(90, expand=True),
        ImageOps.mirror(images[2]),
        images[3].crop((30, 0, 210, 180)),
        images[4].crop((60, 45, 240, 180)),
        images[5].copy(),
        images[6].resize((84, 84)),
    ]
    return [look_at(image) for image in images]


TRUE = {(row, N + row) for row in range(7)}
CORNER = (4, N + 4)


def test_hashes_find_all_but_what_was_cut_elsewhere(planted):
    found = find_pairs(planted)
    assert {pair.rows for pair in found} == TRUE - {CORNER}
    assert all(pair.similarity is None and pair.hash_distance is not None for pair in found)
    assert [pair.detail for pair in found if pair.rows == (5, N + 5)] == [1.0]
    turn = {pair.rows: pair.turn for pair in found}
    assert turn[(1, N + 1)] == 1 and turn[(2, N + 2)] == 4
    share = {pair.rows: pair.share for pair in found}
    assert share[(3, N + 3)] == pytest.approx(0.75, abs=0.03)


def test_embeddings_find_what_was_cut_elsewhere(planted):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(planted), 8))
    embeddings[N:] = embeddings[:7] + 0.1 * rng.normal(size=(7, 8))
    found = {pair.rows: pair for pair in find_pairs(planted, embeddings)}
    assert set(found) == TRUE
    corner = found[CORNER]
    assert corner.similarity > 0.9 and corner.hash_distance is None
    assert corner.share == pytest.approx(0.5625, abs=0.04)


def test_embeddings_alone_make_no_pair(planted):
    alike = np.ones((len(planted), 4))
    assert {pair.rows for pair in find_pairs(planted[:N], alike[:N])} == set()


def test_turned_pictures_do_not_depend_on_which_comes_first(planted):
    for other in (N + 1, N + 2):
        row = other - N
        (one,) = find_pairs([planted[row], planted[other]])
        (two,) = find_pairs([planted[other], planted[row]])
        assert one.rows == two.rows == (0, 1)
        assert {one.turn, two.turn} == ({1, 3} if row == 1 else {4})


def test_a_chain_is_one_component():
    pairs = [Pair((a, b), 1.0, 1.0) for a, b in ((4, 2), (7, 4), (0, 1))]
    pairs = [Pair(tuple(sorted(pair.rows)), 1.0, 1.0) for pair in pairs]
    assert components(9, pairs) == [[0, 1], [2, 4, 7]]
    assert components(3, []) == []


def test_what_makes_no_sense(planted):
    assert find_pairs([]) == []
    assert find_pairs(planted[:1], np.ones((1, 3))) == []
    with refuses("duplicates_search.embeddings", looks_count=2, unit_count=3):
        find_pairs(planted[:2], np.ones((3, 3)))
    with refuses("duplicates_search.settings"):
        find_pairs(planted[:2], neighbors=0)
    with refuses("duplicates_search.settings"):
        find_pairs(planted[:2], at_least=1.5)
