"""How alike maps are."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from dermsim.evaluation.explanations.agreement import CELLS, TURNS, _cells, correlation


def smooth(seed, count=3, side=64):
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).random((count, side, side))
    return gaussian_filter(noise, (0, 6, 6))


def test_correlation_is_spearmans_over_the_cells():
    one, other = smooth(0), smooth(1)
    found = correlation(one, other)
    for i in range(3):
        expected = spearmanr(_cells(one)[i].round(6), _cells(other)[i].round(6)).statistic
        assert found[i] == pytest.approx(expected)


def test_only_the_order_matters():
    one = smooth(0)
    one = (one - one.min()) / (one.max() - one.min())
    np.testing.assert_allclose(correlation(one, one), 1)
    np.testing.assert_allclose(correlation(one, 1 - one), -1, atol=1e-3)
    assert (np.abs(correlation(one, smooth(5))) < 0.5).all()


def test_a_flat_map_is_like_flat_maps_alone():
    maps, flat = smooth(0), np.full((3, 64, 64), 0.3)
    maps[1] = 0.7
    assert correlation(maps, flat).tolist() == correlation(flat, maps).tolist() == [0, 1, 0]
    assert correlation(maps, smooth(1))[1] == 0


@pytest.mark.parametrize("side", [64, 50, 16])
def test_cells_are_means_and_leave_out_the_corners(side):
    maps = np.zeros((1, side, side))
    maps[:, : side // 8, : side // 8] = 1  # a corner, outside the disc
    cells = _cells(maps)
    assert cells.shape[1] < CELLS**2 * 0.85
    assert cells.max() == 0
    assert _cells(np.ones((2, side, side))).min() == pytest.approx(1)


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_what_is_turned_comes_back(turn):
    maps = smooth(2)
    there = turn.there(maps)
    assert there.shape == maps.shape and not np.allclose(there, maps, atol=1e-3)
    assert (correlation(turn.back(there), maps) > 0.98).all()
    assert (correlation(there, maps) < 0.7).all()


def test_images_turn_as_maps_do():
    maps = smooth(3)
    images = np.repeat(maps[:, None], 3, axis=1)
    for turn in TURNS:
        np.testing.assert_allclose(turn.there(images)[:, 1], turn.there(maps), atol=1e-6)
