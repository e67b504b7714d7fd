"""A classifier for an encoder that never saw a diagnosis."""

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.encode import encode
from dermsim.training.probe import fit_classifier

SIDE = {"height": 64, "width": 64}


@pytest.fixture
def encoder():
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        model = DermSimModel(DermSimConfig(backbone="test_resnet", embed_dim=8)).eval()
    return model, DermSimImageProcessor(size={"shortest_edge": 64}, crop_size=SIDE)


def test_it_learns_what_the_features_tell(encoder, synthetic):
    model, processor = encoder
    rows = synthetic["train"]
    before = encode(model, processor, rows["image"])
    fit_classifier(model, processor, rows, strength=1.0)
    after = encode(model, processor, rows["image"])
    labels = np.array(rows["dx"])
    assert np.array_equal(before.pooled_features, after.pooled_features)
    accuracy = [(e.logits.argmax(axis=1) == labels).mean() for e in (before, after)]
    assert accuracy[1] > max(0.6, accuracy[0] + 0.2)


def test_a_missing_diagnosis_is_named(encoder, synthetic):
    rows = synthetic["train"].filter(lambda dx: dx != 3, input_columns="dx")
    with refuses("probe.no_image", missing="df"):
        fit_classifier(*encoder, rows)
