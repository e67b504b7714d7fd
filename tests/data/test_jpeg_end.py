"""A JPEG that lacks only its end marker is read; one that lacks a pixel is not."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.data.formats.jpeg import mend
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion

KINDS = {
    "baseline": {"quality": 75},
    "full colour": {"quality": 95, "subsampling": 0},
    "optimised": {"quality": 90, "optimize": True},
    "progressive": {"quality": 85, "progressive": True},
    "restart markers": {"quality": 80, "restart_marker_blocks": 3},
    "rows that restart": {"quality": 80, "restart_marker_rows": 1},
}
SIZES = {"whole blocks": (96, 64), "parts of blocks": (101, 67)}


@pytest.fixture(scope="module", params=KINDS)
def options(request):
    return KINDS[request.param]


@pytest.fixture(scope="module", params=SIZES)
def lesion(request):
    return draw_lesion("mel", seed=1, size=SIZES[request.param])


@pytest.fixture(scope="module")
def whole(lesion, options) -> bytes:
    stream = io.BytesIO()
    lesion.save(stream, "JPEG", **options)
    assert stream.getvalue().endswith(b"\xff\xd9")
    return stream.getvalue()


def test_without_the_end_marker_every_pixel_is_read(whole):
    expected = np.asarray(read_image(whole))
    for lacking in (whole[:-2], whole[:-1], whole[:-2] + bytes(1000)):
        with pytest.warns(UserWarning, match="^the image lacks its end marker and is read all the"):
            assert np.array_equal(np.asarray(read_image(lacking)), expected)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_cut_it_is_refused(whole, share):
    kept = whole[: int(share * len(whole))]
    for cut in (kept, kept + bytes(1000)):
        with refuses(("images.damaged", "pixels.truncated"), name="images.the_image"):
            read_image(cut)


@pytest.mark.parametrize("lost", [1, 2, 3, 8, 40])
def test_the_last_bytes_count(whole, lost):
    data = whole[: -2 - lost]
    mended = mend(data)
    if mended is not None:  # bytes that say only that nothing more is to come
        assert np.array_equal(np.asarray(read_image(mended[0])), np.asarray(read_image(whole)))


def test_cut_between_two_intervals_or_scans(whole):
    for marker in list(re.finditer(rb"\xff[\xd0-\xd7\xda]", whole))[1:][-12:]:
        for more in (0, 1, 2):
            assert mend(whole[: marker.start() + more]) is None


def test_what_has_its_end_is_not_mended(whole):
    assert mend(whole) is None
    assert mend(whole + b"more") is None
    for more in (b"", b"more", bytes(1000)):
        assert np.array_equal(np.asarray(read_image(whole + more)), np.asarray(read_image(whole)))
    assert mend(b"") is None and mend(b"\xff\xd8\xff") is None and mend(whole[:200]) is None


def test_bytes_after_the_picture_are_not_known(whole):
    noise = np.random.default_rng(0).integers(0, 255, 4096, dtype=np.uint8).tobytes()
    assert mend(whole[:-2] + noise) is None


def test_grey_and_cmyk():
    for mode in ("L", "CMYK"):
        stream = io.BytesIO()
        draw_lesion("mel", seed=1, size=(96, 64)).convert(mode).save(stream, "JPEG")
        with pytest.warns(UserWarning, match="lacks its end marker"):
            read = read_image(stream.getvalue()[:-2])
        assert np.array_equal(np.asarray(read), np.asarray(read_image(stream.getvalue())))


def test_decoded_small():
    stream = io.BytesIO()
    draw_lesion("mel", seed=1, size=(640, 480)).save(stream, "JPEG")
    data = stream.getvalue()
    with pytest.warns(UserWarning, match="lacks its end marker"):
        small = read_image(data[:-2], at_least=(60, 60))
    assert small.size == (80, 60)
    with refuses("pixels.truncated"):
        read_image(data[:-60], at_least=(80, 60))


def test_a_file_is_named(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(stream, "JPEG")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue()[:-2])
    with pytest.warns(UserWarning, match=r"^a\.jpg lacks its end marker"):
        read_image(tmp_path / "a.jpg")
