"""Blotting a region out changes what is read of it, and nothing else."""

import numpy as np
import pytest

from dermsim.tasks.concepts.evidence import blot_out

G = 8


def summed(maps, last):
    means = [m.mean(axis=(1, 2)) for m in maps]
    spreads = [m.std(axis=(1, 2)) for m in maps]
    return np.concatenate([last.mean(axis=(1, 2)), *means, *spreads])


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(3, G, G)), rng.normal(size=(5, 4, 4))]
    return maps, rng.normal(size=(6, 2, 2))


def half(columns):
    found = np.zeros((G, G), dtype=bool)
    found[:, columns] = True
    return found


WHOLE = np.ones((G, G), dtype=bool)


def test_no_region_changes_nothing(picture):
    maps, last = picture
    features = summed(maps, last)
    found = blot_out(features, maps, last, [np.zeros((G, G), dtype=bool)], WHOLE)[0]
    np.testing.assert_allclose(found, features, atol=1e-9)


def test_the_region_gets_the_mean_of_the_rest(picture):
    maps, last = picture
    region = half(slice(0, 4))
    found = blot_out(summed(maps, last), maps, last, [region], WHOLE)[0]
    fine = maps[0].copy()
    fine[:, :, :4] = maps[0][:, :, 4:].mean(axis=(1, 2))[:, None, None]
    np.testing.assert_allclose(found[6:9], fine.mean(axis=(1, 2)))
    np.testing.assert_allclose(found[14:17], fine.std(axis=(1, 2)))
    np.testing.assert_allclose(found[:6], last[:, :, 1].mean(axis=1))


def test_what_was_special_about_the_region_is_gone(picture):
    maps, last = picture
    maps[0][0, 2:4, 2:4] += 50
    spot = np.zeros((G, G), dtype=bool)
    spot[2:4, 2:4] = True
    features = summed(maps, last)
    there, elsewhere = blot_out(features, maps, last, [spot, np.rot90(spot, 2)], WHOLE)
    assert abs(there[6]) < 1 < abs(elsewhere[6])


def test_pooled_features_that_are_no_mean_stay(picture):
    maps, last = picture
    features = summed(maps, last)
    features[:6] = 99
    found = blot_out(features, maps, last, [half(slice(0, 4))], WHOLE)[0]
    assert (found[:6] == 99).all()


def test_a_region_that_is_all_of_the_lesion_is_filled_from_the_skin(picture):
    maps, last = picture
    region = half(slice(0, 4))
    found = blot_out(summed(maps, last), maps, last, [region], region)[0]
    fine = maps[0].copy()
    fine[:, :, :4] = maps[0][:, :, 4:].mean(axis=(1, 2))[:, None, None]
    np.testing.assert_allclose(found[6:9], fine.mean(axis=(1, 2)))


def test_grids_that_do_not_divide_one_another(picture):
    _, last = picture
    odd = [np.random.default_rng(1).normal(size=(3, 5, 5))]
    found = blot_out(summed(odd, last), odd, last, [half(slice(0, 4))], WHOLE)[0]
    assert np.isfinite(found).all()
    assert not np.allclose(found, summed(odd, last))


def test_a_region_that_is_the_whole_picture_leaves_it_as_it_is(picture):
    maps, last = picture
    features = summed(maps, last)
    np.testing.assert_allclose(blot_out(features, maps, last, [WHOLE], WHOLE)[0], features)
