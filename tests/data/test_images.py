import io
import os
import resource
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.images import is_image_path, list_images, read_image


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def quadrants(size=(40, 30)) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    width, height = size
    image = Image.new("RGB", size, "white")
    image.paste("red", (0, 0, width // 2, height // 2))
    image.paste("lime", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    return image


def near(image: Image.Image, position, color, tolerance=12) -> bool:
    return bool(np.all(np.abs(np.subtract(image.getpixel(position), color)) <= tolerance))


def png_header(width: int, height: int, *, depth: int = 1, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """A valid 30,000 x 30,000 PNG of about 110 kB."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 30_000 // 8)
    data = b"".join(packer.compress(row * 1000) for _ in range(30)) + packer.flush()
    path = tmp_path_factory.mktemp("bomb") / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000, data=data))
    return path


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_from_path_and_bytes(kind, tmp_path):
    data = encode(quadrants(), kind)
    path = tmp_path / "picture"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        image = read_image(source)
        assert (image.mode, image.size) == ("RGB", (40, 30))
        assert near(image, (10, 22), (0, 0, 255), 25)


def test_rgb_image_is_returned_itself():
    image = quadrants()
    assert read_image(image) is image


def test_lazy_pil_image_is_decoded():
    image = read_image(Image.open(io.BytesIO(encode(quadrants(), "PNG"))))
    assert near(image, (30, 5), (0, 255, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = quadrants()
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, "JPEG", exif=exif, quality=95, subsampling=0)
    image = read_image(data)
    assert image.size == (40, 30)
    assert near(image, (5, 5), (255, 0, 0)) and near(image, (35, 5), (0, 255, 0))
    # a second reading must not turn it again
    assert near(read_image(image), (5, 5), (255, 0, 0))


def test_pil_input_is_not_changed():
    exif = Image.Exif()
    exif[0x0112] = 6
    given = Image.open(io.BytesIO(encode(quadrants(), "JPEG", exif=exif)))
    assert read_image(given).size == (30, 40)
    assert given.size == (40, 30) and given.getexif()[0x0112] == 6


def test_cmyk():
    image = read_image(encode(quadrants().convert("CMYK"), "JPEG", quality=95, subsampling=0))
    assert near(image, (5, 5), (255, 0, 0), 20) and near(image, (35, 25), (255, 255, 255), 20)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind):
    values = np.linspace(0, 65535, 32 * 24).reshape(24, 32).round().astype(np.uint16)
    image = read_image(encode(Image.fromarray(values), kind))
    expected = np.repeat(np.round(values / 257)[..., None], 3, axis=2)
    assert np.abs(np.asarray(image) - expected).max() <= 1


def test_wider_numbers_are_refused():
    values = np.full((24, 32), 70_000, dtype=np.int32)
    with refuses("pixels.too_many_bits"):
        read_image(encode(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "HSV", "YCbCr", "CMYK", "RGBX"])
def test_every_other_mode_is_converted(mode):
    assert near(read_image(quadrants().convert(mode)), (35, 25), (255, 255, 255))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_flattened_on_white(mode):
    image = Image.new("RGBA", (32, 24), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 16, 24))
    read = read_image(image.convert(mode))
    assert read.mode == "RGB"
    assert near(read, (4, 4), (0, 0, 0)) and near(read, (28, 4), (255, 255, 255))


def test_rgb_with_a_transparent_colour():
    read = read_image(encode(quadrants(), "PNG", transparency=(0, 0, 255)))
    assert near(read, (5, 25), (255, 255, 255)) and near(read, (5, 5), (255, 0, 0))


def test_palette_gif_with_transparency():
    palette = quadrants().quantize(8)
    read = read_image(encode(palette, "GIF", transparency=palette.getpixel((5, 5))))
    assert near(read, (5, 5), (255, 255, 255)) and near(read, (5, 25), (0, 0, 255), 25)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_gives_the_first_frame(kind):
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert near(read_image(data), (10, 10), (255, 0, 0))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_another_frame(kind):
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert near(read_image(data, frame=2), (10, 10), (0, 255, 0))
    with refuses("formats_registry.no_frame", count=3, last=2, frame=3):
        read_image(data, frame=3)
    with refuses("formats_registry.one_frame", frame=1):
        read_image(encode(frames[0], "JPEG"), frame=1)
    with refuses("images.frame"):
        read_image(frames[0], frame=1)


def test_text_renamed_to_jpg(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("Dear diary, this is no photograph.")
    with refuses(
        "images.not_an_image",
        name="notes.jpg",
        formats=[
            "JPEG",
            "PNG",
            "WebP",
            "GIF",
            "BMP",
            "TIFF",
            "AVIF",
            "HEIC",
            "JPEG 2000",
            "JPEG XL",
            "DICOM",
        ],
    ):
        read_image(path)


def test_formats_outside_the_list_are_not_tried():
    with refuses("foreign.not_read", name="images.the_image", kind="foreign.postscript"):
        read_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")


def test_empty_file(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    with refuses("images.empty", name="empty.png"):
        read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated_file(kind, share, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(share * len(data))])
    with refuses(("images.damaged", "pixels.truncated"), name="cut.img"):
        read_image(path)


def test_truncated_jpeg_is_noticed_when_decoded_small():
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), "JPEG")
    with refuses("pixels.truncated", name="images.the_image"):
        read_image(data[: len(data) // 2], at_least=(1, 1))


def test_truncated_pil_image_is_refused():
    data = encode(quadrants((400, 300)), "JPEG")
    with refuses("pixels.truncated"):
        read_image(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_garbage_after_a_valid_start():
    for start in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\x00"):
        with refuses(("images.damaged", "tiff.no_picture"), name="images.the_image"):
            read_image(start + bytes(range(256)))


def test_bomb_is_refused_from_its_header(bomb):
    reason = Phrase("images.too_large", name="bomb.png", width=30000, height=30000, most=50.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            with refuses(reason):
                read_image(bomb)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 20  # one decoding would take 900 MB


def test_size_at_which_pil_itself_would_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with refuses("images.too_large", width=10000, height=9000):
            read_image(png_header(10_000, 9_000))


def test_limits_can_be_set():
    assert read_image(quadrants(), max_pixels=1200).size == (40, 30)
    with refuses("images.too_large", width=40, height=30, most=0.0011):
        read_image(quadrants(), max_pixels=1100)
    assert read_image(Image.new("RGB", (2, 2)), min_side=1).size == (2, 2)


def test_one_pixel():
    with refuses("images.too_small", width=1, height=1, least=16):
        read_image(encode(Image.new("RGB", (1, 1)), "PNG"))


def test_missing_file():
    with refuses("images.no_file", FileNotFoundError, path="nowhere/x.jpg"):
        read_image("nowhere/x.jpg")


def test_folder(tmp_path):
    with refuses("images.folder"):
        read_image(tmp_path)


def test_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with refuses("images.not_regular", name="pipe.jpg"):
        read_image(tmp_path / "pipe.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "secret.jpg"
    path.touch(mode=0o000)
    with refuses("images.not_opened", name="secret.jpg", reason="Permission denied"):
        read_image(path)


@pytest.mark.parametrize("source", [None, 3, [1, 2]])
def test_other_types(source):
    with refuses("images.type", TypeError):
        read_image(source)


def test_at_least_decodes_smaller_but_never_too_small():
    data = encode(quadrants((800, 600)), "JPEG")
    for wanted in ((100, 75), (75, 100), (200, 150), (799, 599)):
        width, height = read_image(data, at_least=wanted).size
        assert width >= wanted[0] and height >= wanted[1]
    assert read_image(data, at_least=(70, 70)).size == (100, 75)


def test_memory_does_not_grow():
    good, cut = encode(quadrants((1000, 800)), "PNG"), encode(quadrants((1000, 800)), "JPEG")[:3000]

    def read_all() -> int:
        for _ in range(30):
            read_image(good)
            with pytest.raises(ValueError):
                read_image(cut)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = read_all()
    assert (read_all() - first) / 1024 < 10


def test_is_image_path():
    assert is_image_path("a/b.JPG") and is_image_path("c.tiff")
    assert not is_image_path("a.txt") and not is_image_path("jpg")


def test_list_images(tmp_path):
    for name in ("b.jpg", "a.PNG", "deep/er/c.webp", "notes.txt", "._b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    inside = [tmp_path / "a.PNG", tmp_path / "b.jpg", tmp_path / "deep/er/c.webp"]
    assert list_images([tmp_path]) == inside
    # a file that is named is kept, whatever its ending; the order is the caller's
    assert list_images([tmp_path / "notes.txt", str(tmp_path)]) == [tmp_path / "notes.txt", *inside]
    assert list_images(str(tmp_path / "b.jpg")) == [tmp_path / "b.jpg"]


def test_list_images_refuses_what_is_not_there(tmp_path):
    with refuses("images.no_path", FileNotFoundError):
        list_images([tmp_path / "nothing"])
    with refuses("images.empty_folder"):
        list_images([tmp_path])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_flipped_bytes_never_raise_anything_else(kind):
    rng = np.random.default_rng(0)
    data = np.frombuffer(encode(quadrants((64, 48)), kind), np.uint8)
    for _ in range(150):
        broken = data.copy()
        spots = rng.integers(0, len(broken), 4)
        broken[spots] = rng.integers(0, 256, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL notes what it finds odd in a file it can read
            try:
                assert read_image(broken.tobytes()).mode == "RGB"
            except ValueError as error:
                assert str(error).startswith("the image ") and "\n" not in str(error)
