"""What can be explained of an output."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.labels import CODES, LABEL2ID, MALIGNANT
from dermsim.tasks.classify import Calibration, OperatingPoint
from dermsim.tasks.explain import (
    ClassTarget,
    EnrolledTarget,
    MalignancyTarget,
    SimilarityTarget,
)
from dermsim.tasks.explain.targets import score_each

COLUMNS = tuple(LABEL2ID[code] for code in MALIGNANT)


@pytest.fixture
def output():
    generator = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        logits=4 * torch.randn(5, 7, generator=generator),
        embeddings=torch.randn(5, 3, generator=generator),
        pooled_features=torch.randn(5, 4, generator=generator),
    )


def test_malignancy_is_the_log_odds_of_the_calibrated_probability(output):
    calibration = Calibration(
        temperature=1.7,
        alpha=0.1,
        set_thresholds=dict.fromkeys(CODES, 0.9),
        operating_points={
            name: OperatingPoint(0.5, 0.9, 0.9) for name in ("balanced", "sensitivity_95")
        },
    )
    probabilities = calibration.probabilities(output.logits.numpy())
    malignancy = calibration.malignancy(probabilities)
    expected = 1.7 * np.log(malignancy / (1 - malignancy))
    found = MalignancyTarget(COLUMNS, calibration.temperature)(output)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_of_two_classes_malignancy_is_the_difference_of_the_logits():
    logits = torch.tensor([[3.0, 1.0]])
    for temperature in (0.5, 1.0, 3.0):
        found = MalignancyTarget((0,), temperature)(SimpleNamespace(logits=logits))
        assert found.item() == pytest.approx(2.0)


def test_likeness_is_the_cosine(output):
    case = np.array([1.0, -2.0, 0.5])
    found = SimilarityTarget(case)(output)
    rows = output.embeddings.numpy()
    expected = rows @ case / np.linalg.norm(rows, axis=1) / np.linalg.norm(case)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_an_enrolled_class_is_the_mean_likeness_to_the_nearest_of_its_directions(output):
    rng = np.random.default_rng(0)
    directions, center, scale = rng.normal(size=(3, 4)), rng.normal(size=4), rng.uniform(1, 2, 4)
    target = EnrolledTarget("pooled_features", directions, 2, center, scale)
    rows = (output.pooled_features.numpy() - center) / scale
    likeness = rows / np.linalg.norm(rows, axis=1, keepdims=True) @ directions.T
    expected = np.sort(likeness, axis=1)[:, -2:].mean(axis=1)
    np.testing.assert_allclose(target(output).numpy(), expected, rtol=1e-5)
    plain = EnrolledTarget("embeddings", np.eye(3)[:1])(output)
    rows = output.embeddings.numpy()
    np.testing.assert_allclose(plain, rows[:, 0] / np.linalg.norm(rows, axis=1), rtol=1e-5)
    with refuses("targets.class_dimensions", own=4, field="embeddings", expected=3):
        EnrolledTarget("embeddings", directions)(output)


def test_each_row_is_asked_for_its_owners_target(output):
    targets = [ClassTarget(0), SimilarityTarget(np.ones(3)), ClassTarget(6)]
    owners = [2, 0, 0, 1, 2]
    found = score_each(targets, output, owners)
    expected = [targets[owner](output)[row] for row, owner in enumerate(owners)]
    assert found.tolist() == [value.item() for value in expected]


class TestErrors:
    @pytest.mark.parametrize("index", [-1, 7])
    def test_class_outside_the_model(self, output, index):
        for target in (ClassTarget(index), MalignancyTarget((0, index))):
            with refuses("targets.index", last=6, index=index):
                target(output)

    def test_malignancy_of_nothing_or_of_everything(self, output):
        with refuses("targets.no_malignant"):
            MalignancyTarget(())
        with refuses("targets.no_benign"):
            MalignancyTarget(tuple(range(7)))(output)
        with refuses("targets.temperature", temperature=0):
            MalignancyTarget((0,), 0)

    def test_embedding_of_another_model(self, output):
        with refuses("targets.embedding_dimensions", count=5, dimensions=3):
            SimilarityTarget(np.ones(5))(output)

    @pytest.mark.parametrize("embedding", [np.zeros(4), np.array([1.0, np.nan])])
    def test_embedding_without_direction(self, embedding):
        with refuses("targets.not_finite"):
            SimilarityTarget(embedding)

    def test_several_embeddings(self):
        with refuses("targets.shape", shape=[2, 4]):
            SimilarityTarget(np.ones((2, 4)))

    def test_more_than_one_scalar(self, output):
        with refuses("targets.scalars", rows=5, shape=[5, 7]):
            score_each([lambda output: output.logits], output, [0] * 5)
