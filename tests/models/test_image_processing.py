import numpy as np
import torch
from PIL import Image
from timm.data import create_transform

from dermsim.models import DermSimImageProcessor


def photograph(width: int = 200, height: int = 150) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def processor(side: int = 64, **options) -> DermSimImageProcessor:
    return DermSimImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, **options
    )


def test_it_is_timms_evaluation_transform():
    ours = processor()
    theirs = create_transform(
        (3, 64, 64),
        interpolation="bicubic",
        crop_pct=1.0,
        mean=tuple(ours.image_mean),
        std=tuple(ours.image_std),
    )
    for size in [(200, 150), (150, 200), (64, 64), (600, 450)]:
        image = photograph(*size)
        expected = theirs(image)[None]
        pixels = ours(image, return_tensors="pt").pixel_values
        torch.testing.assert_close(pixels, expected, atol=1e-5, rtol=0)


def test_a_list_gives_a_batch_whatever_the_sizes():
    images = [photograph(200, 150), photograph(80, 120)]
    batch = processor()(images, return_tensors="pt").pixel_values
    assert batch.shape == (2, 3, 64, 64)
    assert batch.dtype == torch.float32
    assert torch.equal(batch[1:], processor()(images[1], return_tensors="pt").pixel_values)


def test_settings_travel_with_the_weights(tmp_path):
    processor(96, image_mean=[0.1, 0.2, 0.3], image_std=[1, 2, 3]).save_pretrained(tmp_path)
    again = DermSimImageProcessor.from_pretrained(tmp_path)
    assert again.size["shortest_edge"] == again.crop_size["height"] == 96
    assert list(again.image_mean) == [0.1, 0.2, 0.3]
    assert torch.equal(
        again(photograph(), return_tensors="pt").pixel_values,
        processor(96, image_mean=[0.1, 0.2, 0.3], image_std=[1, 2, 3])(
            photograph(), return_tensors="pt"
        ).pixel_values,
    )
