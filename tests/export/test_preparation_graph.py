"""The preparation as a graph, beside Pillow's."""

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from refusals import refuses

from dermsim.export.preparation_graph import preparation_graph
from dermsim.models.preparation import ImagePreparation

SQUARE = {"height": 64, "width": 64}
SIZES = [(256, 256), (200, 150), (90, 333), (64, 64), (40, 70), (31, 210)]


def photograph(width, height, seed=0):
    """Smooth, with fine detail: what a photograph and its JPEG have."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    noisy = smooth + draw.normal(0, 6, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def run(graph, image):
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"pixels": np.asarray(image)[None]})
    return found[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"shortest_edge": 64}},
        {"size": {"shortest_edge": 80}},
        {"size": {"shortest_edge": 64}, "resample": 2},
        {"size": {"longest_edge": 64}},
        {"size": {"longest_edge": 80}},
        {"size": {"shortest_edge": 64}, "do_color_constancy": True},
    ],
)
def test_it_prepares_as_pillow_does(settings, size):
    preparation = ImagePreparation(
        **settings, crop_size=SQUARE, image_mean=(0, 0, 0), image_std=(1, 1, 1)
    )
    image = photograph(*size)
    ours = preparation.normalised(preparation.square(image))
    levels = np.abs(run(preparation_graph(preparation), image) - ours) * 255
    # Both round to whole levels between rows and columns: a level apart where they round otherwise.
    # What the light's colour is divided by makes more of a level.
    assert levels.max() <= (1.5 if preparation.do_color_constancy else 1.05)
    assert (levels > 0.05).mean() < 0.02


def test_a_square_that_is_prepared_goes_through_as_it_is():
    preparation = ImagePreparation(size={"shortest_edge": 64}, crop_size=SQUARE)
    image = photograph(64, 64)
    ours = preparation.normalised(preparation.square(image))
    np.testing.assert_allclose(run(preparation_graph(preparation), image), ours, atol=2e-6)


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 90, 30)])
def test_the_light_of_a_dark_picture_is_left_alone(colour):
    preparation = ImagePreparation(
        size={"shortest_edge": 64}, crop_size=SQUARE, do_color_constancy=True
    )
    image = Image.new("RGB", (70, 80), colour)
    ours = preparation.normalised(preparation.square(image))
    np.testing.assert_allclose(run(preparation_graph(preparation), image), ours, atol=1e-5)


def test_what_onnx_cannot_say_is_refused():
    with refuses("onnx_export.filter", resample=1):
        preparation_graph(ImagePreparation(resample=1))
    with refuses("onnx_export.crop", height=64, width=64, edge=40):
        preparation_graph(ImagePreparation(size={"shortest_edge": 40}, crop_size=SQUARE))
