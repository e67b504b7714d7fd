"""Starting from another encoder, and learning from one."""

import pytest
import torch

from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.transfer import load_teacher, start_from


def build(**changes) -> DermSimModel:
    return DermSimModel(DermSimConfig(**{"backbone": "test_resnet", "embed_dim": 16, **changes}))


def test_all_but_the_classifier_is_taken_over(engine, checkpoint):
    model = build()
    own = model.classifier.weight.clone()
    start_from(model, checkpoint)
    for name, tensor in engine.model.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(model.state_dict()[name], tensor), name
    assert torch.equal(model.classifier.weight, own)


def test_a_head_of_another_size_stays_random(engine, checkpoint):
    model = build(embed_dim=5)
    last = model.projector[2].weight.clone()
    start_from(model, checkpoint)
    assert torch.equal(model.projector[2].weight, last)
    stems = (next(encoder.backbone.parameters()) for encoder in (model, engine.model))
    assert torch.equal(*stems)


def test_another_backbone_is_refused(checkpoint):
    with pytest.raises(ValueError, match="has the backbone test_resnet; set"):
        start_from(build(backbone="test_efficientnet"), checkpoint)


def test_a_start_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a dermsim checkpoint"):
        start_from(build(), tmp_path)


def test_a_teacher_does_not_learn(engine, checkpoint):
    teacher = load_teacher(checkpoint, engine.processor)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_teacher_of_other_photographs_is_refused(checkpoint):
    processor = DermSimImageProcessor(image_mean=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="was trained on other photographs"):
        load_teacher(checkpoint, processor)


def test_a_teacher_that_sees_colors_another_way_is_refused(engine, checkpoint):
    own = engine.processor
    processor = DermSimImageProcessor(
        image_mean=own.image_mean, image_std=own.image_std, do_color_constancy=True
    )
    with pytest.raises(ValueError, match="color_constancy False: set it so"):
        load_teacher(checkpoint, processor)
