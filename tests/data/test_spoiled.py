"""Faults made on purpose: each is the fault it is called, and nothing else changes."""

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.data.spoiled import (
    SKIN,
    SPOILERS,
    changed,
    drawn_skin,
    framed,
    skin_patch,
    squares,
)

SIDE = 96


@pytest.fixture
def case():
    """Light skin with a grain and a dark disc a little left of the middle."""
    y, x = np.mgrid[:SIDE, :SIDE]
    outline = np.hypot(y - 48, x - 40) < 14
    skin = np.array([0.85, 0.65, 0.58]) + np.random.default_rng(0).normal(0, 0.01, (SIDE, SIDE, 1))
    return np.where(outline[..., None], [0.35, 0.2, 0.15], skin), outline


def made(name, case, seed=0):
    return SPOILERS[name](*case, np.random.default_rng(seed))


def dark(picture):
    return picture.mean(axis=2) < 0.45


@pytest.mark.parametrize("name", SPOILERS)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_made_is_a_picture_and_the_same_for_the_same_seed(name, seed, case):
    before = case[0].copy()
    picture = made(name, case, seed)
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.min() >= 0 and picture.max() <= 1
    assert np.array_equal(picture, made(name, case, seed))
    assert np.array_equal(case[0], before)


@pytest.mark.parametrize("seed", range(6))
def test_bare_skin_has_nothing_of_the_lesion(case, seed):
    assert not dark(made("no_lesion", case, seed)).any()


def test_the_largest_square_beside_the_lesion_is_found(case):
    pixels, outline = case
    patch = skin_patch(pixels, outline)
    best = max(
        size
        for size in range(3, SIDE, 2)
        for row in range(0, SIDE - size + 1, 3)
        for column in range(0, SIDE - size + 1, 3)
        if not outline[row : row + size, column : column + size].any()
    )
    assert abs(len(patch) - best) <= 4
    assert not dark(patch).any()


def test_where_there_is_no_skin_nothing_is_made(case):
    everywhere = np.ones((SIDE, SIDE), dtype=bool)
    for name in ("no_lesion", "lesion_small", "lesion_at_edge"):
        assert SPOILERS[name](case[0], everywhere, np.random.default_rng(0)) is None


@pytest.mark.parametrize("seed", range(6))
def test_a_small_lesion_is_small_and_a_moved_one_lies_at_the_edge(case, seed):
    small = dark(made("lesion_small", case, seed))
    assert small.mean() < 0.02
    moved = dark(made("lesion_at_edge", case, seed))
    rows, columns = np.nonzero(moved)
    if len(rows):
        rim = np.min([rows, columns, SIDE - 1 - rows, SIDE - 1 - columns], axis=0)
        assert rim.min() == 0
    assert moved.mean() < 0.1


def test_light_colour_and_focus_are_taken_away(case):
    pixels = case[0]
    for seed in range(6):
        assert made("too_dark", case, seed).mean() < 0.33 * pixels.mean()
        assert (made("too_bright", case, seed).max(axis=2) == 1).mean() > 0.5
        grey = made("greyscale", case, seed)
        assert np.ptp(grey, axis=2).max() < 0.13 * np.ptp(pixels, axis=2).max()
        soft = made("out_of_focus", case, seed)
        assert abs(np.diff(soft, axis=0)).max() < 0.3 * abs(np.diff(pixels, axis=0)).max()


def test_a_black_frame_leaves_the_middle_as_it_was(case):
    picture = framed(case[0], np.random.default_rng(0))
    assert np.array_equal(picture[30:66, 30:66], case[0][30:66, 30:66])
    assert all(picture[corner].max() < 0.1 for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)))


def test_what_is_no_fault_keeps_the_lesion(case):
    rng = np.random.default_rng(0)
    for _ in range(20):
        picture = changed(case[0], rng).mean(axis=2)
        assert picture[44:52, 36:44].mean() < 0.7 * picture[44:52, 76:84].mean()


def test_skin_is_drawn_in_every_tone():
    rng = np.random.default_rng(0)
    means = [drawn_skin(32, rng).mean() * 255 for _ in range(60)]
    assert min(means) < np.mean(SKIN[-1]) * 1.4
    assert max(means) > np.mean(SKIN[0]) * 0.85


def test_a_photograph_is_cut_as_an_encoder_sees_it_and_its_outline_with_it():
    wide = Image.new("RGB", (120, 80), (200, 150, 140))
    wide.paste((60, 30, 20), (40, 20, 80, 60))

    class Outlines(dict):
        def of(self, name, size):
            mask = np.zeros(size[::-1], dtype=bool)
            mask[20:60, 40:80] = True
            return mask

    row = {"image": wide, "image_id": "a"}
    pixels, outline = squares(row, Outlines(a=None), 80)
    assert outline.sum() == 40 * 40
    assert pixels[outline].mean() < 0.2 < pixels[~outline].mean()
    assert not squares(row, None, 40)[1].any()
    with refuses("spoiled.no_outline", name="a"):
        squares(row, Outlines(), 80)
