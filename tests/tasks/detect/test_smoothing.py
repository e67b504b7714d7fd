"""Means, blurs and connected parts, against SciPy's."""

import numpy as np
import pytest
from scipy import ndimage

from dermsim.tasks.detect.smoothing import box_mean, gaussian_blur, largest_part


@pytest.mark.parametrize("shape", [(96, 96), (24, 31), (3, 5)])
def test_they_are_scipys(shape):
    picture = np.random.default_rng(0).random(shape)
    np.testing.assert_allclose(box_mean(picture), ndimage.uniform_filter(picture, 3), atol=1e-14)
    for sigma in (0.7, 1.3):
        expected = ndimage.gaussian_filter(picture, sigma)
        np.testing.assert_allclose(gaussian_blur(picture, sigma), expected, atol=1e-14)


@pytest.mark.parametrize("share", [0.2, 0.45, 0.6, 0.95])
def test_the_largest_part_is_scipys(share):
    for seed in range(10):
        mask = np.random.default_rng(seed).random((24, 24)) < share
        sizes = np.bincount(ndimage.label(mask)[0].ravel())[1:]
        assert largest_part(mask) == sizes.max()


def test_parts_touch_by_their_sides():
    assert largest_part(np.eye(5, dtype=bool)) == 1
    assert largest_part(np.zeros((4, 4), dtype=bool)) == 0
    winding = np.zeros((7, 7), dtype=bool)
    winding[::2] = True
    winding[1::4, -1] = True
    winding[3::4, 0] = True
    assert largest_part(winding) == winding.sum()
