import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from dermsim.models import DermSimImageProcessor
from dermsim.models.image_processing_dermsim import shades_of_grey


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


def test_the_color_of_the_light_is_taken_off():
    lamp = np.array([1.3, 0.9, 0.7], dtype=np.float32)[:, None, None]
    scene = np.random.default_rng(0).uniform(0.1, 0.7, (3, 20, 30)).astype(np.float32)
    seen = [shades_of_grey(image) for image in (scene, scene * lamp, 255 * scene * lamp)]
    # Whatever the lamp, the picture is the same but for its brightness.
    ratio = seen[1] / seen[0]
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(seen[2], 255 * seen[1], rtol=1e-5)
    light = (seen[0].astype(np.float64) ** 6).mean(axis=(1, 2))
    np.testing.assert_allclose(light, light[0], rtol=1e-4)


@pytest.mark.parametrize("dark", [[0, 1, 2], [1]])
def test_a_channel_without_light_has_no_color_to_take_off(dark):
    image = np.full((3, 4, 4), 100, dtype=np.uint8)
    image[dark] = 0
    assert np.array_equal(shades_of_grey(image), image)


def test_color_constancy_is_the_processors_choice_and_travels(tmp_path):
    processor(do_color_constancy=True).save_pretrained(tmp_path)
    constant = DermSimImageProcessor.from_pretrained(tmp_path)
    assert constant.do_color_constancy
    reddish = Image.fromarray((np.asarray(photograph()) * [1, 0.6, 0.5]).astype(np.uint8))

    def colors(*arguments, **options) -> torch.Tensor:
        pixels = constant(*arguments, return_tensors="pt", **options).pixel_values[0]
        mean, std = (torch.tensor(v) for v in (constant.image_mean, constant.image_std))
        return (pixels * std[:, None, None] + mean[:, None, None]).mean((1, 2))

    assert colors(reddish).std() < 0.02 < 0.1 < colors(reddish, do_color_constancy=False).std()
    plain = processor()(reddish, return_tensors="pt").pixel_values
    off = constant(reddish, return_tensors="pt", do_color_constancy=False).pixel_values
    assert torch.equal(plain, off)
    # What is not asked for is left out with it, too.
    whole = constant(reddish, return_tensors="pt", do_resize=False, do_center_crop=False)
    assert whole.pixel_values.shape == (1, 3, 150, 200)
