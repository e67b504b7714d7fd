"""The same colours come out whatever a picture says its numbers are."""

import io
import struct
import warnings

import numpy as np
import pytest
from icc_builder import (
    SPACES,
    as_srgb,
    cmyk_profile,
    grey_profile,
    in_space,
    png_with,
    profile,
    rgb_profile,
    to_light,
    to_numbers,
)
from PIL import Image, ImageCms
from refusals import refuses

from dermsim.data.colour_dermsim import converter
from dermsim.data.images import read_image

SIZE = (48, 32)


def skin() -> np.ndarray:
    """Colours that all spaces have, from dark to light, ``(32, 48, 3)`` uint8."""
    across, down = np.meshgrid(np.linspace(0, 1, SIZE[0]), np.linspace(0, 1, SIZE[1]))
    return np.stack(
        [60 + 180 * across, 40 + 100 * across + 60 * down, 50 + 60 * across + 100 * down], axis=-1
    ).astype(np.uint8)


def encode(pixels, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


def off(data, expected=None) -> int:
    """By how many levels at most a picture is read otherwise."""
    wanted = skin() if expected is None else expected
    return int(np.abs(np.asarray(read_image(data)).astype(int) - wanted).max())


@pytest.fixture(autouse=True)
def no_warning():
    """What is right is not warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("space", SPACES)
def test_rgb_profiles(space, kind):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    pixels = in_space(skin(), space)
    stored = np.asarray(Image.open(io.BytesIO(encode(pixels, kind, **options))))
    data = encode(pixels, kind, icc_profile=rgb_profile(space), **options)
    assert off(data, as_srgb(stored, space).astype(int)) <= 1
    if kind != "JPEG":  # eight bits of ProPhoto are coarser than those of sRGB
        assert off(data) <= {"ProPhoto": 3}.get(space, 1)


def test_what_has_an_srgb_profile_keeps_every_pixel():
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    pillows = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (pillows, rgb_profile("sRGB")):
        assert off(encode(noise, icc_profile=icc), noise) == 0
        given = Image.fromarray(noise)
        given.info["icc_profile"] = icc
        assert read_image(given) is given


def test_reading_again_changes_nothing():
    image = Image.open(io.BytesIO(encode(in_space(skin(), "Adobe RGB"))))
    image.info["icc_profile"] = rgb_profile("Adobe RGB")
    once = read_image(image)
    assert read_image(once) is once and not once.info
    assert "icc_profile" in image.info


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profiles(gamma, mode):
    grey = skin()[..., 0]
    expected = (to_numbers(to_light(grey / 255, gamma)) * 255).round()[..., None]
    data = encode(Image.fromarray(grey).convert(mode), icc_profile=grey_profile(gamma))
    assert off(data, expected) <= 1


def test_a_grey_with_the_profile_of_the_photograph_it_was_made_of():
    grey = skin()[..., 0]
    expected = (to_numbers(to_light(grey / 255, 461 / 256)) * 255).round()[..., None]
    assert off(encode(grey, icc_profile=rgb_profile("ProPhoto")), expected) <= 1


def test_a_palette_with_a_profile():
    palette = Image.fromarray(skin()).quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    palette.putpalette(in_space(np.reshape(palette.getpalette(), (-1, 3)), "Display P3").ravel())
    assert off(encode(palette, icc_profile=rgb_profile("Display P3")), expected) <= 1


def test_transparency_is_put_on_the_white_of_srgb():
    pixels = in_space(skin(), "ProPhoto")
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:, 24:] = 0
    data = encode(np.dstack([pixels, alpha]), icc_profile=rgb_profile("ProPhoto"))
    expected = skin()
    expected[:, 24:] = 255
    assert off(data, expected) <= 3


def test_cmyk_profiles():
    def ink(c, m, y, k):
        return (0, 0, 0) if k else (100 - 15 * (c + m + y), 20 * (m - c), 20 * (y - m))

    icc = cmyk_profile(ink)
    cmyk = Image.new("CMYK", SIZE, (0, 0, 0, 0))
    cmyk.paste((255, 0, 0, 0), (0, 0, 24, 16))
    cmyk.paste((0, 0, 0, 255), (24, 16, 48, 32))
    for data in (encode(cmyk, "TIFF", icc_profile=icc), encode(cmyk, "JPEG", icc_profile=icc)):
        read = read_image(data)
        assert np.abs(np.subtract(read.getpixel((40, 8)), 255)).max() <= 2  # paper
        assert max(read.getpixel((40, 28))) <= 8
        lab = ImageCms.createProfile("LAB")
        seen = ImageCms.profileToProfile(
            read, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
        lightness, a, b = seen.getpixel((8, 8))
        assert abs(lightness / 2.55 - 85) <= 2 and abs(a - 128 + 20) <= 3 and abs(b - 128) <= 3


def test_lab():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = Image.fromarray(skin())
    as_lab = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert off(as_lab) <= 4


def test_a_damaged_profile_is_left_aside_with_a_warning():
    for icc in (b"no profile at all", rgb_profile("ProPhoto")[:200]):
        with pytest.warns(UserWarning, match="^the image has a colour profile that does not fit"):
            assert off(encode(skin(), icc_profile=icc)) == 0


def test_a_profile_of_other_colours_is_left_aside_with_a_warning():
    for icc in (cmyk_profile(lambda *inks: (50, 0, 0)), grey_profile(2.2)):
        with pytest.warns(UserWarning, match="taken for sRGB"):
            assert off(encode(skin(), icc_profile=icc)) == 0
    cmyk = encode(Image.fromarray(skin()).convert("CMYK"), "TIFF", icc_profile=rgb_profile("sRGB"))
    with pytest.warns(UserWarning, match="it is one for RGB, and the picture is CMYK"):
        assert off(cmyk) <= 1
    empty = profile(b"RGB ", b"XYZ ", b"mntr", {})
    with pytest.warns(UserWarning, match="taken for sRGB"):
        assert off(encode(skin(), icc_profile=empty)) == 0


# ---------------------------------------------------------------- the chunks of a PNG

ADOBE_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def gama(gamma):
    return b"gAMA", struct.pack(">I", round(100_000 * gamma))


def chrm(values):
    return b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values))


def test_gamma_and_chromaticities():
    data = png_with(
        encode(in_space(skin(), "Adobe RGB")), gama(256 / 563), chrm(ADOBE_CHROMATICITIES)
    )
    assert off(data) <= 1


def test_gamma_alone():
    linear = (to_light(skin() / 255) * 255).round().astype(np.uint8)
    expected = (to_numbers(linear / 255) * 255).round()
    assert off(png_with(encode(linear), gama(1.0)), expected) <= 1
    grey = linear[..., 0]
    assert off(png_with(encode(grey), gama(1.0)), expected[..., :1]) <= 1


def test_the_gamma_that_stands_for_srgb_changes_nothing():
    for chunks in ((gama(0.45455),), (gama(0.45455), chrm(SRGB_CHROMATICITIES))):
        assert off(png_with(encode(skin()), *chunks)) == 0


def test_a_gamma_of_nothing_is_left_aside_with_a_warning():
    with pytest.warns(UserWarning, match="describes its colours wrongly .there is no gamma of 0"):
        assert off(png_with(encode(skin()), gama(0))) == 0
    with pytest.warns(UserWarning, match="describes its colours wrongly"):
        assert off(png_with(encode(skin()), gama(0.45455), chrm((0.3, 0) * 4))) == 0
    with pytest.warns(UserWarning, match="the three colours lie on one line"):
        assert off(png_with(encode(skin()), gama(0.45455), chrm((0.3, 0.3) * 4))) == 0


def test_srgb_before_gamma_and_profile_before_both():
    assert off(png_with(encode(skin()), (b"sRGB", b"\0"), gama(1.0))) == 0
    adobe = encode(in_space(skin(), "Adobe RGB"), icc_profile=rgb_profile("Adobe RGB"))
    assert off(png_with(adobe, (b"sRGB", b"\0"), gama(1.0))) <= 1


def test_cicp_before_all():
    p3 = encode(in_space(skin(), "Display P3"), icc_profile=rgb_profile("ProPhoto"))
    read = png_with(p3, (b"cICP", bytes([12, 13, 0, 1])), (b"sRGB", b"\0"))
    assert off(read) <= 1
    assert off(Image.open(io.BytesIO(read))) <= 1
    assert off(png_with(encode(skin()), (b"cICP", bytes([1, 13, 0, 1])), gama(1.0))) == 0


def test_cicp_of_other_kinds():
    with refuses("pixels.high_range", name="images.the_image", transfer="PQ"):
        read_image(png_with(encode(skin()), (b"cICP", bytes([9, 16, 0, 1]))))
    with pytest.warns(UserWarning, match="colours of an unknown kind"):
        assert off(png_with(encode(skin()), (b"cICP", bytes([77, 13, 0, 1])))) == 0


# ---------------------------------------------------------------- EXIF


def exif_of(*, index=None, color_space=None) -> Image.Exif:
    exif = Image.Exif()
    if color_space is not None:
        exif.get_ifd(0x8769)[0xA001] = color_space
    if index is not None:
        exif.get_ifd(0x8769)[0xA005] = {1: index}
    return exif


@pytest.mark.parametrize("says", [{"index": "R03", "color_space": 65535}, {"color_space": 2}])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_adobe_rgb_by_exif(says, kind):
    data = encode(in_space(skin(), "Adobe RGB"), kind, exif=exif_of(**says).tobytes())
    stored = np.asarray(Image.open(io.BytesIO(data)))
    read = read_image(data)
    assert off(data, as_srgb(stored, "Adobe RGB").astype(int)) <= 1
    assert np.array_equal(np.asarray(read_image(read)), np.asarray(read))


@pytest.mark.parametrize("says", [{"index": "R98", "color_space": 1}, {"color_space": 65535}])
def test_srgb_by_exif(says):
    assert off(encode(skin(), exif=exif_of(**says).tobytes())) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_every_container_is_turned(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    data = encode(
        in_space(skin(), "Display P3"),
        kind,
        exif=exif,
        icc_profile=rgb_profile("Display P3"),
        **options.get(kind, {}),
    )
    upright = np.rot90(skin(), -1 if orientation == 6 else 2)
    assert read_image(data).size == upright.shape[1::-1] and off(data, upright) <= 8


def test_damaged_exif_does_not_hide_a_picture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own
        assert off(encode(skin(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")) == 0


def test_convert_gives_the_same_picture_where_there_is_nothing_to_do():
    image = Image.fromarray(skin())
    assert converter(None, image.mode, "it")(image) is image
    assert converter(rgb_profile("sRGB"), image.mode, "it")(image) is image
