"""Shape and colours on drawn lesions, of which the truth is known."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.tasks.concepts.colours import (
    LEAST,
    REFERENCES,
    colour_shares,
    smooth,
    to_lab,
)
from dermsim.tasks.concepts.shape import (
    SEGMENTS,
    abrupt_segments,
    asymmetric_axes,
    asymmetry,
    is_whole,
)

S = 120
Y, X = (np.indices((S, S)) - (S - 1) / 2) / (S / 2)
SKIN = np.array([222, 176, 160]) / 255


def ellipse(a, b, turn=0.0):
    u = X * np.cos(turn) + Y * np.sin(turn)
    v = Y * np.cos(turn) - X * np.sin(turn)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def drop():
    """A disc drawn out to a point: alike over its long axis, unlike over the other."""
    return ellipse(0.4, 0.4) | ((np.abs(Y) < 0.4 * (1 - X / 0.9)) & (X > 0) & (X < 0.9))


def boomerang():
    arm = (np.abs(X + 0.3) < 0.2) & (np.abs(Y) < 0.7)
    return arm | ((np.abs(Y - 0.5) < 0.2) & (X > -0.5) & (X < 0.6))


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_an_ellipse_is_symmetric_however_it_lies(turn):
    assert asymmetric_axes(ellipse(0.7, 0.4, turn)) == 0


@pytest.mark.parametrize(("shape", "axes"), [(drop, 1), (boomerang, 2)])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_asymmetry_is_counted_in_axes(shape, axes, turns):
    assert asymmetric_axes(np.rot90(shape(), turns)) == axes


def test_asymmetry_is_the_share_that_falls_outside():
    half = ellipse(0.6, 0.6) & (Y > 0)
    over_long, over_short = asymmetry(half)
    # a half disc folded over its long axis, through its middle, against the obvious count
    places = np.argwhere(half)
    middle = places.mean(axis=0)
    outside = sum(not half[round(2 * middle[0] - row), column] for row, column in places.tolist())
    assert over_long == pytest.approx(outside / len(places), abs=0.02)
    assert over_short == pytest.approx(0, abs=0.02)


def test_a_lesion_that_leaves_the_picture_has_no_known_shape():
    assert is_whole(ellipse(0.5, 0.5))
    assert not is_whole(ellipse(1.3, 0.5))
    assert not is_whole(np.zeros((S, S), dtype=bool))


def bordered(width):
    """A brown disc whose border takes a share of the radius to fade, and its outline."""
    radius = np.hypot(X, Y) / 0.6
    mask = 1 / (1 + np.exp((radius - 1) / (width / 4.4)))
    pixels = SKIN - mask[..., None] * np.array([0.5, 0.45, 0.4])
    noise = np.random.default_rng(0).normal(0, 0.01, (S, S, 1))
    return pixels + noise, radius < 1


def test_a_sharp_border_is_abrupt_all_around_and_a_soft_one_nowhere():
    assert abrupt_segments(*bordered(0.03)) == SEGMENTS
    assert abrupt_segments(*bordered(0.8)) == 0


def test_an_outline_a_little_off_makes_no_border_soft():
    pixels, _ = bordered(0.03)
    assert abrupt_segments(pixels, np.hypot(X, Y) < 0.63) == SEGMENTS


def test_half_a_sharp_border_is_abrupt_in_half_the_segments():
    sharp, outline = bordered(0.03)
    soft, _ = bordered(0.8)
    mixed = np.where((Y < 0)[..., None], sharp, soft)
    assert abrupt_segments(mixed, outline) == SEGMENTS // 2


def test_without_pigment_there_is_no_border():
    assert abrupt_segments(np.broadcast_to(SKIN, (S, S, 3)), ellipse(0.5, 0.5)) == 0


def painted(*names):
    """A disc divided between colours, on skin."""
    pixels = np.broadcast_to(SKIN, (S, S, 3)).copy()
    lesion = ellipse(0.6, 0.6)
    angle = (np.arctan2(Y, X) + np.pi) / (2 * np.pi)
    for place, name in enumerate(names):
        part = lesion & (angle >= place / len(names)) & (angle < (place + 1) / len(names) + 1e-9)
        pixels[part] = np.array(REFERENCES[name][0]) / 255
    return pixels, lesion


@pytest.mark.parametrize(
    "names",
    [
        ("color_light_brown",),
        ("color_dark_brown", "color_black"),
        ("color_red", "color_white", "color_blue_grey"),
        tuple(REFERENCES),
    ],
)
@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (1.0, 0.95, 0.9), (0.92, 0.95, 1.0)])
def test_the_colours_that_were_painted_are_counted_under_any_light(names, light):
    pixels, lesion = painted(*names)
    shares = colour_shares(pixels * np.array(light), lesion)
    assert {name for name, share in shares.items() if share >= LEAST} == set(names)


def test_shares_are_of_the_lesion():
    shares = colour_shares(*painted("color_dark_brown", "color_dark_brown", "color_black"))
    assert shares["color_dark_brown"] == pytest.approx(2 / 3, abs=0.05)
    assert shares["color_black"] == pytest.approx(1 / 3, abs=0.05)


def test_bare_skin_has_no_colour():
    pixels = np.broadcast_to(SKIN, (S, S, 3))
    assert max(colour_shares(pixels, ellipse(0.5, 0.5)).values()) == 0


def test_hairs_are_no_colour():
    pixels, lesion = painted("color_light_brown")
    pixels[::20] = 0.1
    shares = colour_shares(smooth(pixels), lesion)
    assert [name for name, share in shares.items() if share >= LEAST] == ["color_light_brown"]


def test_lab_of_known_colours():
    # CIE values of sRGB white, mid-grey and red
    found = to_lab(np.array([[1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0]]))
    expected = [[100, 0, 0], [53.39, 0, 0], [53.24, 80.09, 67.20]]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_other_shapes_are_refused():
    with refuses("colours.outline_shape"):
        colour_shares(np.zeros((4, 4, 3)), np.ones((5, 5), dtype=bool))
    with refuses("colours.no_lesion"):
        colour_shares(np.zeros((4, 4, 3)), np.zeros((4, 4), dtype=bool))
