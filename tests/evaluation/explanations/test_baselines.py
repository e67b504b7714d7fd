"""Maps that know nothing of the model."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.evaluation.explanations.baselines import (
    centred_gaussian,
    edges,
    lesion_spread,
    uniform,
)


def test_the_gaussian_is_centred_round_and_as_wide_as_asked():
    blob = centred_gaussian(200, 0.1)
    assert np.unravel_index(blob.argmax(), blob.shape) in [(99, 99), (99, 100), (100, 99)]
    np.testing.assert_allclose(blob, blob.T)
    np.testing.assert_allclose(blob, blob[::-1, ::-1])
    place = (np.arange(200) + 0.5) / 200 - 0.5
    variance = (blob.sum(axis=0) * place**2).sum() / blob.sum()
    assert np.sqrt(variance) == pytest.approx(0.1, rel=1e-3)


def test_the_spread_of_lesions_that_are_a_gaussian_is_its_own():
    """Level sets of a Gaussian, each in proportion to its share, have its spread together."""
    side = 120
    place = (np.arange(side) + 0.5) / side - 0.5
    radii = np.sqrt(place[:, None] ** 2 + place[None, :] ** 2)
    disc = radii[None] <= 0.3
    # the mean squared distance along an axis within a disc is a quarter of its squared radius
    assert lesion_spread(disc) == pytest.approx(0.15, rel=0.01)
    off = np.roll(disc, 30, axis=1)
    assert lesion_spread(off) == pytest.approx(np.sqrt(0.15**2 + 0.25**2 / 2), rel=0.01)
    both = np.concatenate([disc, off])
    mean = (lesion_spread(disc) ** 2 + lesion_spread(off) ** 2) / 2
    assert lesion_spread(both) == pytest.approx(np.sqrt(mean))


def test_an_empty_outline_has_no_spread():
    outlines = np.ones((3, 4, 4), dtype=bool)
    outlines[1] = False
    with refuses("baselines.empty_outline", number=1):
        lesion_spread(outlines)


def test_edges_are_where_the_brightness_changes():
    pixels = np.zeros((2, 3, 40, 40), dtype=np.float32)
    pixels[0, :, :, 20:] = 1.0
    found = edges(pixels)
    assert found.shape == (2, 40, 40)
    assert set(found[0].argmax(axis=1)) <= {19, 20}
    assert found[0, :, :10].max() < 1e-3 * found[0].max()
    assert not found[1].any()


def test_a_uniform_map_says_nothing():
    assert uniform(3).tolist() == [[1.0] * 3] * 3
