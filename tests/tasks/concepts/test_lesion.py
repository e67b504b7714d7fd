"""The lesion, regions within it, and the words for where they are."""

import numpy as np
import pytest

from dermsim.tasks.concepts.lesion import (
    PLACE_NAMES,
    THROUGHOUT,
    dice,
    equal_regions,
    lesion_of,
    overlap,
    place_of,
    region_of,
)

G = 30


def square(top, bottom, left, right):
    found = np.zeros((G, G), dtype=bool)
    found[top:bottom, left:right] = True
    return found


LESION = square(6, 24, 6, 24)


def test_the_lesion_is_the_largest_part_with_its_holes_filled():
    log_odds = np.where(LESION | square(0, 3, 0, 3), 2.0, -2.0)
    log_odds[12:14, 12:14] = -1
    np.testing.assert_array_equal(lesion_of(log_odds), LESION)


@pytest.mark.parametrize("log_odds", [np.full((G, G), -1.0), np.where(square(0, 1, 0, 2), 1.0, -1)])
def test_a_speck_is_no_lesion(log_odds):
    assert not lesion_of(log_odds).any()


@pytest.mark.parametrize(
    ("region", "place"),
    [
        (square(6, 9, 6, 9), "upper_left"),
        (square(6, 9, 13, 17), "upper"),
        (square(6, 9, 21, 24), "upper_right"),
        (square(13, 17, 6, 9), "left"),
        (square(13, 17, 13, 17), "centre"),
        (square(13, 17, 21, 24), "right"),
        (square(21, 24, 6, 9), "lower_left"),
        (square(21, 24, 13, 17), "lower"),
        (square(21, 24, 21, 24), "lower_right"),
        (square(6, 20, 6, 24), THROUGHOUT),
    ],
)
def test_every_place_has_its_word(region, place):
    assert place_of(region, LESION) == place
    assert place in PLACE_NAMES


def test_a_region_is_within_the_lesion_and_never_empty():
    log_odds = np.linspace(-3, 3, G * G).reshape(G, G)
    found = region_of(log_odds, LESION, threshold=1.0)
    np.testing.assert_array_equal(found, LESION & (log_odds >= 1))
    best = region_of(log_odds, LESION, threshold=99.0)
    assert 0 < best.sum() <= 0.15 * LESION.sum()
    assert not (best & ~LESION).any()


def test_regions_elsewhere_have_the_same_size_and_lie_within():
    region = square(6, 9, 6, 11)
    drawn = equal_regions(region, LESION, count=6, rng=np.random.default_rng(0))
    assert [own.sum() for own in drawn] == [region.sum()] * 6
    assert not any((own & ~LESION).any() for own in drawn)
    assert len({own.tobytes() for own in drawn}) > 1


def test_dice_and_overlap():
    one, other = square(0, 4, 0, 4), square(0, 4, 2, 6)
    assert dice(one, other) == pytest.approx(0.5)
    assert overlap(one, other) == pytest.approx(1 / 3)
    nothing = np.zeros_like(one)
    assert dice(nothing, nothing) == overlap(nothing, nothing) == 1.0
    assert dice(one, nothing) == overlap(one, nothing) == 0.0
