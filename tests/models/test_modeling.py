"""The encoder: layouts of different backbones, round trips, refusals."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from dermsim.labels import CODES
from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.configuration_dermsim import DIAGNOSIS_CODES

BACKBONES = {
    "test_resnet": None,
    "test_convnext": None,
    "test_vit": {"img_size": 64},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "embed_dim": 12, "depths": (1, 1, 1, 1)},
}


def tiny(backbone: str = "test_resnet", **options) -> DermSimModel:
    config = DermSimConfig(
        backbone=backbone,
        backbone_kwargs=BACKBONES.get(backbone),
        embed_dim=16,
        image_size=64,
        **options,
    )
    return DermSimModel(config).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_any_backbone_gives_every_output(backbone, images):
    with torch.inference_mode():
        output = tiny(backbone)(images)
    assert output.logits.shape == (3, 7)
    assert output.embeddings.shape == (3, 16)
    assert output.pooler_output is output.embeddings
    assert output.pooled_features.ndim == 2
    width = output.features.shape[1]
    assert output.features.shape == (3, width, *output.features.shape[2:])
    assert output.features.ndim == 4
    torch.testing.assert_close(output.embeddings.norm(dim=1), torch.ones(3))
    assert output.loss is None


@pytest.mark.parametrize("backbone", BACKBONES)
def test_saved_and_loaded_weights_answer_alike(backbone, images, tmp_path):
    model = tiny(backbone)
    model.save_pretrained(tmp_path)
    again = DermSimModel.from_pretrained(tmp_path)
    with torch.inference_mode():
        first, second = model(images), again(images)
    for name in ("logits", "embeddings", "features"):
        assert torch.equal(first[name], second[name]), name


def test_encode_then_decode_is_forward(images):
    model = tiny()
    with torch.inference_mode():
        assert torch.equal(model.decode(model.encode(images)).logits, model(images).logits)


def test_one_image_is_a_row_of_many(images):
    model = tiny()
    with torch.inference_mode():
        alone, together = model(images[1:2]), model(images)
    torch.testing.assert_close(alone.embeddings, together.embeddings[1:2])
    torch.testing.assert_close(alone.logits, together.logits[1:2])


def test_labels_give_the_cross_entropy(images):
    labels = torch.tensor([0, 3, 6])
    output = tiny()(images, labels=labels)
    expected = torch.nn.functional.cross_entropy(output.logits, labels)
    torch.testing.assert_close(output.loss, expected)


def test_a_tuple_on_request_starts_with_the_logits(images):
    model = tiny()
    torch.testing.assert_close(model(images, return_dict=False)[0], model(images).logits)


def test_heads_are_initialised_and_the_backbone_keeps_timms_weights():
    model = tiny()
    assert model.classifier.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not model.classifier.bias.any()
    # transformers' default would make every convolution N(0, 0.02).
    assert next(model.backbone.parameters()).std().item() > 0.05


def test_the_seven_diagnoses_are_those_of_the_labels():
    config = DermSimConfig()
    assert DIAGNOSIS_CODES == CODES
    assert tuple(config.id2label.values()) == CODES
    assert config.label2id == {code: index for index, code in enumerate(CODES)}
    assert config.num_labels == 7


def test_other_classes_are_possible(tmp_path):
    config = DermSimConfig(id2label={0: "benign", 1: "malignant"}, label2id={})
    config.save_pretrained(tmp_path)
    assert DermSimConfig.from_pretrained(tmp_path).id2label == {0: "benign", 1: "malignant"}


def test_auto_classes_know_dermsim(tmp_path):
    tiny().save_pretrained(tmp_path)
    DermSimImageProcessor().save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), DermSimConfig)
    assert isinstance(AutoModel.from_pretrained(tmp_path), DermSimModel)
    assert isinstance(AutoModelForImageClassification.from_pretrained(tmp_path), DermSimModel)
    assert isinstance(AutoImageProcessor.from_pretrained(tmp_path), DermSimImageProcessor)


def test_config_is_plain_json(tmp_path):
    tiny().save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "dermsim"
    assert written["backbone"] == "test_resnet"
    assert written["dtype"] == "float32"


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (2, 64, 64, 3)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \(B, 3, H, W\)"):
        tiny()(torch.zeros(shape))


@pytest.mark.parametrize(
    "wrong", [{"embed_dim": 0}, {"image_size": 0}, {"drop_rate": 1.0}, {"drop_rate": -0.1}]
)
def test_impossible_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        DermSimConfig(**wrong)
