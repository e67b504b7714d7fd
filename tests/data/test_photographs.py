"""What is a photograph, what an outline of one, and what a blank."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dermsim.data.images import read_image
from dermsim.data.photographs import ENOUGH, is_blank, is_outline
from dermsim.data.synthetic import draw_lesion, draw_outline


def circle(mode="L", low=0, high=255, size=(200, 150)):
    image = Image.new(mode, size, low)
    ImageDraw.Draw(image).ellipse((50, 30, 140, 120), fill=high)
    return image


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return read_image(stream.getvalue(), at_least=ENOUGH)


OUTLINES = {
    "png": lambda: encoded(circle(), "PNG"),
    "one bit": lambda: encoded(circle("1", 0, 1), "PNG"),
    "jpeg": lambda: encoded(circle(size=(600, 450)), "JPEG", quality=75),
    "jpeg, small": lambda: encoded(circle(), "JPEG", quality=50),
    "palette": lambda: encoded(circle().convert("P"), "PNG"),
    "with alpha": lambda: encoded(circle().convert("LA"), "PNG"),
    "0 and 1": lambda: encoded(circle(low=0, high=1), "PNG"),
    "classes": lambda: encoded(circle(low=1, high=3), "PNG"),
    "red on black": lambda: encoded(circle("RGB", (0, 0, 0), (255, 0, 0)), "PNG"),
    "all white": lambda: encoded(Image.new("L", (64, 48), 255), "PNG"),
    "all black": lambda: encoded(Image.new("1", (64, 48)), "PNG"),
    "drawn": lambda: draw_outline("mel", seed=3).convert("RGB"),
}


@pytest.mark.parametrize("kind", OUTLINES)
def test_outlines(kind):
    assert is_outline(OUTLINES[kind]())


def bright_grey() -> Image.Image:
    values = np.random.default_rng(0).integers(225, 256, (120, 160), dtype=np.uint8)
    return Image.fromarray(values).convert("RGB")


PHOTOGRAPHS = {
    "drawn": lambda: draw_lesion("nv", seed=1),
    "grey": lambda: draw_lesion("nv", seed=1).convert("L").convert("RGB"),
    "few colours": lambda: draw_lesion("mel", seed=2).quantize(16).convert("RGB"),
    "through a tube": lambda: Image.composite(
        draw_lesion("bcc", seed=1), Image.new("RGB", (200, 150)), circle()
    ),
    "in the light": bright_grey,
    "in the dark": lambda: draw_lesion("bkl", seed=1).point(lambda v: v // 24),
}


@pytest.mark.parametrize("kind", PHOTOGRAPHS)
def test_photographs_are_neither(kind):
    image = PHOTOGRAPHS[kind]()
    assert not is_outline(image) and not is_blank(image)


@pytest.mark.parametrize("colour", ["red", "brown", "#808080", "white"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_blanks(colour, kind):
    image = encoded(Image.new("RGB", (64, 48), colour), kind)
    assert is_blank(image)
    assert is_outline(image) == (colour == "white")
