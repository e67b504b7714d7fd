import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.pretrained import load_encoder, round_to_half, save_encoder


@pytest.fixture
def model() -> DermSimModel:
    return DermSimModel(DermSimConfig(backbone="test_resnet", embed_dim=8, image_size=32)).eval()


def same(first: DermSimModel, second: DermSimModel) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


@pytest.mark.parametrize("rounded", [True, False])
def test_an_encoder_comes_back_bit_for_bit(model, rounded, tmp_path):
    if rounded:
        round_to_half(model)
    save_encoder(model, DermSimImageProcessor(), tmp_path)
    again, _ = load_encoder(tmp_path)
    assert again.dtype == torch.float32
    assert same(model, again)


def test_rounded_weights_take_half_the_space_and_are_computed_in_full(model, tmp_path):
    save_encoder(model, DermSimImageProcessor(), tmp_path / "full")
    round_to_half(model)
    save_encoder(model, DermSimImageProcessor(), tmp_path / "half")
    sizes = [(tmp_path / kind / "model.safetensors").stat().st_size for kind in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    stored = load_file(tmp_path / "half" / "model.safetensors")
    assert stored["classifier.weight"].dtype == torch.float16
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "float32"
    assert AutoModel.from_pretrained(tmp_path / "half").dtype == torch.float32


def test_rounding_moves_weights_by_less_than_a_thousandth(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    round_to_half(model)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-3, atol=1e-7)


def test_weights_too_large_for_half_precision_are_named(model):
    with torch.no_grad():
        model.classifier.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"classifier\.bias do not fit half precision"):
        round_to_half(model)
