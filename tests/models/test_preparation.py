"""Photographs prepared without transformers' image processors: the same numbers, the same name."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refuses

from dermsim.core.refused import Phrase
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
    {"size": {"height": 64, "width": 64}, "crop_size": {"height": 64, "width": 64}},
    {"size": {"width": 80, "height": 70}, "crop_size": {"height": 64, "width": 64}, "resample": 2},
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
        ({"size": 112}, Phrase("preparation.size", size=112)),
        ({"size": {"height": 9}}, "preparation.size"),
        ({"size": {"shortest_edge": 9, "longest_edge": 9}}, "preparation.size"),
        ({"size": {"longest_edge": 1.5}}, "preparation.pixels"),
        ({"size": {"shortest_edge": 0}}, "preparation.pixels"),
        ({"size": {"shortest_edge": True}}, "preparation.pixels"),
        ({"crop_size": {"height": 9}}, "preparation.crop_size"),
        ({"crop_size": {"height": 9, "width": 9.5}}, "preparation.pixels"),
        ({"resample": 77}, Phrase("preparation.resample", resample=77)),
        ({"resample": "bicubic"}, "preparation.resample"),
        ({"rescale_factor": 0}, Phrase("preparation.rescale_factor", rescale_factor=0)),
        ({"image_mean": 0.5}, Phrase("preparation.three", name="image_mean", value=0.5)),
        ({"image_mean": [0, 0, float("nan")]}, "preparation.three"),
        ({"image_mean": "abc"}, "preparation.three"),
        (
            {"image_std": [1, 1, 0]},
            Phrase("preparation.three_positive", name="image_std", value=[1, 1, 0]),
        ),
        (
            {"do_color_constancy": "yes"},
            Phrase("preparation.color_constancy", do_color_constancy="yes"),
        ),
        ({"do_normalize": False}, Phrase("preparation.step", step="do_normalize", value=False)),
        ({"do_pad": True}, Phrase("preparation.step", step="do_pad", value=True)),
    ],
)
def test_settings_that_no_encoder_has_are_refused(folder, values, words):
    edit(folder, **values)
    with refuses(words) as caught:
        ImagePreparation.load(folder)
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said


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
