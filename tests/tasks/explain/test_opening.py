"""A model opened at a layer: the right place, the right gradient, and the model left alone."""

import copy

import pytest
import torch
from refusals import refuses

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.tasks.explain import ClassTarget, explain, stages
from dermsim.tasks.explain.opening import (
    has_attention,
    open_attention,
    open_model,
    reads_class_token,
    shadow,
)

SIDE = 64


def test_stages_are_timms_own(model, transformers):
    assert stages(model.backbone) == ["act1", "layer1", "layer2", "layer3", "layer4"]
    assert stages(transformers["avg"].backbone)[-1] == "blocks.7"
    assert stages(transformers["token"].backbone)[-1] == "blocks.5.norm1"


def test_the_last_stage_is_where_the_heads_begin(model, pixels):
    cut, named = open_model(model, pixels), open_model(model, pixels, layer=-1)
    torch.testing.assert_close(cut.taps[0][0], named.taps[0][0])
    goals = [ClassTarget(1)] * len(pixels)
    torch.testing.assert_close(cut.gradients(goals)[0][0], named.gradients(goals)[0][0])
    torch.testing.assert_close(cut.output.logits, named.output.logits)


@pytest.mark.parametrize("layer", [0, 2, "layer3.0.conv1", "bn1"])
def test_the_gradient_is_that_of_the_whole_model(model, pixels, layer):
    opened = open_model(model, pixels, layer=layer)
    (gradient,) = opened.gradients([ClassTarget(5)] * len(pixels))[0]
    name = stages(model.backbone)[layer] if isinstance(layer, int) else layer
    own, seen = copy.deepcopy(model), []
    own.backbone.get_submodule(name).register_forward_hook(
        lambda module, inputs, output: seen.append(output) or output.clone()
    )
    logits = own.decode(own.encode(pixels)).logits
    (expected,) = torch.autograd.grad(logits[:, 5].sum(), seen[0])
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(opened.output.logits, logits)


def test_patches_that_nobody_reads_are_not_asked(transformers, pixels):
    """Of a class token, the last block's patches have no gradient: the default looks before it."""
    model = transformers["token"]
    assert reads_class_token(model.backbone) and not reads_class_token(transformers["avg"].backbone)
    goals = [ClassTarget(0)] * len(pixels)
    last = open_model(model, pixels, layer="blocks.5")
    assert not last.as_maps([g for (g,) in last.gradients(goals)])[0].any()
    default = open_model(model, pixels)
    assert default.as_maps([g for (g,) in default.gradients(goals)])[0].any()


def test_an_ensemble_is_opened_in_every_member(ensemble, pixels):
    opened = open_model(ensemble, pixels, layer=-2)
    grids = [tuple(own.shape[2:]) for own in opened.as_maps([tap for (tap,) in opened.taps])]
    assert len(grids) == 3 and grids[2] == (4, 4)
    torch.testing.assert_close(opened.output.logits, ensemble(pixels).logits)
    goals = [ClassTarget(3)] * len(pixels)
    assert all(gradient.any() for (gradient,) in opened.gradients(goals))


def test_what_nothing_depends_on_has_no_evidence(model, pixels):
    opened = open_model(model, pixels)
    (gradient,) = opened.gradients([lambda output: output.logits[:, 0] * 0] * len(pixels))[0]
    assert not gradient.any()


# --- the model is left as it was -----------------------------------------------------------------


def test_a_shadow_shares_weights_and_nothing_else(model):
    twin = shadow(model)
    assert type(twin) is type(model) and twin is not model
    for own, other in zip(model.modules(), twin.modules(), strict=True):
        assert own is not other and type(own) is type(other)
    for (name, own), (same, other) in zip(
        model.named_parameters(), twin.named_parameters(), strict=True
    ):
        assert name == same and own.data_ptr() == other.data_ptr()
        assert own.requires_grad and not other.requires_grad
    twin.backbone.layer4.register_forward_hook(lambda *_: None)
    twin.backbone.layer4.training = True
    assert not model.backbone.layer4._forward_hooks and not model.backbone.layer4.training


