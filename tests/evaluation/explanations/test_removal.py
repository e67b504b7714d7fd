"""Taking away what a map marks: the imputation of ROAD, insertion and deletion."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.evaluation.explanations import removal
from dermsim.evaluation.explanations.removal import (
    FRACTIONS,
    STEPS,
    Filler,
    area_under,
    deletion,
    insertion,
    ranking,
    without,
)

SIDE = 20


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(size=(3, SIDE, SIDE)).astype(np.float32)


@pytest.fixture
def silent(monkeypatch):
    monkeypatch.setattr(removal, "NOISE", 0.0)


def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_filling_in_equals_pytorch_grad_cams_road(image, silent, share):
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    missing = np.random.default_rng(2).permutation(SIDE**2)[: round(share * SIDE**2)]
    mask = np.ones(SIDE**2, dtype=np.float32)
    mask[missing] = 0
    expected = NoisyLinearImputer(noise=0.0)(
        torch.from_numpy(image), torch.from_numpy(mask.reshape(SIDE, SIDE))
    )
    found = Filler(SIDE).fill(image, missing, rng())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_a_pixel_is_the_weighted_mean_of_its_neighbours(image, silent):
    missing = np.array([0, 5 * SIDE + 5])  # a corner, and one amid the picture
    found = Filler(SIDE).fill(image, missing, rng())
    around = image[:, 4:7, 4:7]
    weights = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    np.testing.assert_allclose(found[:, 5, 5], (around * weights).sum(axis=(1, 2)), atol=1e-5)
    corner = (2 * image[:, 0, 1] + 2 * image[:, 1, 0] + image[:, 1, 1]) / 5
    np.testing.assert_allclose(found[:, 0, 0], corner, atol=1e-5)
    found[:, 5, 5], found[:, 0, 0] = image[:, 5, 5], image[:, 0, 0]
    assert np.array_equal(found, image), "other pixels changed"


def test_nothing_missing_and_everything_missing(image):
    assert np.array_equal(Filler(SIDE).fill(image, np.array([], dtype=np.int64), rng()), image)
    with refuses("removal.all_missing"):
        Filler(SIDE).fill(image, np.arange(SIDE**2), rng())


def test_filled_pixels_are_noisy_and_the_noise_is_the_photographs_own(image):
    missing = np.arange(SIDE**2 // 2)
    flat = np.ones_like(image)
    found = Filler(SIDE).fill(flat, missing, rng())
    assert found[:, : SIDE // 2].std() == pytest.approx(removal.NOISE, rel=0.2)
    assert np.array_equal(found, Filler(SIDE).fill(flat, missing, rng()))


def test_threads_fill_as_one(image):
    filler = Filler(SIDE)
    jobs = [np.random.default_rng(s).permutation(SIDE**2)[:200] for s in range(16)]
    expected = [Filler(SIDE).fill(image, job, rng()) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: filler.fill(image, job, rng()), jobs))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


# --- orders --------------------------------------------------------------------------------------


def test_the_most_relevant_pixels_come_first():
    heatmap = np.array([[0.1, 0.9], [0.5, 0.0]])
    assert ranking(heatmap, rng()).tolist() == [1, 2, 0, 3]


def test_equals_come_in_an_order_left_to_chance():
    order = ranking(np.ones((30, 30)), rng())
    assert sorted(order.tolist()) == list(range(900))
    assert abs(np.corrcoef(order, np.arange(900))[0, 1]) < 0.1
    assert ranking(np.ones((30, 30)), rng()).tolist() == order.tolist()


def test_the_right_pixels_are_taken_away(image):
    order = ranking(np.random.default_rng(3).random((SIDE, SIDE)), rng())
    found = without(image, order, Filler(SIDE), rng())
    assert found.shape == (len(FRACTIONS), 3, SIDE, SIDE)
    for fraction, version in zip(FRACTIONS, found, strict=True):
        changed = (version != image).any(axis=0).ravel()
        gone = order[: round(fraction * SIDE**2)]
        assert set(np.flatnonzero(changed)) == set(gone.tolist())


def test_deletion_goes_from_the_image_to_nothing(image):
    order = ranking(np.random.default_rng(3).random((SIDE, SIDE)), rng())
    states = deletion(image, order)
    assert states.shape == (STEPS + 1, 3, SIDE, SIDE)
    assert np.array_equal(states[0], image) and not states[-1].any()
    half = states[5].reshape(3, -1)
    assert not half[:, order[:200]].any()
    assert np.array_equal(half[:, order[200:]], image.reshape(3, -1)[:, order[200:]])


def test_insertion_goes_from_a_blur_to_the_image(image):
    order = ranking(np.random.default_rng(3).random((SIDE, SIDE)), rng())
    states = insertion(image, order)
    assert np.array_equal(states[-1], image)
    assert states[0].std() < 0.9 * image.std()
    half, blurred = states[5].reshape(3, -1), states[0].reshape(3, -1)
    assert np.array_equal(half[:, order[:200]], image.reshape(3, -1)[:, order[:200]])
    assert np.array_equal(half[:, order[200:]], blurred[:, order[200:]])


def test_the_area_under_a_straight_line_is_a_half():
    curves = np.stack([np.linspace(1, 0, STEPS + 1), np.full(STEPS + 1, 0.3)])
    np.testing.assert_allclose(area_under(curves), [0.5, 0.3])
