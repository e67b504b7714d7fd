"""Room for pixels: counted, given in order, and enough for 16 of the largest pictures in turn."""

import contextvars
import io
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim.data import images
from dermsim.data.admission import PixelBudget
from dermsim.data.images import pixels_to_decode, read_image


def encode(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def budget(monkeypatch):
    """One of 10,000 pixels, in place of the process's own."""
    made = PixelBudget(10_000)
    monkeypatch.setattr(images, "PIXELS", made)
    return made


def test_room_is_counted_and_given_back():
    budget = PixelBudget(100)
    with budget.hold(60) as room:
        assert budget.held == 60
        room.keep(10)
        room.keep(50)  # more than is left of it
        assert (budget.held, room.pixels) == (10, 10)
        with budget.hold(1_000):  # who is inside already asks for no more
            assert budget.held == 10
    assert (budget.held, budget.peak, budget.waiting) == (0, 60, 0)
    with pytest.raises(ZeroDivisionError), budget.hold(5):
        raise ZeroDivisionError
    assert budget.held == 0


def test_who_asks_for_more_than_there_is_gets_all_of_it():
    budget = PixelBudget(100)
    with budget.hold(1_000) as room:
        assert budget.held == room.pixels == 100


def test_nobody_waits_longer_than_asked_and_those_behind_get_their_turn():
    budget = PixelBudget(100)
    with budget.hold(80), ThreadPoolExecutor(2) as pool:

        def hold(pixels, seconds):
            with budget.hold(pixels, seconds=seconds):
                return pixels

        late = pool.submit(hold, 50, 0.2)
        while not budget.waiting:
            pass
        small = pool.submit(hold, 10, 30)  # would fit, but came later
        with refuses("admission.busy", TimeoutError):
            late.result()
        assert small.result() == 10
    assert (budget.held, budget.waiting) == (0, 0)


def test_small_ones_do_not_wait_behind_large_ones_but_for_each_other():
    budget = PixelBudget(100, small=10, reserve=20)
    with ThreadPoolExecutor(2) as pool, budget.hold(100):

        def hold(pixels, seconds):
            with budget.hold(pixels, seconds=seconds) as room:
                return room.pixels, budget.held

        large = pool.submit(hold, 11, 30)
        while not budget.waiting:
            pass
        assert pool.submit(hold, 10, 30).result() == (10, 110)
        held = [budget.hold(10), budget.hold(10)]
        contexts = [contextvars.Context() for _ in held]  # each as a thread of its own
        for context, each in zip(contexts, held, strict=True):
            context.run(each.__enter__)
        with refuses("admission.busy", TimeoutError):
            pool.submit(hold, 10, 0.1).result()
        for context, each in zip(contexts, held, strict=True):
            context.run(each.__exit__, None, None, None)
        assert not large.done()
    assert large.result() == (11, 11)
    assert (budget.held, budget.peak) == (0, 120)


@pytest.mark.parametrize("options", [{"most": 0}, {"small": 5}, {"small": 5, "reserve": 0}])
def test_a_budget_without_room_is_refused(options):
    with refuses("admission.budget", most=0):
        PixelBudget(**options)


def test_room_is_given_in_the_order_in_which_it_was_asked_for():
    budget, order, threads = PixelBudget(10), [], []

    def take(number):
        with budget.hold(10):
            order.append(number)

    with budget.hold(10):
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while budget.waiting <= number:
                pass
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_pictures_are_decoded_when_there_is_room(budget):
    data = encode(Image.new("RGBA", (100, 60), (9, 9, 9, 99)))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(read_image, [data] * 64))
    assert [picture.size for picture in found] == [(100, 60)] * 64
    assert budget.peak == 6_000 and budget.held == 0


def test_room_is_given_back_when_a_picture_turns_out_damaged(budget):
    data = encode(Image.effect_noise((100, 60), 50))
    with refuses("pixels.truncated"):
        read_image(data[: len(data) // 2])
    with refuses("images.too_large"):
        read_image(data, max_pixels=100)
    assert budget.held == 0 and budget.peak == 6_000


FORMS = {
    "PNG": (1, {}),
    "JPEG": (1, {}),
    "WEBP": (1, {}),
    "GIF": (1, {}),
    "BMP": (1, {}),
    "TIFF": (4, {}),
    "AVIF": (1, {}),
    "JPEG2000": (1, {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_header_alone_says_how_many(form, tmp_path):
    weight, options = FORMS[form]
    data = encode(Image.new("RGB", (40, 30), "red"), form, **options)
    assert pixels_to_decode(data) == 1200 * weight
    (tmp_path / "picture").write_bytes(data)
    assert pixels_to_decode(tmp_path / "picture") == 1200 * weight


def test_of_sixteen_bits_a_pixel_counts_twice():
    deep = encode(Image.fromarray(np.full((30, 40), 60_000, dtype=np.uint16)))
    assert pixels_to_decode(deep) == 2400


def test_what_is_no_picture_needs_no_room(tmp_path):
    for source in (b"", b"Dear doctor", tmp_path / "gone.png", tmp_path):
        assert pixels_to_decode(source) == 0


# --- as much as is needed, and no copy too many ---------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_a_file_is_made_smaller_as_far_as_it_may_be(mode):
    noise = Image.effect_noise((1300, 1000), 80).convert("RGB")
    noise.putalpha(200) if mode in ("RGBA", "LA") else None
    image = noise.convert(mode)
    data = encode(image)
    whole, small = read_image(data), read_image(data, at_least=(300, 200))
    assert small.size == (434, 334)  # a third, as a quarter would be less than 300 high
    assert small.tobytes() == whole.reduce(3).tobytes()
    assert read_image(data, at_least=(1000, 900)).tobytes() == whole.tobytes()


def test_a_picture_that_is_passed_in_stays_as_large_as_it_is():
    image = Image.new("RGB", (900, 900))
    assert read_image(image, at_least=(100, 100)) is image


def test_strips_make_the_same_picture(monkeypatch):
    from dermsim.data import srgb_dermsim

    rng = np.random.default_rng(0)
    layered = Image.fromarray(rng.integers(0, 256, (97, 61, 4), dtype=np.uint8))
    data = encode(layered)
    whole = read_image(data)
    white = Image.new("RGBA", layered.size, "white")
    expected = Image.alpha_composite(white, layered).convert("RGB")
    assert np.abs(np.asarray(whole, int) - np.asarray(expected, int)).max() <= 1
    monkeypatch.setattr(srgb_dermsim, "_STRIP", 150)
    assert read_image(data).tobytes() == whole.tobytes()
    assert read_image(data, at_least=(20, 20)).tobytes() == whole.reduce(3).tobytes()


def deep_png(values):
    """Write a PNG of ``(H, W, 4)`` uint16, which Pillow does not."""
    height, width, _ = values.shape

    def chunk(kind, data):
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x10\x06\0\0\0"
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_a_deep_png_is_put_together_in_strips(monkeypatch):
    from dermsim.data import depth_dermsim

    data = deep_png(np.random.default_rng(0).integers(0, 65536, (31, 41, 4)))
    whole = read_image(data)
    monkeypatch.setattr(depth_dermsim, "_STRIP", 100)
    assert read_image(data).tobytes() == whole.tobytes()


def test_numbers_of_sixteen_bits_are_not_all_there_at_once(monkeypatch):
    from dermsim.data import depth_dermsim

    monkeypatch.setattr(depth_dermsim, "_STRIP", 10_000)
    data = deep_png(np.full((1000, 1000, 4), 60_000))
    tracemalloc.start()
    read_image(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 1_000_000  # of NumPy; putting the whole together takes 30 bytes a pixel
