import io

import numpy as np
import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image, ImageOps
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.images import read_image
from dermsim.data.pixels import decode_pixels, map_images


def dataset_of(images: list[bytes | None]) -> Dataset:
    rows = {
        "image": [data and {"bytes": data, "path": None} for data in images],
        "image_id": [f"id{i}" for i in range(len(images))],
    }
    return Dataset.from_dict(
        rows, features=Features({"image": ImageFeature(), "image_id": Value("string")})
    )


def test_own_size_is_copied_exactly(lesions):
    pixels = decode_pixels(lesions, height=36, width=48)
    assert pixels.shape == (28, 3, 36, 48) and pixels.dtype == np.uint8
    for row, decoded in zip(lesions, pixels, strict=True):
        assert np.array_equal(np.asarray(row["image"]).transpose(2, 0, 1), decoded)


@pytest.mark.parametrize(("height", "width"), [(20, 20), (18, 40), (64, 64), (150, 200)])
def test_covers_and_crops_around_the_centre(lesions, height, width):
    pixels = decode_pixels(lesions.select(range(4)), height=height, width=width)
    for row, decoded in zip(lesions, pixels, strict=False):
        image = row["image"]
        scale = max(width / image.width, height / image.height)
        left, top = (
            (image.width - width / scale) / 2,
            (image.height - height / scale) / 2,
        )
        box = (left, top, image.width - left, image.height - top)
        expected = image.resize((width, height), Image.Resampling.BICUBIC, box=box)
        difference = np.asarray(expected).transpose(2, 0, 1).astype(int) - decoded
        assert np.abs(difference).max() <= 2


def test_more_rows_than_a_batch_keep_their_order(make_jpeg):
    images = [make_jpeg((value % 256, 0, 0), size=(16, 16)) for value in range(0, 600)]
    pixels = decode_pixels(dataset_of(images), height=16, width=16)
    red = pixels[:, 0].mean(axis=(1, 2))
    assert np.abs(red - np.arange(600) % 256).max() <= 3


def test_a_permuted_dataset_is_decoded_in_its_own_order(lesions):
    order = [5, 0, 27, 3]
    straight = decode_pixels(lesions, height=36, width=48)
    assert np.array_equal(
        decode_pixels(lesions.select(order), height=36, width=48), straight[order]
    )


def test_large_jpegs_decoded_small_look_the_same(lesions):
    big = lesions[0]["image"].resize((1600, 1200), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    big.save(stream, format="JPEG", quality=95)
    decoded = decode_pixels(dataset_of([stream.getvalue()]), height=60, width=80)[0]
    full = ImageOps.fit(read_image(stream.getvalue()), (80, 60), Image.Resampling.BICUBIC)
    difference = np.abs(np.asarray(full).transpose(2, 0, 1).astype(int) - decoded)
    assert difference.mean() < 1.5


def test_images_are_normalised_like_everywhere_else():
    image = Image.new("RGBA", (32, 24), (0, 0, 0, 0))
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    assert decode_pixels(dataset_of([stream.getvalue()]), height=24, width=32).min() == 255


def test_unreadable_image_is_named(make_jpeg):
    images = [make_jpeg(), make_jpeg()[:300]]
    with refuses(
        "tables.row",
        row=1,
        image_id="id1",
        reason=Phrase("images.damaged", name="images.the_image"),
    ):
        decode_pixels(dataset_of(images))


def test_missing_image_is_named(make_jpeg):
    with refuses("tables.row", row=1, image_id="id1", reason="new_classes.no_image_file"):
        decode_pixels(dataset_of([make_jpeg(), None]))


def test_map_images_names_the_rows_it_is_told(make_jpeg):
    dataset = dataset_of([make_jpeg(), b"text"])
    with refuses("tables.row", row=90, image_id="id1"):
        list(map_images(dataset, lambda image: image.size, row_numbers=[70, 90]))


def test_no_rows():
    assert decode_pixels(dataset_of([]), height=8, width=8).shape == (0, 3, 8, 8)
