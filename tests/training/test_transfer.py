"""Starting from another encoder."""

import torch
from refusals import refuses

from dermsim.models import DermSimConfig, DermSimModel
from dermsim.training.transfer import start_from


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
    with refuses("transfer.other_backbone", backbone="test_resnet"):
        start_from(build(backbone="test_efficientnet"), checkpoint)


def test_a_start_that_is_not_there_is_an_error(tmp_path):
    with refuses("core_checkpoint.lacks_files", FileNotFoundError):
        start_from(build(), tmp_path)
