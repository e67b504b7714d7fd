"""Backgrounds that are swapped: on pictures of two parts, and models that look at one of them."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.evaluation.explanations.removal import Filler
from dermsim.evaluation.explanations.shortcuts import (
    cut_out,
    draw_partners,
    has_room,
    measure,
    shares,
    swap,
)

SIDE = 40


def scene(lesion, skin, radius=0.25):
    """A disc of one value amid another, and its outline."""
    place = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    outline = np.hypot(place[:, None], place[None, :]) <= radius
    image = np.where(outline, lesion, skin).astype(np.float32)
    return np.repeat(image[None], 3, axis=0), outline


def cutout(lesion, skin, radius=0.25):
    return cut_out(*scene(lesion, skin, radius), Filler(SIDE), np.random.default_rng(0))


def test_a_photograph_comes_apart_and_together():
    own = cutout(2.0, -1.0)
    assert np.abs(own.skin + 1).max() < 0.05, "the lesion is filled in from the skin"
    assert own.alpha[20, 20] > 0.99 and own.alpha[0, 0] < 1e-3
    inside, outside = own.alpha > 0.99, own.alpha < 0.01
    again = own.on(own.skin)
    np.testing.assert_allclose(again[:, inside], 2.0, atol=0.05)
    np.testing.assert_allclose(again[:, outside], -1.0, atol=0.05)


def test_parts_are_exchanged():
    own, other = cutout(2.0, -1.0), cutout(5.0, 3.0, radius=0.35)
    swapped = swap(own, [other, own])
    middle, rim = (slice(None), 20, 20), (slice(None), 0, 0)
    np.testing.assert_allclose(swapped.lesion_elsewhere[0][middle], 2.0, atol=0.05)
    np.testing.assert_allclose(swapped.lesion_elsewhere[0][rim], 3.0, atol=0.05)
    np.testing.assert_allclose(swapped.skin_elsewhere[0][middle], 5.0, atol=0.05)
    np.testing.assert_allclose(swapped.skin_elsewhere[0][rim], -1.0, atol=0.05)
    np.testing.assert_allclose(swapped.lesion_elsewhere[1], own.on(own.skin))
    np.testing.assert_allclose(swapped.pasted, own.on(own.skin[:, :, ::-1]))


def looks_at(place):
    """A model of two classes that goes by the brightness of one place."""

    def classify(images):
        bright = images[(slice(None), 0, *place)]
        positive = 1 / (1 + np.exp(-4 * bright))
        return np.stack([1 - positive, positive], axis=1)

    return classify


@pytest.fixture(scope="module")
def cutouts():
    """Bright lesions in dark skin, and dark lesions in bright skin."""
    return [cutout(1.0, -1.0), cutout(-1.0, 1.0), cutout(0.9, -0.9, 0.3), cutout(-0.9, 0.9, 0.3)]


PARTNERS = np.array([[1, 3], [0, 2], [1, 3], [0, 2]])


def test_a_model_that_looks_at_the_lesion(cutouts):
    found = measure(cutouts, PARTNERS, looks_at((20, 20)), rows=np.arange(4))
    assert found["background_flip"].tolist() == [0] * 4
    assert found["lesion_flip"].tolist() == [1] * 4
    assert found["paste_flip"].tolist() == [0] * 4
    assert (found["rests_on_lesion"] > 0.9).all()
    np.testing.assert_allclose(found["rests_on_background"], 0, atol=0.05)


def test_a_model_that_looks_at_the_background(cutouts):
    found = measure(cutouts, PARTNERS, looks_at((1, 1)), rows=np.array([0, 3]))
    assert found["background_flip"].tolist() == [1] * 2
    assert found["lesion_flip"].tolist() == [0] * 2
    assert (found["rests_on_background"] > 0.9).all()
    np.testing.assert_allclose(found["rests_on_lesion"], 0, atol=0.05)


def test_shares_add_up_and_are_shapleys():
    rng = np.random.default_rng(0)
    both, inside, outside, neither = rng.random((4, 6))
    lesion, background = shares(both, inside, outside, neither)
    np.testing.assert_allclose(lesion + background, both - neither)
    # what each adds, averaged over the two orders in which they can come
    np.testing.assert_allclose(lesion, np.mean([inside - neither, both - outside], axis=0))
    alone = np.ones(1)
    assert [s.item() for s in shares(alone, alone, 0 * alone, 0 * alone)] == [1.0, 0.0]
    assert [s.item() for s in shares(alone, 0 * alone, 0 * alone, 0 * alone)] == [0.5, 0.5]


def test_partners_are_of_another_diagnosis_and_lesion_drawn_evenly_over_diagnoses():
    labels = np.array([0] * 90 + [1] * 9 + [2])
    lesions = [f"L{i // 2}" for i in range(100)]
    drawn = draw_partners(labels, lesions, count=4, rng=np.random.default_rng(0))
    assert drawn.shape == (100, 4)
    assert (labels[drawn] != labels[:, None]).all()
    assert all(lesions[p] != lesions[row] for row in range(100) for p in drawn[row])
    common = labels[drawn[90:99]]
    assert 0.3 < (common == 0).mean() < 0.7, "the rare diagnosis is drawn as often as the common"
    again = draw_partners(labels, lesions, count=4, rng=np.random.default_rng(0))
    assert np.array_equal(drawn, again)


def test_one_diagnosis_alone_cannot_be_swapped():
    with refuses("shortcuts.backgrounds"):
        draw_partners(np.zeros(4, int), [None] * 4, count=1, rng=np.random.default_rng(0))


def test_a_photograph_that_is_all_lesion_has_no_room():
    outlines = np.zeros((3, 10, 10), dtype=bool)
    outlines[1, :9] = True
    outlines[2, :5] = True
    assert has_room(outlines).tolist() == [True, False, True]