def test_a_module_found_twice_is_one_in_the_shadow():
    layer = torch.nn.Linear(2, 2)
    twin = shadow(torch.nn.Sequential(layer, torch.nn.ReLU(), layer))
    assert twin[0] is twin[2] is not layer


def state_of(model):
    """Every attribute of every module by identity, and what its dictionaries hold."""

    def insides(value):
        return {k: id(v) for k, v in value.items()} if isinstance(value, dict) else id(value)

    return {
        name: {key: insides(value) for key, value in vars(module).items()}
        for name, module in model.named_modules()
    }


@pytest.mark.parametrize("method", ["hirescam", "scorecam", "gradattention", "rollout"])
def test_mode_gradients_hooks_and_weights_stay(transformers, pixels, method):
    model = copy.deepcopy(transformers["token"])
    calls = []
    model.backbone.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    model.classifier.weight.grad = torch.ones_like(model.classifier.weight)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = state_of(model)
    fused = [block.attn.fused_attn for block in model.backbone.blocks]
    explain(model, pixels, target=ClassTarget(2), target_name="bkl", method=method)
    assert state_of(model) == before
    assert [block.attn.fused_attn for block in model.backbone.blocks] == fused
    assert all(torch.equal(weights[name], now) for name, now in model.state_dict().items())
    assert torch.equal(model.classifier.weight.grad, torch.ones_like(model.classifier.weight))
    assert all(p.grad is None for n, p in model.named_parameters() if n != "classifier.weight")
    assert all(p.requires_grad for p in model.parameters())
    assert calls, "the caller's own hook no longer ran"


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [5, -6, "layer9", ""])
def test_an_unknown_layer(model, pixels, layer):
    with refuses(
        "opening.no_such_layer",
        kind="ResNet",
        names=["act1", "layer1", "layer2", "layer3", "layer4"],
    ):
        open_model(model, pixels, layer=layer)


def test_a_layer_that_holds_no_map(transformers, pixels):
    backbone = copy.deepcopy(transformers["avg"])

    class Summed(torch.nn.Module):
        def forward(self, tokens):
            return tokens.sum(dim=1)

    backbone.backbone.blocks[0].register_module("sum", Summed())
    backbone.backbone.blocks[0].register_forward_hook(
        lambda module, inputs, output: output + 0 * module.sum(output)[:, None]
    )
    opened = open_model(backbone, pixels, layer="blocks.0.sum")
    with refuses("opening.not_a_map", shape=[3, 64]):
        opened.as_maps([tap for (tap,) in opened.taps])


def test_tokens_that_fill_no_rectangle(transformers, pixels):
    opened = open_model(transformers["avg"], pixels)
    with refuses(
        "opening.no_map",
    ):
        opened.as_maps([opened.taps[0][0][:, :-2]])


def test_a_layer_that_takes_no_part():
    model = DermSimModel(DermSimConfig(backbone="test_resnet", image_size=SIDE)).eval()
    with refuses("opening.unused", places="global_pool"):
        open_model(model, torch.zeros(1, 3, SIDE, SIDE), layer="global_pool")


def test_a_layer_that_runs_twice(model, pixels):
    own = copy.deepcopy(model)
    own.backbone.layer4 = torch.nn.Sequential(
        own.backbone.layer4[0], twice := torch.nn.ReLU(), twice
    )
    with refuses("opening.runs_twice"):
        open_model(own, pixels, layer="layer4.1")


def test_attention_of_a_convolutional_network(model, ensemble, pixels):
    assert not has_attention(model) and not has_attention(ensemble)
    with refuses("opening.no_attention", names=["ResNet"]):
        open_attention(model, pixels)
    with refuses("opening.no_attention", names=["ResNet", "EfficientNet", "VisionTransformer"]):
        open_attention(ensemble, pixels)
