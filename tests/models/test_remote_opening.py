"""The image processor of transformers shows the encoder what the engine shows it, bit for bit."""

import base64
import io
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from dermsim.data.icc_dermsim import D65, SRGB_CURVE, rgb_profile
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion
from dermsim.models import DermSimImageProcessor
from dermsim.models.opening_dermsim import open_picture, shown_picture
from dermsim.models.preparation import ImagePreparation

LESION = draw_lesion("mel", seed=3)
PIXELS = np.asarray(LESION)
GREY = np.asarray(LESION.convert("L"))
DISPLAY_P3 = rgb_profile(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65, SRGB_CURVE)

pytestmark = pytest.mark.filterwarnings("ignore:.* of its 16 bits:UserWarning")


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(LESION, kind, exif=exif)


def with_alpha(mode: str) -> Image.Image:
    layered = LESION.convert(mode)
    ramp = np.linspace(0, 255, PIXELS.shape[1], dtype=np.uint8)
    layered.putalpha(Image.fromarray(np.tile(ramp, (PIXELS.shape[0], 1))))
    return layered


FILES = {
    "plain": encoded(LESION),
    "16 bits": encoded(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "12 bits in 16": encoded(Image.fromarray(GREY.astype(np.uint16) << 4)),
    **{f"turned {number}": turned(number) for number in range(1, 9)},
    "turned PNG": turned(6, "PNG"),
    "turned TIFF": turned(6, "TIFF"),
    "alpha": encoded(with_alpha("RGB")),
    "grey with alpha": encoded(with_alpha("L")),
    "palette": encoded(LESION.convert("P", palette=Image.Palette.ADAPTIVE)),
    "palette with a hole": encoded(LESION.quantize(16), transparency=3),
    "black and white": encoded(LESION.convert("1")),
    "CMYK": encoded(LESION.convert("CMYK"), "JPEG"),
    "Display P3": encoded(LESION, icc_profile=DISPLAY_P3),
    "Display P3, JPEG": encoded(LESION, "JPEG", icc_profile=DISPLAY_P3),
    "animated": encoded(LESION, "GIF", save_all=True, append_images=[LESION.rotate(90)]),
    "WebP": encoded(LESION, "WEBP"),
}

ARRAYS = {
    "array": PIXELS,
    "grey array": GREY,
    "16-bit array": PIXELS.astype(np.uint16) * 257,
    "array of floats": PIXELS / np.float32(255),
    "array with opacity": np.asarray(with_alpha("RGB")),
    "tensor": torch.from_numpy(PIXELS.transpose(2, 0, 1).copy()),
    "tensor of floats": torch.from_numpy(PIXELS.transpose(2, 0, 1) / np.float32(255)),
}


def by_the_engine(source) -> np.ndarray:
    return ImagePreparation()(read_image(source), return_tensors="np").pixel_values


def by_transformers(source, **options) -> np.ndarray:
    return DermSimImageProcessor()(source, return_tensors="np", **options).pixel_values


@pytest.mark.parametrize("name", FILES)
def test_every_way_to_hand_over_a_file_gives_the_engines_pixels(name, tmp_path):
    data = FILES[name]
    expected = by_the_engine(data)
    path = tmp_path / "picture"
    path.write_bytes(data)
    text = base64.b64encode(data).decode()
    ways = [data, path, str(path), text, f"data:image/png;base64,{text}"]
    for source in (*ways, Image.open(path)):
        np.testing.assert_array_equal(by_transformers(source), expected, strict=True)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_and_tensors_give_the_engines_pixels(name):
    expected = by_the_engine(ARRAYS[name])
    np.testing.assert_array_equal(by_transformers(ARRAYS[name]), expected, strict=True)


def test_pictures_are_what_they_look_like():
    """The engine may err, too: the same lesion looks the same however it is stored."""
    plain = shown_picture(FILES["plain"])
    for name in ("turned 1", "turned TIFF", "turned 6", "Display P3", "WebP", "CMYK"):
        found = shown_picture(FILES[name])
        upright = plain.rotate(-90, expand=True) if "6" in name or "TIFF" in name else plain
        assert found.size == upright.size and found.mode == "RGB"
        off = np.abs(np.subtract(found, upright, dtype=np.int16)).mean()
        assert off < 12, name
    grey = np.abs(
        np.subtract(
            shown_picture(FILES["16 bits"]), plain.convert("L").convert("RGB"), dtype=np.int16
        )
    )
    assert grey.max() <= 1


def test_lists_and_batches_of_all_kinds_become_one_batch():
    tensor = ARRAYS["tensor"]
    sources = [LESION, FILES["16 bits"], [PIXELS, GREY], torch.stack([tensor, tensor])]
    found = by_transformers(sources)
    each = [LESION, FILES["16 bits"], PIXELS, GREY, tensor, tensor]
    np.testing.assert_array_equal(found, np.concatenate([by_the_engine(s) for s in each]))


def test_what_is_scaled_already_is_left_alone():
    """As transformers has it: floats that are not to be rescaled are the encoder's numbers."""
    floats = ARRAYS["tensor of floats"]
    found = by_transformers(floats, do_rescale=False, do_resize=False, do_center_crop=False)
    mean, std = (np.array(v)[:, None, None] for v in ((0.76, 0.54, 0.56), (0.14, 0.15, 0.17)))
    np.testing.assert_allclose(found[0], (floats.numpy() - mean) / std, atol=1e-5)


def test_colors_are_left_alone_on_request():
    found = by_transformers(Image.open(io.BytesIO(FILES["Display P3"])), do_convert_rgb=False)
    np.testing.assert_array_equal(found, by_the_engine(FILES["plain"]))
    assert not np.array_equal(by_transformers(FILES["Display P3"]), found)


class Pictures(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/picture"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(FILES["16 bits"] if known else b"")

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with HTTPServer(("127.0.0.1", 0), Pictures) as site:
        threading.Thread(target=partial(site.serve_forever, poll_interval=0.05)).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


def test_a_url_gives_the_engines_pixels(server):
    found = by_transformers(f"{server}/picture")
    np.testing.assert_array_equal(found, by_the_engine(FILES["16 bits"]))


def test_a_url_without_a_picture_is_an_error(server):
    with pytest.raises(Exception, match="404"):
        open_picture(f"{server}/nothing", timeout=5)


# --- refusals ------------------------------------------------------------------------------------


def test_what_is_no_picture_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*absent\.png: check the path"):
        by_transformers(str(tmp_path / "absent.png"))
    with pytest.raises(ValueError, match="is a folder, not an image"):
        by_transformers(tmp_path)
    with pytest.raises(ValueError, match="the image is not a picture in JPEG, PNG, WebP"):
        by_transformers(b"GIF of a kind")
    with pytest.raises(TypeError, match="cannot read an image from int: pass a PIL image, a path"):
        by_transformers(5)
    with pytest.raises(ValueError, match="truncated or damaged"):
        by_transformers(FILES["plain"][:2000])
    with pytest.raises(ValueError, match="floating-point values from 0 to 3"):
        by_transformers(np.linspace(0, 3, 3072).reshape(32, 32, 3))
    with pytest.raises(ValueError, match=r"array of shape \(32, 32, 5\)"):
        by_transformers(np.zeros((32, 32, 5), dtype=np.uint8))


PREVIEW = encoded(LESION.resize((64, 48)), "TIFF", save_all=True, append_images=[LESION])
DEEP = encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF")


@pytest.mark.parametrize("data", [PREVIEW, DEEP], ids=["preview", "16 bits"])
def test_a_tiff_that_only_dermsim_reads_right_is_refused(data):
    read_image(data)
    with pytest.raises(ValueError, match="TIFF of several pages or unusual colours: convert it"):
        by_transformers(data)
