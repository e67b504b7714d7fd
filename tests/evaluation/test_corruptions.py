import io

import numpy as np
import pytest
from PIL import Image, ImageChops
from refusals import refuses

from dermsim.data.synthetic import draw_lesion
from dermsim.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt

KINDS = list(CORRUPTIONS)
SEEDS = range(8)


@pytest.fixture(scope="module")
def lesion() -> Image.Image:
    return draw_lesion("mel", seed=4)


def values(image) -> np.ndarray:
    return np.asarray(image, dtype=np.float64)


def distance(image, other) -> float:
    return float(np.abs(values(image) - values(other)).mean())


def ramp(width=200, height=150) -> Image.Image:
    """Red grows to the right, green downwards, so that a pixel's colour says where it was."""
    x, y = np.meshgrid(np.linspace(20, 230, width), np.linspace(20, 230, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 128)], axis=2).astype(np.uint8))


def test_the_kinds_and_their_order():
    assert KINDS == [
        "blur",
        "noise",
        "jpeg",
        "brightness",
        "contrast",
        "hue",
        "white_balance",
        "crop",
        "rotation",
        "hair",
        "ruler",
    ]
    assert STRENGTHS == (1, 2, 3)
    with pytest.raises(TypeError):
        CORRUPTIONS["blur"] = CORRUPTIONS["noise"]


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_picture(lesion, kind):
    before = lesion.tobytes()
    first = corrupt(lesion, kind, strength=2, seed=11)
    assert first.tobytes() == corrupt(lesion.copy(), kind, strength=2, seed=11).tobytes()
    assert lesion.tobytes() == before
    assert first.tobytes() != before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("blur", "jpeg")])
def test_other_seeds_are_other_accidents(lesion, kind):
    assert len({corrupt(lesion, kind, strength=3, seed=s).tobytes() for s in SEEDS}) > 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_greater_strength_is_a_greater_change(lesion, kind, seed):
    first, second, third = (
        distance(lesion, corrupt(lesion, kind, strength=s, seed=seed)) for s in STRENGTHS
    )
    assert 0 < first < second < third


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (30, 2000), (2000, 30), (16, 16), (151, 150)])
def test_any_size_is_kept(kind, size):
    picture = Image.new("RGB", size, (200, 120, 90))
    for strength in STRENGTHS:
        spoilt = corrupt(picture, kind, strength=strength, seed=1)
        assert (spoilt.size, spoilt.mode) == (size, "RGB")


