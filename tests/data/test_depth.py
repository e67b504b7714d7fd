"""Numbers of more than 8 bits are scaled by the bits that are really used."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.data.depth_dermsim import float_to_8_bits, to_8_bits
from dermsim.data.images import read_image

KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's colour type by number of channels."""


def deep_png(values: np.ndarray, *, transparent: tuple[int, ...] = ()) -> bytes:
    """Write ``(H, W, channels)`` as a PNG of 16 bits, which Pillow cannot."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    made = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 16, KINDS[channels], 0, 0, 0)
    )
    if transparent:
        made += chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    return made + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def noise(bits: int, channels: int) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 2**bits, (24, 32, channels), dtype=np.uint16)
    values[0, 0] = 2**bits - 1
    return values


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_depth(bits, channels):
    values = noise(bits, channels)
    expected = np.broadcast_to(values / (2**bits - 1) * 255, (24, 32, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = np.asarray(read_image(deep_png(values)))
    assert np.abs(read - expected).max() <= 0.51
    said = [str(warning.message) for warning in caught]
    assert said == ([] if bits == 16 else [said[0]])
    if bits < 16:
        assert f"uses {bits} of its 16 bits (its largest value is {2**bits - 1:,})" in said[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_opened_by_pillow_it_is_the_same(channels):
    data = deep_png(noise(16, channels))
    opened = Image.open(io.BytesIO(data))
    assert np.array_equal(np.asarray(read_image(opened)), np.asarray(read_image(data)))
    assert opened.mode == {1: "I;16", 3: "RGB"}[channels]  # and it can still be decoded
    opened.load()


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_has_a_depth_of_its_own(channels):
    values = noise(12, channels)
    values[..., -1] = 65535
    values[12:, :, -1] = 0
    with pytest.warns(UserWarning, match="uses 12 of its 16 bits"):
        read = np.asarray(read_image(deep_png(values)))
    assert np.abs(read[:12] - values[:12, :, :-1] / 4095 * 255).max() <= 0.51
    assert (read[12:] == 255).all()


@pytest.mark.filterwarnings("ignore:.*16 bits")
def test_what_is_not_seen_has_no_say_in_the_depth():
    values = noise(12, 4)
    values[..., -1] = 65535
    values[0, 0] = [65535, 65535, 65535, 0]
    read = np.asarray(read_image(deep_png(values)))
    assert np.abs(read[1:] - values[1:, :, :3] / 4095 * 255).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_one_transparent_colour_of_16_bits(channels):
    values = np.full((24, 32, channels), 40_000, np.uint16)
    values[:, 16:] = 40_001  # the same in 8 bits
    values[0, 0] = 65_535
    read = np.asarray(read_image(deep_png(values, transparent=(40_000,) * channels)))
    assert (read[5, :16] == 255).all() and (read[5, 16:] == 156).all()


def test_a_black_picture_stays_black_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.asarray(read_image(deep_png(np.zeros((24, 32, 3), np.uint16)))).any()


def test_a_damaged_deep_png():
    data = deep_png(noise(16, 3))
    with refuses("pixels.truncated", name="images.the_image"):
        read_image(data[: len(data) // 2])


def test_out_of_range():
    for values in (np.array([-1]), np.array([70_000])):
        with pytest.raises(ValueError, match="it has more than 16 bits per grey value"):
            to_8_bits(values, "it")
    with pytest.raises(ValueError, match="it holds NaN or infinity"):
        float_to_8_bits(np.array([0.5, np.nan]), "it")


def floats(values) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(values, np.float32)).save(stream, "TIFF")
    return stream.getvalue()


def test_floating_point():
    ramp = np.linspace(0, 1, 32 * 24).reshape(24, 32)
    assert np.abs(np.asarray(read_image(floats(ramp)))[..., 0] - ramp * 255).max() <= 0.51
    with refuses("pixels.out_of_range", low=0.0, high=255.0):
        read_image(floats(ramp * 255))
    with refuses("pixels.not_finite"):
        read_image(floats(np.where(ramp > 0.5, np.inf, ramp)))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "PA", "L"])
def test_what_lies_on_nothing_is_white(mode):
    layered = Image.new("RGBA", (32, 24), (0, 0, 0, 0))
    layered.paste((0, 0, 0, 255), (0, 0, 16, 24))
    stream = io.BytesIO()
    if mode == "P":
        layered.quantize(4).save(stream, "PNG")
    elif mode in ("1", "L"):
        grey = Image.new("L", (32, 24), 100 if mode == "L" else 255)
        grey.paste(0, (0, 0, 16, 24))
        grey.convert(mode).save(stream, "PNG", transparency=0 if mode == "1" else 100)
        if mode == "1":  # what is black is not seen
            assert read_image(stream.getvalue()).getextrema() == ((255, 255),) * 3
            return
    else:
        layered.convert("LA").save(stream, "PNG")
    read = read_image(layered.convert("PA") if mode == "PA" else stream.getvalue())
    assert read.getpixel((4, 4)) == (0, 0, 0) and read.getpixel((28, 4)) == (255, 255, 255)
