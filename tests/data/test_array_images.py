"""Arrays and tensors of pixels: what a file of the same pixels gives, or one sentence."""

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.images import as_list, read_image
from dermsim.data.synthetic import draw_lesion

PIXELS = np.asarray(draw_lesion("mel", seed=1, size=(64, 48)))
GREY = PIXELS[..., 1]
ALPHA = np.dstack([PIXELS, np.repeat([[0], [255]], 24, axis=0).repeat(64, axis=1).astype(np.uint8)])


def deep(pixels):
    return pixels.astype(np.uint16) * 257


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS[:, ::-1][:, ::-1],
        deep(PIXELS),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        torch.from_numpy(PIXELS.copy()).permute(2, 0, 1),
        torch.from_numpy(deep(PIXELS)).permute(2, 0, 1),
        (torch.from_numpy(PIXELS / 255).permute(2, 0, 1)).requires_grad_(),
    ],
)
def test_the_same_pixels(given):
    read = read_image(given)
    assert read.mode == "RGB" and np.array_equal(np.asarray(read), PIXELS)


def test_half_precision():
    given = torch.from_numpy(PIXELS / 255).permute(2, 0, 1).to(torch.bfloat16)
    assert np.abs(np.asarray(read_image(given)).astype(int) - PIXELS).max() <= 1


@pytest.mark.parametrize(
    "given", [GREY, GREY[..., None], deep(GREY), GREY / 255, torch.from_numpy(GREY.copy())[None]]
)
def test_greys(given):
    assert np.array_equal(np.asarray(read_image(given)), np.repeat(GREY[..., None], 3, axis=-1))


@pytest.mark.parametrize("given", [ALPHA, deep(ALPHA), ALPHA / 255])
def test_opacity(given):
    read = np.asarray(read_image(given))
    assert (read[:24] == 255).all() and np.array_equal(read[24:], PIXELS[24:])


def test_the_picture_shares_no_memory_with_the_array():
    given = PIXELS.copy()
    read = read_image(given)
    given[:] = 0
    assert np.array_equal(np.asarray(read), PIXELS)


def test_twelve_bits():
    given = PIXELS.astype(np.uint16) * 16
    given[0, 0] = 4095
    with pytest.warns(UserWarning, match="the image uses 12 of its 16 bits"):
        read = np.asarray(read_image(given))
    assert np.abs(read[1:].astype(int) - PIXELS[1:]).max() <= 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (PIXELS.transpose(2, 0, 1), Phrase("pixels.array_shape", shape=(3, 48, 64))),
        (PIXELS[None], Phrase("pixels.array_shape", shape=(1, 48, 64, 3))),
        (PIXELS[0, 0], Phrase("pixels.array_shape", shape=(3,))),
        (
            torch.from_numpy(PIXELS.copy()),
            Phrase("pixels.tensor_shape", shape=(48, 64, 3)),
        ),
        (PIXELS.astype(np.int64), Phrase("pixels.dtype", dtype="int64")),
        (PIXELS > 128, Phrase("pixels.dtype", dtype="bool")),
        (PIXELS.astype(np.float32), Phrase("pixels.out_of_range", low=float(PIXELS.min()))),
        (PIXELS / 255 - 0.9, Phrase("pixels.out_of_range", low=float((PIXELS / 255 - 0.9).min()))),
        (np.full((32, 32), np.nan), "pixels.not_finite"),
        (PIXELS[:8], Phrase("images.too_small", width=64, height=8)),
        (
            torch.zeros(1, dtype=torch.uint8).expand(3, 20_000, 20_000),
            Phrase("images.too_large", most=50),
        ),
    ],
)
def test_one_sentence(given, reason):
    with refuses(reason) as refused:
        read_image(given)
    assert str(refused.value).startswith("the image ") and "\n" not in str(refused.value)


def test_one_array_is_one_picture_and_four_dimensions_are_several():
    assert len(list(as_list(PIXELS))) == 1 and len(list(as_list(GREY))) == 1
    assert [picture.shape for picture in as_list(np.stack([PIXELS, PIXELS]))] == [PIXELS.shape] * 2
    assert len(list(as_list(torch.zeros(5, 3, 32, 32)))) == 5
    assert len(list(as_list([PIXELS, GREY]))) == 2


def test_an_engine_takes_them(engine):
    known, *others = engine.predict(
        [
            draw_lesion("mel", seed=1, size=(64, 48)),
            PIXELS,
            torch.from_numpy(PIXELS / 255).permute(2, 0, 1),
        ]
    )
    for other in (*others, *engine.predict(PIXELS)):
        assert other.malignancy == pytest.approx(known.malignancy, abs=1e-5)
    assert engine.embed(np.stack([PIXELS, PIXELS])).shape == (2, 16)
