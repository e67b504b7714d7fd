"""Hashes and registration: the same drawn lesion in other sizes, crops, compressions and ways."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageOps

from dermsim.data.duplicates.looks import SIDE, TURNS, look_at, perceptual_hashes, turned
from dermsim.data.duplicates.registration import DETAIL, overlap, squared
from dermsim.data.synthetic import draw_lesion


@cache
def lesion(seed, dx="mel"):
    return draw_lesion(dx, seed=seed, size=(240, 180))


def grey(image):
    return look_at(image).grey


def compressed(image, quality=40):
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue())).convert("RGB")


def distance(a, b):
    return int(np.bitwise_count(np.uint64(a) ^ np.uint64(b)))


def test_a_hash_is_of_63_frequencies():
    wave = np.cos(np.pi * (np.arange(32) + 0.5) * 2 / 32)  # the second frequency, downwards
    square = np.uint8(128 + 100 * wave[:, None] * np.ones(32))
    bits = np.unpackbits(perceptual_hashes(square)[:1].view(np.uint8))
    # row 2, column 0 of 8 x 8, less the constant, is the largest
    assert bits[2 * 8 - 1] == 1 and bits[63] == 0


def test_a_picture_is_held_in_eight_different_ways():
    square = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert len({turned(square, turn).tobytes() for turn in range(TURNS)}) == TURNS
    assert np.array_equal(turned(square, 1), np.rot90(square))
    assert np.array_equal(turned(square, 4), square[:, ::-1])


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((140, 105), Image.Resampling.LANCZOS),
        lambda image: image.resize((420, 315), Image.Resampling.BICUBIC),
        lambda image: compressed(image, 20),
        lambda image: image.crop((30, 0, 210, 180)),  # the central square
        lambda image: image.point(lambda value: min(255, int(value * 1.1))),
    ],
)
def test_hashes_survive(change):
    for seed in range(3):
        image = lesion(seed)
        assert distance(look_at(image).hashes[0, 0], look_at(change(image)).hashes[0, 0]) <= 6


def test_squeezed_pictures_share_the_hash_of_the_whole():
    image = lesion(3)
    assert distance(look_at(image).hashes[1, 0], look_at(image.resize((84, 84))).hashes[1, 0]) <= 6


def test_hashes_of_turned_pictures_are_among_the_eight():
    image = lesion(3)
    ways = [image.rotate(90, expand=True), ImageOps.mirror(image), ImageOps.flip(image)]
    for way, turn in zip(ways, (1, 4, 6), strict=True):
        assert distance(look_at(image).hashes[0, turn], look_at(way).hashes[0, 0]) <= 2


def test_the_copy_is_small_and_the_digest_of_all_pixels():
    image = lesion(1)
    assert look_at(image).grey.shape == (SIDE, 128)
    assert look_at(image.resize((40, 30))).grey.shape == (30, 40)
    other = image.copy()
    other.putpixel((0, 0), (1, 2, 3))
    assert look_at(image).digest == look_at(image.copy()).digest != look_at(other).digest


CROPS = [(1.0, 0, 0), (0.9, 0.1, 0.0), (0.8, 0.0, 0.2), (0.7, 0.15, 0.1), (0.55, 0.3, 0.2)]


@pytest.mark.parametrize(("scale", "left", "top"), CROPS)
def test_a_part_is_found_in_the_whole(scale, left, top):
    for seed in range(2):
        image = lesion(seed, "bkl")
        box = (240 * left, 180 * top, 240 * (left + scale), 180 * (top + scale))
        part = compressed(image.crop(tuple(map(round, box))).resize((200, 150)), 60)
        for one, other in ((image, part), (part, image)):
            found = overlap(grey(one), grey(other))
            assert found is not None and found.detail >= DETAIL
            assert found.share == pytest.approx(scale**2, abs=0.04)


@pytest.mark.parametrize("dx", ["mel", "nv", "bkl", "bcc"])
def test_other_lesions_are_not_found(dx):
    pictures = [grey(lesion(seed, dx)) for seed in range(6)]
    for a in range(6):
        for b in range(a):
            found = overlap(pictures[a], pictures[b], centred=True)
            assert found is None or found.detail < DETAIL


def test_a_squeezed_picture_is_found_once_both_are():
    image = lesion(2)
    small = image.resize((84, 84), Image.Resampling.LANCZOS)
    found = overlap(squared(grey(image)), squared(grey(small)), centred=True)
    assert found is not None and found.detail >= DETAIL and found.share > 0.97


def test_a_picture_of_one_colour_is_not_found_in_another():
    flat = np.full((96, 128), 180, np.uint8)
    assert overlap(flat, flat) is None
    assert overlap(flat, grey(lesion(0)), centred=True) is None
