"""The figures a run is steered by."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from dermsim.core.metrics import balanced_accuracy
from dermsim.models import DermSimImageProcessor
from dermsim.training.validation import Validation

SIDE = {"height": 32, "width": 32}


def test_it_scores_classifier_and_neighbours(synthetic):
    rows = synthetic["validation"]
    processor = DermSimImageProcessor(size={"shortest_edge": 32}, crop_size=SIDE)
    validation = Validation.load(rows, processor)
    assert validation.pixel_values.shape == (len(rows), 3, 32, 32)
    assert len(validation) == len(rows)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(rows), 7, generator=generator)
    truth = torch.nn.functional.one_hot(torch.tensor(rows["dx"]), 7).float()
    figures = validation.score(logits, truth)
    by_hand = balanced_accuracy(np.array(rows["dx"]), logits.argmax(dim=1).numpy(), 7)
    assert figures["validation/balanced_accuracy"] == by_hand
    by_reference = roc_auc_score(rows["dx"], logits.softmax(dim=1).numpy(), multi_class="ovr")
    assert figures["validation/mean_auc"] == pytest.approx(by_reference)
    # By their diagnosis the images are perfectly told apart, where a class has two lesions.
    assert figures["validation/knn_balanced_accuracy"] > 0.8
