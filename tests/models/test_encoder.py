import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from refusals import refuses
from safetensors.torch import load_file
from transformers import AutoModel

from dermsim.evaluation.explanations.untrained import untrained
from dermsim.models import (
    DermSimConfig,
    DermSimImageProcessor,
    DermSimModel,
    DermSimNetwork,
)
from dermsim.models.encoder import (
    as_pretrained,
    build_encoder,
    copy_encoder,
    join_encoders,
    load_encoder,
    redraw_encoder,
    round_to_half,
    save_encoder,
)
from dermsim.models.shipped_sources import shipped_sources
from dermsim.models.undrawn import UndrawnWeights


@pytest.fixture
def model() -> DermSimModel:
    return DermSimModel(DermSimConfig(backbone="test_resnet", embed_dim=8, image_size=32)).eval()


def same(first: DermSimModel, second: DermSimModel) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_every_encoder_has_members_saved_or_not(model, tmp_path):
    other = build_encoder(backbone="test_efficientnet", embed_dim=4, image_size=32).eval()
    joined = join_encoders([model, other])
    for name, whole, count in (("one", model, 1), ("two", joined, 2)):
        save_encoder(whole, DermSimImageProcessor(), tmp_path / name)
        loaded, _ = load_encoder(tmp_path / name)
        assert len(whole.members) == len(loaded.members) == count
        assert all(isinstance(member, DermSimNetwork) for member in loaded.members)
    assert model.members == (model,)
    backbones = [member.config.backbone for member in loaded.members]
    assert backbones == ["test_resnet", "test_efficientnet"]


def test_a_copy_has_the_weights_and_its_own_memory(model):
    before = torch.random.get_rng_state()
    other = copy_encoder(model)
    assert torch.equal(torch.random.get_rng_state(), before), "nothing was drawn"
    assert same(model, other) and not other.training and copy_encoder(model.train()).training
    with torch.no_grad():
        other.classifier.bias += 1
    assert not same(model, other)


def test_a_copy_may_have_fewer_outputs():
    names = dict(enumerate((*"abc", "of its own")))
    model = build_encoder(
        backbone="test_resnet", embed_dim=4, image_size=32, id2label=names, facts_dim=23
    ).eval()
    with torch.no_grad():
        model.facts_head.output.weight.normal_()
    other = copy_encoder(model, outputs=3)
    assert other.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert other.config.label2id == {"a": 0, "b": 1, "c": 2}
    pixels, facts = torch.randn(2, 3, 32, 32), torch.rand(2, 23)
    with torch.inference_mode():
        ours, theirs = model(pixels, facts=facts), other(pixels, facts=facts)
    assert torch.equal(other.classifier.weight, model.classifier.weight[:3])
    assert torch.equal(other.facts_head.output.weight, model.facts_head.output.weight[:3])
    # a product with fewer rows may be summed in another order
    torch.testing.assert_close(theirs.logits, ours.logits[:, :3])
    assert not other.training
    assert torch.equal(theirs.embeddings, ours.embeddings)
    assert model.config.num_labels == 4, "the other stays as it was"


def test_an_encoder_drawn_again_has_the_shape_alone(model):
    other = redraw_encoder(model)
    ours, theirs = model.state_dict(), other.state_dict()
    assert {name: t.shape for name, t in ours.items()} == {n: t.shape for n, t in theirs.items()}
    assert not same(model, other)


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
    with refuses("encoder.half_precision", name="classifier.bias"):
        round_to_half(model)


# --- without transformers' models ----------------------------------------------------------------

RELEASED = Path(__file__).parents[2] / "hub" / "dermsim-ham10000"

BUFFERS = {  # backbones with buffers that are not kept with the weights
    "swin_tiny_patch4_window7_224": {"img_size": 64, "embed_dim": 12, "depths": (2, 1, 1, 1)},
    "test_vit4": {"img_size": 64},
    "resnet18": None,
}


@pytest.mark.parametrize("backbone", BUFFERS)
def test_the_network_is_the_model_to_the_last_buffer(backbone, tmp_path):
    config = DermSimConfig(
        backbone=backbone, backbone_kwargs=BUFFERS[backbone], embed_dim=8, image_size=64
    )
    save_encoder(DermSimModel(config).eval(), DermSimImageProcessor(), tmp_path)
    network, _ = load_encoder(tmp_path)
    assert type(network) is DermSimNetwork and not network.training
    whole = DermSimModel.from_pretrained(tmp_path).eval()
    assert same(network, whole)
    ours, theirs = dict(network.named_buffers()), dict(whole.named_buffers())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    pixels = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        # Transformers leaves weights where they lie in the file, at addresses of any alignment, for
        # which kernels add up in another order; a copy is aligned as the network's own are.
        first, second = network(pixels), deepcopy(whole)(pixels)
    for name in ("logits", "embeddings", "features", "pooled_features"):
        assert torch.equal(first[name], second[name]), name


def test_a_backbone_of_the_above_has_buffers_that_are_not_kept():
    config = DermSimConfig(
        backbone="swin_tiny_patch4_window7_224",
        backbone_kwargs=BUFFERS["swin_tiny_patch4_window7_224"],
        image_size=64,
    )
    network = DermSimNetwork(config)
    assert {name for name, _ in network.named_buffers()} - network.state_dict().keys()


def test_loading_draws_no_random_numbers(model, tmp_path):
    save_encoder(model, DermSimImageProcessor(), tmp_path)
    before = torch.random.get_rng_state()
    load_encoder(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    DermSimNetwork(model.config)
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_a_truncated_normal_distribution_is_not_waited_for():
    memory = torch.full((4,), 9.0)  # out of bounds, as what memory happens to hold may be
    with UndrawnWeights():
        torch.nn.init.trunc_normal_(memory, std=0.05)
    assert not memory.any()


def test_what_was_loaded_is_written_as_it_was(model, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    round_to_half(model)
    save_encoder(model, DermSimImageProcessor(), tmp_path / "first")
    save_encoder(*load_encoder(tmp_path / "first"), tmp_path / "second")
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("first", "second")
    )
    assert first == second
    sources = shipped_sources("modeling_dermsim", "image_processing_dermsim")
    assert {name for name in first if name.endswith(".py")} == sources.keys()


def test_a_network_becomes_a_model_with_its_own_weights(model, tmp_path):
    save_encoder(model, DermSimImageProcessor(), tmp_path)
    network, _ = load_encoder(tmp_path)
    whole = as_pretrained(network)
    assert isinstance(whole, DermSimModel) and not whole.training
    assert same(network, whole)
    with torch.no_grad():
        whole.classifier.bias.add_(1)
    assert not same(network, whole)
    assert as_pretrained(whole) is whole


def test_the_released_folder_ships_the_packages_source():
    shipped = {path.name: path.read_text(encoding="utf-8") for path in RELEASED.glob("*.py")}
    assert shipped == shipped_sources("modeling_dermsim", "image_processing_dermsim")


def test_an_untrained_encoder_starts_as_training_does(model, tmp_path):
    save_encoder(model, DermSimImageProcessor(), tmp_path)
    network, _ = load_encoder(tmp_path)
    fresh = untrained(network, seed=3)
    assert same(fresh, untrained(model, seed=3))
    assert not same(fresh, network)
    assert not fresh.classifier.bias.any()  # as `DermSimModel` draws it, not as torch does
