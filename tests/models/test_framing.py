"""The whole frame of a photograph in a square."""

import numpy as np
import pytest
from PIL import Image

from dermsim.models.framing_dermsim import fitted_size, whole_frame
from dermsim.models.preparation import ImagePreparation

BICUBIC = Image.Resampling.BICUBIC


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)


def test_a_square_is_resized_as_ever():
    image = picture(50, 50)
    expected = Image.fromarray(image.transpose(1, 2, 0)).resize((32, 32), BICUBIC)
    assert np.array_equal(whole_frame(image, 32, BICUBIC), np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(80, 60), (60, 80), (80, 61), (80, 7)])
def test_the_frame_lies_in_the_middle_and_its_mirror_image_around_it(width, height):
    image = picture(width, height)
    square = whole_frame(image, 80, BICUBIC)  # the longer side stays as it is
    assert square.shape == (3, 80, 80) and square.dtype == np.uint8
    lying = square if width > height else square.transpose(0, 2, 1)
    inside = image if width > height else image.transpose(0, 2, 1)
    rows = inside.shape[1]
    above = (80 - rows) // 2
    assert np.array_equal(lying[:, above : above + rows], inside)
    # A mirror stands at the edge, and where it does not suffice another behind it.
    for row in range(80):
        distance = (row - above) % (2 * rows)
        seen = distance if distance < rows else 2 * rows - 1 - distance
        assert np.array_equal(lying[:, row], inside[:, seen])


def test_a_thin_picture_keeps_a_pixel():
    assert fitted_size(16, 4000, 144) == (1, 144)
    assert whole_frame(picture(4000, 16), 144, BICUBIC).shape == (3, 144, 144)


def test_the_sides_are_seen_that_the_central_square_lacks():
    image = Image.new("RGB", (60, 40), "white")
    image.paste("black", (0, 0, 10, 40))  # outside of the central square
    square, whole = (
        ImagePreparation(size={edge: 40}, image_mean=(0, 0, 0), image_std=(1, 1, 1)).at(40)
        for edge in ("shortest_edge", "longest_edge")
    )
    assert square(image, return_tensors="np").pixel_values.min() == 1
    seen = whole(image, return_tensors="np").pixel_values[0, 0]
    assert np.allclose((seen < 0.5).mean(), 10 / 60, atol=0.01)


def test_another_side_is_of_the_same_framing():
    assert ImagePreparation(size={"longest_edge": 64}).at(96).size == {"longest_edge": 96}
