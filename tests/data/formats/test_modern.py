"""HEIC, AVIF, JPEG 2000 and JPEG XL: the same photograph, whatever it is packed in."""

import io
import struct
import sys

import numpy as np
import pillow_heif
import pillow_jxl
import pytest
from PIL import Image, ImageCms
from refusals import refuses

from dermsim.data.formats import FORMATS
from dermsim.data.formats.boxes import coding_points, walk
from dermsim.data.formats.registry import PREFIX, UnreadableError, recognise
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion

pillow_heif.register_heif_opener()  # so that Pillow writes it; the package itself does not need it
PICTURE = draw_lesion("mel", seed=1, size=(120, 80))
RGB = np.asarray(PICTURE).astype(int)
KINDS = {"HEIF": "HEIC", "AVIF": "AVIF", "JPEG2000": "JPEG 2000", "JXL": "JPEG XL"}
LOSSLESS = {
    "HEIF": {"quality": -1, "chroma": 444, "matrix_coefficients": 0},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "JPEG2000": {},
    "JXL": {"lossless": True},
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(kind: str, image: Image.Image = PICTURE, **options) -> bytes:
    assert pillow_jxl  # registers the writer
    stream = io.BytesIO()
    image.save(stream, kind, **{**LOSSLESS[kind], **options})
    return stream.getvalue()


def opened(kind: str, data: bytes, **options) -> Image.Image:
    (found,) = [known for known in FORMATS if known.name == KINDS[kind]]
    check = options.pop("check", lambda width, height: None)
    return found.open(io.BytesIO(data), "x", frame=0, check=check, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_recognised_by_its_bytes_and_read(kind):
    data = encoded(kind)
    assert recognise(data[:PREFIX], FORMATS).name == KINDS[kind]
    assert np.abs(np.asarray(read_image(data)) - RGB).max() <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_greys_and_transparency(kind):
    grey = PICTURE.convert("L")
    found = np.asarray(read_image(encoded(kind, grey))).astype(int)
    assert np.abs(found - np.asarray(grey)[..., np.newaxis]).max() <= 3
    half = PICTURE.convert("RGBA")
    half.putalpha(128)
    on_white = 255 + (RGB - 255) * 128 / 255
    assert np.abs(np.asarray(read_image(encoded(kind, half))) - on_white).max() <= 4


@pytest.mark.parametrize("kind", ["JPEG2000", "JXL"])
def test_sixteen_bits(kind):
    grey = np.asarray(PICTURE.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    expected = grey / 255
    if kind == "JXL":  # this writer says that 16 bits are linear light
        expected = np.where(
            expected <= 0.0031308, 12.92 * expected, 1.055 * expected ** (1 / 2.4) - 0.055
        )
    found = np.asarray(read_image(encoded(kind, deep)))[..., 0]
    off = np.abs(found - expected * 255)
    if kind == "JXL":  # brought to 8 bits before its curve is applied, which is coarse in the dark
        bright = grey >= 32
        assert bright.any() and off[bright].max() <= 2 and off.max() <= 10
    else:
        assert off.max() <= 1


@pytest.mark.parametrize("orientation", (2, 5, 6, 8))
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_every_orientation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    PICTURE.save(stream, "PNG", exif=exif)
    turned = PICTURE.copy()
    turned.getexif()[0x0112] = orientation
    options = {"exif": exif.tobytes()} if kind == "AVIF" else {}
    upright = read_image(encoded(kind, turned, **options))
    expected = read_image(stream.getvalue())
    assert upright.size == expected.size
    assert np.abs(np.asarray(upright).astype(int) - np.asarray(expected)).mean() < 3


def test_jpeg_xl_is_turned_by_its_code_stream_and_a_packed_jpeg_by_its_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    PICTURE.save(stream, "JPEG", exif=exif, quality=95)
    packed = encoded_jpeg(stream.getvalue())
    assert np.array_equal(np.asarray(read_image(packed)), np.asarray(read_image(stream.getvalue())))
    # what EXIF says beside a code stream of JPEG XL has been done already
    box = b"Exif" + struct.pack(">I", 0) + exif.tobytes().removeprefix(b"Exif\0\0")
    whole = encoded("JXL", exif=None)
    head = struct.pack(">I4sI", 12, b"JXL ", 0x0D0A870A) + struct.pack(
        ">I4s4sI4s", 20, b"ftyp", b"jxl ", 0, b"jxl "
    )
    framed = head + struct.pack(">I", 4 + len(box)) + box
    framed += struct.pack(">I", 8 + len(whole)) + b"jxlc" + whole
    assert read_image(framed).size == PICTURE.size


def encoded_jpeg(jpeg: bytes) -> bytes:
    """A JPEG packed without loss."""
    encoder = pillow_jxl.Encoder(mode="RGB", lossless=True, quality=1.0, num_threads=1)
    return encoder(jpeg, *PICTURE.size, jpeg_encode=True, exif=None, jumb=None, xmp=None)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JXL"])
def test_the_colour_profile_is_passed_on(kind):
    assert ImageCms.ImageCmsProfile(
        io.BytesIO(opened(kind, encoded(kind, icc_profile=SRGB)).info["icc_profile"])
    )


def test_the_colour_profile_of_jpeg_2000_is_passed_on():
    data = encoded("JPEG2000")
    start = data.index(b"colr") - 4
    (length,) = struct.unpack_from(">I", data, start)
    box = struct.pack(">I4sBBB", 11 + len(SRGB), b"colr", 2, 0, 0) + SRGB
    header = data.index(b"jp2h") - 4
    (outer,) = struct.unpack_from(">I", data, header)
    grown = struct.pack(">I", outer - length + len(box))
    data = data[:header] + grown + data[header + 4 : start] + box + data[start + length :]
    assert opened("JPEG2000", data).info["icc_profile"] == SRGB
    assert "icc_profile" not in opened("JPEG2000", encoded("JPEG2000")).info


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_colours_said_in_numbers_are_passed_on(kind):
    assert opened(kind, encoded(kind, quality=90)).info["cicp"][:2] == (1, 13)
    assert "cicp" not in opened(kind, encoded(kind, icc_profile=SRGB)).info


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_checked_before_anything_is_decoded(kind):
    def refuse(width, height):
        assert (width, height) == (400, 300)
        raise UnreadableError("too large")

    data = encoded(kind, draw_lesion("nv", seed=2, size=(400, 300)))
    cut = data[: len(data) // 2] if kind in ("JPEG2000", "JXL") else data
    with refuses("too large", UnreadableError):
        opened(kind, cut, check=refuse)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (256, 64), (1000, 9), (4096, 300), (300, 1)])
def test_sizes_of_jpeg_xl(width, height):
    from dermsim.data.formats.jxl import _codestream, _size

    assert _size(_codestream(encoded("JXL", Image.new("RGB", (width, height))))) == (width, height)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_is_refused_in_one_sentence(kind):
    data = encoded(kind, draw_lesion("nv", seed=2, size=(200, 100)))
    for part in (12, 40, len(data) // 3):
        damaged = ("images.damaged", "jxl.damaged", "heif.damaged", "pixels.truncated")
        with refuses((*damaged, "foreign.not_read"), name="images.the_image") as refusal:
            read_image(data[:part])
        assert "\n" not in str(refusal.value)


def test_several_pictures_in_a_heic(tmp_path):
    heif = pillow_heif.from_pillow(PICTURE)
    heif.add_from_pillow(PICTURE.rotate(180))
    heif.save(tmp_path / "burst.heic", quality=-1, chroma=444, matrix_coefficients=0)
    data = (tmp_path / "burst.heic").read_bytes()
    assert np.abs(np.asarray(read_image(data)) - RGB).max() <= 1
    assert np.abs(np.asarray(read_image(data, frame=1)) - RGB[::-1, ::-1]).max() <= 1
    with refuses("formats_registry.no_frame", count=2, last=1, frame=2):
        read_image(data, frame=2)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "JXL"])
def test_a_frame_that_is_not_there(kind):
    with refuses("formats_registry.one_frame", frame=1):
        read_image(encoded(kind), frame=1)


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [("HEIF", "pillow_heif", "heic"), ("JXL", "pillow_jxl", "jxl")],
)
def test_without_the_extra_the_format_is_named_and_what_installs_it(
    monkeypatch, tmp_path, kind, package, extra
):
    path = tmp_path / "lesion.bin"
    path.write_bytes(encoded(kind))
    monkeypatch.setitem(sys.modules, package, None)
    with refuses("extras.needs_extra") as refusal:
        read_image(path)
    name = KINDS[kind]
    assert str(refusal.value) == (
        f'lesion.bin is a {name} file: install what reads it with pip install "dermsim[{extra}]"'
    )


def test_boxes():
    inner = struct.pack(">I4s3s", 11, b"leaf", b"one")
    nested = struct.pack(">I4sI", 12 + len(inner), b"meta", 0) + inner
    long = struct.pack(">I4sQ3s", 1, b"leaf", 19, b"two")
    assert list(walk(nested + long, b"meta", b"leaf")) == [b"one"]
    assert list(walk(long + nested, b"leaf")) == [b"two"]
    assert list(walk(struct.pack(">I4s", 0, b"leaf") + b"rest", b"leaf")) == [b"rest"]
    assert list(walk(struct.pack(">I4s", 3, b"leaf") + b"rest", b"leaf")) == []
    assert coding_points(b"nclx\0\x0c\0\x0d\0\0\x80") == (12, 13, 0, 1)
    assert coding_points(b"prof") is None
