"""Occlusion: against a slow loop, and where gradients say nothing."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from dermsim.tasks.explain import ClassTarget, SimilarityTarget, explain
from dermsim.tasks.explain.occlusion import GRID, occlusion
from dermsim.tasks.explain.opening import open_model


def slow(model, image, score):
    """Hide one place of one image (3, H, W) after another."""
    side = image.shape[-1]
    step, sigma = side / GRID, side / 8
    reach = int(2 * sigma)
    blurred = gaussian_blur(image, [2 * reach + 1] * 2, [sigma] * 2)

    def ask(shown):
        with torch.no_grad():
            return float(score(model.decode(model.encode(shown[None])))[0])

    found = torch.zeros(GRID, GRID)
    for row in range(GRID):
        for column in range(GRID):
            shown = image.clone()
            top, left = int((row - 0.5) * step), int((column - 0.5) * step)
            part = (
                slice(None),
                slice(max(top, 0), int(top + 2 * step)),
                slice(max(left, 0), int(left + 2 * step)),
            )
            shown[part] = blurred[part]
            found[row, column] = ask(image) - ask(shown)
    return found


@pytest.mark.parametrize("kind", ["class", "similarity"])
def test_against_a_slow_loop(model, pixels, kind):
    case = np.random.default_rng(2).normal(size=16)
    target = ClassTarget(4) if kind == "class" else SimilarityTarget(case)
    (found,) = occlusion(open_model(model, pixels), [target] * len(pixels))
    for image, raw in zip(pixels, found, strict=True):
        torch.testing.assert_close(raw, slow(model, image, target), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_does_not_matter(model, pixels, batch_size):
    opened, goals = open_model(model, pixels), [ClassTarget(i) for i in range(len(pixels))]
    (expected,) = occlusion(opened, goals)
    (actual,) = occlusion(opened, goals, batch_size=batch_size)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_it_finds_the_one_place_that_matters():
    class Corner(torch.nn.Module):
        """Sees only the pixel at row 20, column 44."""

        def encode(self, pixel_values):
            return pixel_values

        def feature_map(self, features):
            return features

        def decode(self, features):
            from types import SimpleNamespace

            return SimpleNamespace(logits=features[:, :1, 20, 44])

    image = torch.zeros(1, 3, 64, 64)
    image[..., 20, 44] = 5.0
    (heatmap,) = explain(
        Corner().eval(), image, target=ClassTarget(0), target_name="t", method="occlusion"
    )
    row, column = np.unravel_index(heatmap.values.argmax(), heatmap.values.shape)
    assert abs(row - 20) <= 8 and abs(column - 44) <= 8
    assert heatmap.peak == pytest.approx(5.0, rel=0.1)


def test_it_says_something_where_the_gradient_of_a_likeness_vanishes(model, pixels):
    """A cosine is 1 at its own case, and flat there."""
    with torch.no_grad():
        own = model.decode(model.encode(pixels[:1])).embeddings[0].numpy()
    options = {"target": SimilarityTarget(own), "target_name": "t"}
    (flat,) = explain(model, pixels[:1], method="gradcam", **options)
    (found,) = explain(model, pixels[:1], method="occlusion", **options)
    assert flat.peak < 1e-5 < 100 * flat.peak + 1e-4 < found.peak


def test_pictures_that_are_not_square_and_under_inference_mode(model):
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps = explain(model, images, target=ClassTarget(0), target_name="t", method="occlusion")
    assert maps[0].values.shape == (64, 96)
