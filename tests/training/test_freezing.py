"""Stages that rest, and the rates at which weights learn."""

from itertools import pairwise

import pytest
import torch
from refusals import refuses

from dermsim.models import DermSimConfig, DermSimModel
from dermsim.training.config import FreezeConfig
from dermsim.training.freezing import Freezing, parameter_groups


def build(backbone: str = "test_resnet") -> DermSimModel:
    return DermSimModel(DermSimConfig(backbone=backbone, embed_dim=8))


def learning(model: DermSimModel) -> set[str]:
    return {
        name.split(".")[0]
        for name, parameter in model.backbone.named_parameters()
        if parameter.requires_grad
    }


def test_the_backbone_rests_then_wakes_from_its_end():
    model = build()
    freezing = Freezing(model, FreezeConfig(epochs=2, unfreeze_epochs=3), epochs=7, random=True)
    woken = []
    for epoch in range(7):
        model.train()
        freezing.apply(epoch)
        woken.append(learning(model))
    assert woken[:2] == [set(), set()]
    assert "layer4" in woken[2]
    assert "conv1" not in woken[2]
    assert all(earlier <= later for earlier, later in pairwise(woken))
    assert woken[4] == woken[6] == learning(build())
    assert all(p.requires_grad for p in model.classifier.parameters())


def test_some_stages_never_wake():
    model = build("legacy_xception")
    freezing = Freezing(model, FreezeConfig(never=12), epochs=9, random=False)
    model.train()
    freezing.apply(100)
    assert learning(model) == {"block12", "conv3", "bn3", "conv4", "bn4"}


def test_nothing_rests_by_default():
    model = build()
    freezing = Freezing(model, FreezeConfig(), epochs=9, random=True)
    model.train()
    freezing.apply(0)
    assert learning(model) == learning(build())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_vit"])
def test_what_rests_does_not_move(backbone):
    model = build(backbone)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW(
        parameter_groups(model, learning_rate=0.1, backbone_rate=1, weight_decay=0.1)
    )
    model.train()
    Freezing(model, FreezeConfig(epochs=1), epochs=1, random=False).apply(0)
    size = model.backbone.default_cfg["input_size"][1]
    pixels = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))
    output = model(pixels)
    (output.logits.square().sum() + output.embeddings[:, 0].sum()).backward()
    optimizer.step()
    after = model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any(name.startswith("backbone.") for name in moved)


def test_more_stages_than_there_are_is_an_error():
    with refuses("freezing.never", never=99, backbone="test_resnet"):
        Freezing(build(), FreezeConfig(never=99), epochs=9, random=True)


def test_random_weights_that_never_learn_are_refused():
    with refuses("freezing.knows_nothing"):
        Freezing(build(), FreezeConfig(epochs=3), epochs=3, random=True)


def test_every_weight_is_in_one_group_with_its_rate():
    model = build()
    groups = parameter_groups(model, learning_rate=0.4, backbone_rate=0.25, weight_decay=0.05)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    for group in groups:
        for parameter in group["params"]:
            assert group["lr"] == (0.1 if id(parameter) in backbone else 0.4)
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0)
