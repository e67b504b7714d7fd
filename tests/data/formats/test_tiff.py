"""TIFF in every way that people save it: what is read is what a viewer shows."""

import io
import logging
import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin
from refusals import refuses

from dermsim.data.formats.tiff import accepts
from dermsim.data.images import pixels_to_decode, read_image
from dermsim.data.synthetic import draw_lesion

RGB = np.asarray(draw_lesion("mel", seed=1, size=(48, 40)))
GREY = RGB[..., 1]
WIDE, WIDE_GREY = RGB.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257
OPAQUE = np.full((*GREY.shape, 1), 255, np.uint8)
THREE = np.repeat(GREY[..., np.newaxis], 3, axis=-1)


def tiff(values, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **{"metadata": None, **options})
    return stream.getvalue()


def pages(*plans) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for values, options in plans:
            writer.write(values, photometric="rgb", metadata=None, **options)
    return stream.getvalue()


def shown(data, **options) -> np.ndarray:
    return np.asarray(read_image(data, **options)).astype(int)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "packbits"])
@pytest.mark.parametrize("values", [RGB, WIDE, GREY, WIDE_GREY], ids=["8x3", "16x3", "8", "16"])
def test_every_depth_order_and_compression(values, compression, bigtiff, byteorder):
    kind = "rgb" if values.ndim == 3 else "minisblack"
    options = {"compression": compression, "bigtiff": bigtiff, "byteorder": byteorder}
    data = tiff(values, photometric=kind, **options)
    assert accepts(data)
    expected = RGB if values.ndim == 3 else THREE
    assert np.abs(shown(data) - expected).max() == 0


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("values", [GREY, WIDE_GREY], ids=["8", "16"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_white_is_zero_is_turned_at_every_depth(values, compression, predictor):
    if predictor and compression is None:
        pytest.skip("nothing is predicted without compression")
    negative = values.max() - values
    options = {"compression": compression, "predictor": predictor}
    black = shown(tiff(negative, photometric="minisblack", **options))
    white = shown(tiff(negative, photometric="miniswhite", **options))
    assert np.abs(black + white - 255).max() <= 1


@pytest.mark.parametrize("values", [RGB, WIDE], ids=["8", "16"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_planes_and_tiles(values, tile):
    planes = np.moveaxis(values, -1, 0)
    data = tiff(planes, photometric="rgb", planarconfig="separate", tile=tile)
    assert np.array_equal(shown(data), RGB)
    assert np.array_equal(shown(tiff(values, photometric="rgb", tile=tile)), RGB)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("kind", ["rgb", "minisblack", "miniswhite"])
def test_the_bits_that_are_used_are_those_that_count(bits, kind):
    top = (1 << bits) - 1
    full = np.rint(RGB / 255 * top).astype(np.uint16)
    full[0, 0] = top
    values = full if kind == "rgb" else full[..., 1]
    expected = np.rint(values / top * 255)
    expected = 255 - expected if kind == "miniswhite" else expected
    expected = expected if kind == "rgb" else np.repeat(expected[..., np.newaxis], 3, -1)
    assert np.abs(shown(tiff(values, photometric=kind)) - expected).max() <= 1
    said = [(281, 3, 1, top, True)]  # MaxSampleValue
    assert np.abs(shown(tiff(values, photometric=kind, extratags=said)) - expected).max() <= 1


def test_a_dark_picture_of_all_16_bits_stays_dark():
    dark = (WIDE // 2).astype(np.uint16)
    assert np.abs(shown(tiff(dark, photometric="rgb")) - np.rint(RGB / 2)).max() <= 1


@pytest.mark.parametrize("deep", [False, True])
def test_transparency_is_put_on_white(deep):
    half = np.full((*GREY.shape, 1), 128, np.uint8)
    loose = np.concatenate([RGB, half], axis=-1)
    tied = np.concatenate([np.rint(RGB * (128 / 255)).astype(np.uint8), half], axis=-1)
    expected = 255 + (RGB.astype(int) - 255) * 128 / 255
    for values, kind in ((loose, "unassalpha"), (tied, "assocalpha")):
        values = values.astype(np.uint16) * 257 if deep else values
        data = tiff(values, photometric="rgb", extrasamples=[kind])
        assert np.abs(shown(data) - expected).max() <= 2
    ignored = tiff(np.concatenate([RGB, OPAQUE // 2], -1), photometric="rgb", extrasamples=[0])
    assert np.array_equal(shown(ignored), RGB)


def test_greys_with_transparency():
    values = np.concatenate([255 - GREY[..., np.newaxis], OPAQUE], axis=-1)
    options = {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
    assert np.array_equal(shown(tiff(values, photometric="miniswhite", **options)), THREE)


@pytest.mark.parametrize("deep", [False, True])
def test_cmyk(deep):
    ink = np.concatenate([255 - RGB, 255 - OPAQUE], axis=-1)
    values = ink.astype(np.uint16) * 257 if deep else ink
    assert np.abs(shown(tiff(values, photometric="separated")) - RGB).max() <= 1


@pytest.mark.parametrize("kind", ["cielab", "icclab", "deep"])
def test_lab_is_converted(kind):
    spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    image = ImageCms.profileToProfile(Image.fromarray(RGB), *spaces, outputMode="LAB")
    lab = np.asarray(image).copy()
    if kind == "icclab":
        lab[..., 1:] ^= 128
    if kind == "deep":
        lab = lab.astype(np.uint16) << 8
    data = tiff(lab, photometric="icclab" if kind == "icclab" else "cielab")
    assert np.abs(shown(data) - RGB).mean() < 2


def test_ycbcr_without_compression_and_with():
    values = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    assert np.abs(shown(tiff(values, photometric="ycbcr")) - RGB).max() <= 3
    stream = io.BytesIO()
    Image.fromarray(RGB).convert("YCbCr").save(stream, "TIFF", compression="jpeg", quality=95)
    assert (
        tifffile.TiffFile(io.BytesIO(stream.getvalue())).pages[0].photometric
        == tifffile.PHOTOMETRIC.YCBCR
    )
    assert np.abs(shown(stream.getvalue()) - RGB).mean() < 4


def test_ycbcr_with_fewer_colours_than_pixels_and_no_compression_is_refused():
    whole = tiff(RGB, photometric="ycbcr")
    count = struct.pack("<HHII", 279, 4, 1, RGB.size)  # StripByteCounts
    assert count in whole
    data = whole.replace(count, struct.pack("<HHII", 279, 4, 1, RGB.size // 2))
    with refuses("tiff.subsampled", name="images.the_image"):
        read_image(data)


def test_palettes_and_bilevel():
    image = Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE)
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    assert np.array_equal(shown(stream.getvalue()), np.asarray(image.convert("RGB")))
    dark = GREY > 100
    for kind, expected in (("minisblack", dark), ("miniswhite", ~dark)):
        assert np.array_equal(shown(tiff(dark, photometric=kind))[..., 0], expected * 255)


@pytest.mark.parametrize("values", [RGB, GREY], ids=["colours", "grey"])
def test_real_numbers_from_0_to_1(values):
    kind = "rgb" if values.ndim == 3 else "minisblack"
    data = tiff((values / 255).astype(np.float32), photometric=kind)
    assert np.array_equal(shown(data), RGB if values.ndim == 3 else THREE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (GREY.astype(np.float32), "pixels.out_of_range"),
        (np.full((40, 48), np.nan, np.float32), "pixels.not_finite"),
        (GREY.astype(np.int16) - 100, "tiff.negative"),
        (GREY.astype(np.uint32) * 10_000, "pixels.too_many_bits"),
        (np.repeat(RGB, 3, -1), "tiff.many_values"),
    ],
    ids=["real", "nan", "negative", "deep", "bands"],
)
def test_what_cannot_be_shown_is_refused_with_what_to_do(values, words):
    with refuses(words, name="images.the_image"):
        read_image(tiff(values, photometric="rgb" if values.ndim == 3 else "minisblack"))


def test_raw_files_of_cameras_are_refused():
    preview = (RGB[::2, ::2], {"subfiletype": 1})
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(preview[0], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(WIDE_GREY, photometric=32803, subfiletype=0)
    with refuses("tiff.unfinished"):
        read_image(stream.getvalue())


# ---------------------------------------------------------------- pages

SMALL = np.full((20, 24, 3), 7, np.uint8)


@pytest.mark.parametrize("flagged", [0, 1])
@pytest.mark.parametrize("deep", [False, True])
def test_a_preview_before_or_after_the_picture_is_passed_over(flagged, deep):
    picture = (WIDE if deep else RGB, {})
    preview = (SMALL, {"subfiletype": flagged})
    for plan in ((preview, picture), (picture, preview)):
        assert np.array_equal(shown(pages(*plan)), RGB)


def test_a_preview_of_the_same_size_is_known_by_its_flag():
    assert np.array_equal(shown(pages((RGB // 2, {"subfiletype": 1}), (RGB, {}))), RGB)


@pytest.mark.parametrize("deep", [False, True])
def test_the_picture_may_be_below_its_preview(deep):
    picture = WIDE if deep else RGB
    data = pages((SMALL, {"subfiletype": 1, "subifds": 1}), (picture, {"subfiletype": 0}))
    assert np.array_equal(shown(data), RGB)


def test_of_several_pictures_one_is_read_and_it_is_said():
    data = pages((RGB, {}), (255 - RGB, {}), (SMALL, {}))
    with pytest.warns(UserWarning, match="the image has 2 pages with pictures: number 0 is read"):
        assert np.array_equal(shown(data), RGB)
    with pytest.warns(UserWarning, match="number 1 is read"):
        assert np.array_equal(shown(data, frame=1), 255 - RGB)
    with refuses("formats_registry.no_frame", count=2, last=1, frame=2):
        read_image(data, frame=2)


# ---------------------------------------------------------------- what belongs to the picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("values", [RGB, WIDE], ids=["8", "16"])
def test_every_orientation(values, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "JPEG", exif=exif, quality=100, subsampling=0)
    data = tiff(values, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    upright = read_image(data)
    assert upright.size == read_image(stream.getvalue()).size
    assert np.abs(np.asarray(upright).astype(int) - shown(stream.getvalue())).mean() < 3


def test_a_colour_profile_of_another_page_is_not_taken():
    from dermsim.data.formats.tiff import open_tiff

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = pages((SMALL, {"subfiletype": 1, "iccprofile": b"wrong"}), (RGB, {"iccprofile": srgb}))
    image = open_tiff(io.BytesIO(data), "x", frame=0, check=lambda width, height: None)
    assert image.info["icc_profile"] == srgb
    data = pages((SMALL, {"subfiletype": 1, "iccprofile": b"wrong"}), (RGB, {}))
    image = open_tiff(io.BytesIO(data), "x", frame=0, check=lambda width, height: None)
    assert "icc_profile" not in image.info


def test_the_size_is_checked_before_anything_is_decoded(monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("decoded")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", never)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", never)
    for values in (RGB, WIDE):
        with refuses("images.too_large", width=48, height=40):
            read_image(tiff(values, photometric="rgb"), max_pixels=1000)


@pytest.mark.parametrize("tag", [256, 257], ids=["width", "height"])
def test_a_size_of_several_numbers_is_a_damaged_file(tag):
    data = tiff(RGB, photometric="rgb")
    place = data.index(struct.pack("<HHI", tag, 4, 1))
    broken = data[:place] + struct.pack("<HHI", tag, 3, 2) + data[place + 8 :]
    with refuses(("images.damaged", "tiff.several_sizes"), name="images.the_image"):
        read_image(broken)
    assert pixels_to_decode(broken) == 0


def test_what_a_damaged_file_holds_is_not_logged(caplog):
    log = logging.getLogger("tifffile")
    name = "Zaphod \x81 Beeblebrox".encode("latin-1")
    data = tiff(RGB, photometric="rgb", extratags=[(315, 2, len(name), name, True)])  # Artist
    broken = data.replace(struct.pack("<HH", 282, 5), struct.pack("<HH", 282, 77))
    assert broken != data
    with tifffile.TiffFile(io.BytesIO(broken)) as file:
        assert file.pages[0].tags.get(282) is None
    assert "tifffile" in caplog.text  # it speaks to others
    caplog.clear()
    assert np.array_equal(shown(broken), RGB)
    assert caplog.text == "" and log.isEnabledFor(logging.WARNING)


WITHOUT = """
import sys
sys.modules["imagecodecs"] = None
from dermsim.data.images import read_image
try:
    print(read_image(sys.argv[1]).getpixel((24, 20)))
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (WIDE, {"compression": "lzw"}, str(tuple(map(int, RGB[20, 24])))),
        (WIDE_GREY // 16, {"compression": "lzw"}, str((int(GREY[20, 24]),) * 3)),
        (WIDE // 4096, {"compression": "lzw"}, "16-bit TIFF compressed with LZW: install"),
        (RGB / np.float32(255), {"compression": "lzw"}, "32-bit TIFF compressed with LZW: install"),
    ],
    ids=["colours", "grey", "low bits", "real"],
)
def test_without_imagecodecs_what_pillow_knows_is_read_and_the_rest_named(
    tmp_path, values, options, said
):
    kind = "rgb" if values.ndim == 3 else "minisblack"
    (tmp_path / "lesion.tif").write_bytes(tiff(values, photometric=kind, **options))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path / "lesion.tif"], capture_output=True, text=True
    )
    assert said in done.stdout, done.stderr
