"""Photographs prepared without transformers' image processors: the same numbers, the same name."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refuses

from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimNetwork
from dermsim.models.encode import fingerprint
from dermsim.models.preparation import ImagePreparation

SETTINGS = [
    {},
    {"do_color_constancy": True},
    {"size": {"shortest_edge": 64}, "crop_size": {"width": 64, "height": 64}, "resample": 2},
    {"size": {"shortest_edge": 48}, "crop_size": {"height": 40, "width": 64}},
    {"size": {"longest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
    {"size": {"longest_edge": 80}, "crop_size": {"height": 64, "width": 64}, "resample": 2},
    {
        "size": {"longest_edge": 64},
        "crop_size": {"height": 64, "width": 64},
        "do_color_constancy": True,
    },
    {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3], "rescale_factor": 0.01},
]


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (height, width, channels) if channels > 1 else (height, width)
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(values, mode)


@pytest.fixture
def folder(tmp_path):
    DermSimImageProcessor().save_pretrained(tmp_path)
    return tmp_path


def edit(folder, **values):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_gives_bit_for_bit_what_the_image_processor_gives(settings, tmp_path):
    processor = DermSimImageProcessor(**settings)
    processor.save_pretrained(tmp_path)
    preparation = ImagePreparation.load(tmp_path)
    pictures = [photograph(*size) for size in ((600, 450), (40, 70), (112, 112), (333, 501))]
    pictures += [photograph(90, 60, mode) for mode in ("L", "RGBA")]
    for picture in pictures:
        ours = preparation(picture, return_tensors="pt").pixel_values
        theirs = processor(picture, return_tensors="pt").pixel_values
        assert ours.dtype == theirs.dtype == torch.float32
        assert torch.equal(ours, theirs)
    together = preparation(pictures, return_tensors="np").pixel_values
    np.testing.assert_array_equal(
        together, processor(pictures, return_tensors="np").pixel_values, strict=True
    )


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_encoder_has_one_name_whichever_prepares_its_pictures(settings, tmp_path):
    network = DermSimNetwork(DermSimConfig(backbone="test_resnet", embed_dim=8))
    processor = DermSimImageProcessor(**settings)
    processor.save_pretrained(tmp_path)
    preparation = ImagePreparation.load(tmp_path)
    assert fingerprint(network, preparation) == fingerprint(network, processor)


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_written_as_an_image_processor(settings, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    DermSimImageProcessor(**settings).save_pretrained(tmp_path / "first")
    ImagePreparation.load(tmp_path / "first").to_processor().save_pretrained(tmp_path / "second")
    first, second = (
        json.loads((tmp_path / name / "preprocessor_config.json").read_text())
        for name in ("first", "second")
    )
    assert first == second


def test_the_defaults_are_the_image_processors():
    assert ImagePreparation().to_processor().to_dict() == DermSimImageProcessor().to_dict()


def test_what_a_folder_leaves_out_is_the_default(folder):
    (folder / "preprocessor_config.json").write_text('{"image_std": [1, 1, 1]}')
    assert ImagePreparation.load(folder) == ImagePreparation(image_std=(1, 1, 1))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"size": 112}, "size is 112, but must name shortest_edge"),
        ({"size": {"height": 9, "width": 9}}, "but must name shortest_edge"),
        ({"size": {"shortest_edge": 9, "longest_edge": 9}}, "name shortest_edge or longest_edge"),
        ({"size": {"longest_edge": 1.5}}, "must be whole pixels, at least 1"),
        ({"size": {"shortest_edge": 0}}, "must be whole pixels, at least 1"),
        ({"size": {"shortest_edge": True}}, "must be whole pixels"),
        ({"crop_size": {"height": 9}}, "but must name height and width"),
        ({"crop_size": {"height": 9, "width": 9.5}}, "must be whole pixels"),
        ({"resample": 77}, "resample is 77, but must be one of PIL's filters"),
        ({"resample": "bicubic"}, "must be one of PIL's filters"),
        ({"rescale_factor": 0}, "rescale_factor is 0, but must be positive"),
        ({"image_mean": 0.5}, "image_mean is 0.5, but must be three numbers"),
        ({"image_mean": [0, 0, float("nan")]}, "must be three numbers"),
        ({"image_mean": "abc"}, "must be three numbers"),
        ({"image_std": [1, 1, 0]}, "image_std is [1, 1, 0], but must be three positive numbers"),
        ({"do_color_constancy": "yes"}, "do_color_constancy is 'yes', but must be true or false"),
        ({"do_normalize": False}, "sets do_normalize to False"),
        ({"do_pad": True}, "sets do_pad to True"),
    ],
)
def test_settings_that_no_encoder_has_are_refused(folder, values, words):
    edit(folder, **values)
    with pytest.raises(ValueError) as caught:
        ImagePreparation.load(folder)
    said = str(caught.value)
    assert words in said and said.endswith(".") and "\n" not in said


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("", "storage.not_json"),
        ("[1]", "preparation.not_an_object"),
        ("null", "preparation.not_an_object"),
        ("[" * 100_000, "storage.not_json"),
    ],
)
def test_what_is_no_json_object_is_refused(folder, content, key):
    (folder / "preprocessor_config.json").write_text(content)
    with refuses(key, name="preprocessor_config.json"):
        ImagePreparation.load(folder)