@pytest.mark.parametrize("color", ["black", "white"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_blank_picture_is_no_obstacle(kind, color):
    assert corrupt(Image.new("RGB", (40, 30), color), kind, strength=3, seed=0).size == (40, 30)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_photograph_and_its_thumbnail_are_degraded_alike(kind, strength):
    large = draw_lesion("bkl", seed=2, size=(600, 450))
    small = large.resize((200, 150), Image.Resampling.BOX)
    spoilt = corrupt(small, kind, strength=strength, seed=5)
    reduced = corrupt(large, kind, strength=strength, seed=5).resize(
        (200, 150), Image.Resampling.BOX
    )
    # Blur 1 is finer than the thumbnail's pixels, so it is hardest to match.
    share = 0.7 if (kind, strength) == ("blur", 1) else 0.25
    assert distance(spoilt, reduced) < share * distance(spoilt, small)


def test_nonsense_is_refused(lesion):
    with refuses("corruptions.kind", kind="fog", corruptions=list(CORRUPTIONS)):
        corrupt(lesion, "fog", strength=1, seed=0)
    for strength in (0, 4, 1.5):
        with refuses("corruptions.strength", strength=strength):
            corrupt(lesion, "blur", strength=strength, seed=0)
    with refuses("corruptions.seed", seed=-1):
        corrupt(lesion, "noise", strength=1, seed=-1)
    with refuses("corruptions.mode", mode="L"):
        corrupt(lesion.convert("L"), "noise", strength=1, seed=0)


# --- each does what it says ----------------------------------------------------------------------


def high_frequency_energy(image) -> float:
    spectrum = np.abs(np.fft.fft2(values(image).mean(axis=2))) ** 2
    fy, fx = np.fft.fftfreq(image.height), np.fft.fftfreq(image.width)
    return float(spectrum[np.hypot(*np.meshgrid(fy, fx, indexing="ij")) > 0.15].sum())


def test_blur_takes_the_fine_detail(lesion):
    energies = [
        high_frequency_energy(image)
        for image in (lesion, *(corrupt(lesion, "blur", strength=s, seed=0) for s in STRENGTHS))
    ]
    assert energies == sorted(energies, reverse=True)
    assert energies[3] < energies[0] / 4
    blurred = corrupt(lesion, "blur", strength=3, seed=0)
    np.testing.assert_allclose(
        values(blurred).mean(axis=(0, 1)), values(lesion).mean(axis=(0, 1)), atol=1.5
    )


@pytest.mark.parametrize("size", [(200, 150), (600, 450)])
def test_noise_adds_the_variance_it_says(size):
    grey = Image.new("RGB", size, (128, 128, 128))
    for strength, deviation in zip(STRENGTHS, CORRUPTIONS["noise"].amounts, strict=True):
        spoilt = values(corrupt(grey, "noise", strength=strength, seed=3))
        assert spoilt.std() == pytest.approx(255 * deviation, rel=0.03)
        assert spoilt.mean() == pytest.approx(128, abs=0.5)
        assert abs(np.corrcoef(spoilt[..., 0].ravel(), spoilt[..., 1].ravel())[0, 1]) < 0.05


def test_a_small_picture_is_what_jpeg_makes_of_it(lesion):
    for strength, quality in zip(STRENGTHS, CORRUPTIONS["jpeg"].amounts, strict=True):
        stream = io.BytesIO()
        lesion.save(stream, format="JPEG", quality=int(quality))
        with Image.open(stream) as expected:
            spoilt = corrupt(lesion, "jpeg", strength=strength, seed=0)
            assert not ImageChops.difference(spoilt, expected).getbbox()


def test_brightness_scales_every_channel(lesion):
    factors = set()
    for seed in SEEDS:
        spoilt = values(corrupt(Image.new("RGB", (8, 8), (100, 80, 60)), "brightness", **_1(seed)))
        factors.add(round(float(spoilt[0, 0, 0]) / 100, 2))
        np.testing.assert_allclose(spoilt[0, 0] / spoilt[0, 0, 0], [1, 0.8, 0.6], atol=0.02)
    assert factors == {round(np.exp(0.1), 2), round(np.exp(-0.1), 2)}


def test_contrast_spreads_or_gathers_around_the_same_mean():
    picture = Image.fromarray(np.full((10, 10, 3), 110, dtype=np.uint8))
    picture.paste((150, 150, 150), (0, 0, 5, 10))
    ratios = set()
    for seed in SEEDS:
        spoilt = values(corrupt(picture, "contrast", **_1(seed)))
        assert spoilt.mean() == pytest.approx(130, abs=1)
        ratios.add(round(spoilt.std() / 20, 1))
    assert ratios == {1.2, 0.8}


def luminance(image) -> np.ndarray:
    return values(image) @ [0.213, 0.715, 0.072]


def test_hue_turns_colours_and_leaves_greys_and_luminance():
    grey = Image.new("RGB", (4, 4), (90, 90, 90))
    skin = Image.new("RGB", (4, 4), (190, 140, 130))
    for seed in SEEDS:
        assert distance(corrupt(grey, "hue", strength=3, seed=seed), grey) <= 1
        turned = corrupt(skin, "hue", strength=3, seed=seed)
        assert distance(turned, skin) > 5
        np.testing.assert_allclose(luminance(turned), luminance(skin), atol=1)


def test_hue_turns_either_way():
    skin = Image.new("RGB", (4, 4), (190, 140, 130))
    greens = {int(values(corrupt(skin, "hue", **_1(s)))[0, 0, 1]) > 140 for s in SEEDS}
    assert greens == {True, False}


def test_white_balance_warms_or_cools_at_the_same_exposure(lesion):
    grey = Image.new("RGB", (4, 4), (128, 128, 128))
    warm = set()
    for seed in SEEDS:
        red, _, blue = values(corrupt(grey, "white_balance", strength=2, seed=seed))[0, 0]
        assert abs(np.log(red / blue)) == pytest.approx(0.2, abs=0.02)
        warm.add(bool(red > blue))
        spoilt = corrupt(lesion, "white_balance", strength=2, seed=seed)
        assert luminance(spoilt).mean() == pytest.approx(luminance(lesion).mean(), rel=0.02)
    assert warm == {True, False}


@pytest.mark.parametrize("strength", STRENGTHS)
def test_crop_shows_a_smaller_window_that_holds_the_centre(strength):
    zoom = CORRUPTIONS["crop"].amounts[strength - 1]
    original = values(ramp())
    for seed in SEEDS:
        spoilt = values(corrupt(ramp(), "crop", strength=strength, seed=seed))
        for channel in (0, 1):
            seen, whole = np.ptp(spoilt[..., channel]), np.ptp(original[..., channel])
            assert seen == pytest.approx(whole / zoom, rel=0.05)
            assert spoilt[..., channel].min() < 125 < spoilt[..., channel].max()
        middle = spoilt[74:76, 99:101, :2].mean(axis=(0, 1))
        assert np.abs(middle - 125).max() > 4, "it is off-centre"


@pytest.mark.parametrize("strength", STRENGTHS)
def test_rotation_turns_about_the_middle_and_mirrors_the_border(strength):
    degrees = CORRUPTIONS["rotation"].amounts[strength - 1]
    square = ramp(201, 201)
    per_pixel = 210 / 200
    for seed in SEEDS:
        turned = values(corrupt(square, "rotation", strength=strength, seed=seed))
        np.testing.assert_allclose(turned[100, 100, :2], 125, atol=1.5)
        # How red and green change along a row tells the angle.
        along = (turned[100, 140, :2] - turned[100, 60, :2]) / 80 / per_pixel
        assert np.hypot(*along) == pytest.approx(1, abs=0.05)
        angle = abs(np.degrees(np.arctan2(along[1], along[0])))
        assert 0.8 * degrees - 1 <= angle <= 1.2 * degrees + 1
        assert turned.min() >= 15, "no black corner"


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("hair", (0.003, 0.01, 0.02), 0.25), ("ruler", (0.05, 0.1, 0.15), 0.25)],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_lies_over_the_picture_leaves_the_rest(lesion, kind, low, high, seed):
    before = None
    for strength, least in zip(STRENGTHS, low, strict=True):
        spoilt = corrupt(lesion, kind, strength=strength, seed=seed)
        changed = (values(spoilt) != values(lesion)).any(axis=2)
        assert least < changed.mean() < high
        if before is not None:
            assert (changed | ~before).mean() > 0.99, "a stronger one covers what a weaker one did"
        before = changed


def test_hairs_are_thin_and_dark(lesion):
    for seed in SEEDS:
        spoilt = corrupt(lesion, "hair", strength=1, seed=seed)
        changed = (values(spoilt) != values(lesion)).any(axis=2)
        assert (luminance(spoilt) <= luminance(lesion) + 1)[changed].mean() > 0.9
        # An erosion by two pixels all round leaves nothing of a thin line.
        core = changed[2:-2, 2:-2].copy()
        for dy in range(5):
            for dx in range(5):
                core &= changed[dy : dy + core.shape[0], dx : dx + core.shape[1]]
        assert core.mean() < 0.002


@pytest.mark.parametrize("size", [(200, 150), (150, 200)])
def test_a_ruler_lies_along_a_long_side(size):
    skin = Image.new("RGB", size, (200, 150, 140))
    edges = set()
    for seed in SEEDS:
        spoilt = values(corrupt(skin, "ruler", strength=2, seed=seed))
        if size[0] < size[1]:
            spoilt = spoilt.transpose(1, 0, 2)
        touched = (spoilt != (200, 150, 140)).any(axis=2)
        rows = np.flatnonzero(touched.any(axis=1))
        edges.add(int(rows[0]))
        # From the very edge, 0.11 short sides and a strip around them, over the whole side.
        assert len(rows) == pytest.approx(1.15 * 0.11 * 150, abs=2)
        assert rows[0] == 0 or rows[-1] == 149
        assert touched[rows[1:-1]].all()
        marks = spoilt[rows[1] if rows[0] == 0 else rows[-2]].mean(axis=1) < 100
        assert np.count_nonzero(np.diff(marks.astype(int)) == 1) == pytest.approx(200 / 7.5, abs=2)
    assert len(edges) == 2


def _1(seed: int) -> dict[str, int]:
    return {"strength": 1, "seed": seed}
