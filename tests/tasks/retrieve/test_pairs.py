import itertools

import numpy as np
import pytest
from refusals import refuses

from dermsim.tasks.retrieve import Gallery, PairScale, Standing


def gallery(cases):
    """Cases given as (angle in degrees, dx, lesion_id) on a circle."""
    angles = np.deg2rad([angle for angle, _, _ in cases])
    records = [
        {"image_id": f"ISIC_{n}", "lesion_id": lesion, "dx": dx}
        for n, (_, dx, lesion) in enumerate(cases)
    ]
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Gallery.build(vectors.astype(np.float32), records, fingerprint="circle")


CASES = [
    (0, "nv", "a"),
    (10, "nv", "b"),
    (30, "nv", "c"),
    (180, "nv", "a"),  # of the first lesion: no pair of it
    (90, "mel", "d"),
    (130, "mel", None),
    (131, "mel", None),  # two lesions that nobody named are two
    (300, "vasc", "e"),  # the only one of its diagnosis
]


def draw(cases=CASES, pairs=400):
    return PairScale.of(gallery(cases), generator=np.random.default_rng(0), pairs=pairs)


def test_the_likenesses_are_those_of_all_pairs_of_lesions():
    possible = {True: set(), False: set()}
    for (one, dx, lesion), (other, dx2, lesion2) in itertools.combinations(CASES, 2):
        if lesion is None or lesion != lesion2:
            possible[dx == dx2].add(round(float(np.cos(np.deg2rad(one - other))), 4))
    scale = draw(pairs=2000)
    assert {round(cosine, 4) for cosine in scale.same.tolist()} == possible[True]
    assert {round(cosine, 4) for cosine in scale.different.tolist()} == possible[False]
    assert (np.diff(scale.same) >= 0).all() and (np.diff(scale.different) >= 0).all()


def test_every_diagnosis_counts_the_same():
    many = [(0.01 * n, "nv", f"n{n}") for n in range(300)]
    few = [(90, "mel", "x"), (150, "mel", "y")]
    scale = draw(many + few)
    # the melanomas' one likeness is 0.5, the naevi's all are near 1
    assert np.isclose(scale.same, 0.5, atol=1e-4).mean() == pytest.approx(0.5)
    assert len(scale.same) == 2 * 400
    assert len(scale.different) == 400


def test_a_standing_is_the_share_of_pairs_that_are_less_alike():
    scale = PairScale(
        np.array([0.2, 0.4, 0.6, 0.8], np.float32), np.array([-0.5, 0.0, 0.4, 0.5], np.float32)
    )
    assert scale.standing(0.5) == Standing(same=0.5, different=0.75)
    assert scale.standing(-1) == Standing(0.0, 0.0)
    assert scale.standing(1) == Standing(1.0, 1.0)


def test_the_same_generator_draws_the_same_pairs():
    first, second = draw(), draw()
    np.testing.assert_array_equal(first.same, second.same)
    np.testing.assert_array_equal(first.different, second.different)


@pytest.mark.parametrize(
    "cases",
    [
        [(0, "nv", "a"), (10, "nv", "b")],
        [(0, "nv", "a"), (10, "nv", "a"), (90, "mel", "b")],
    ],
)
def test_a_gallery_without_such_pairs_is_refused(cases):
    with refuses("pairs.too_few"):
        draw(cases)
