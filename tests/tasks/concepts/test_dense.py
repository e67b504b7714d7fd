"""Dense heads: the fast way gives what the obvious way gives."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refuses

from dermsim.tasks.concepts.dense import DenseHead, on_grid


@pytest.fixture
def head():
    rng = np.random.default_rng(0)
    return DenseHead(
        tuple(rng.normal(size=(4, c)).astype(np.float32) for c in (3, 5)),
        rng.normal(size=4).astype(np.float32),
        rng.normal(size=(2, 4)).astype(np.float32),
        rng.normal(size=2).astype(np.float32),
        8,
    )


@pytest.fixture
def maps():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(3, c, s, s)).astype(np.float32) for c, s in ((3, 8), (5, 3))]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (20, 7)])
def test_interpolation_is_torchs(size):
    values = np.random.default_rng(0).normal(size=(2, *size)).astype(np.float32)
    expected = F.interpolate(
        torch.from_numpy(values)[None], size=(8, 8), mode="bilinear", align_corners=False
    )[0].numpy()
    np.testing.assert_allclose(on_grid(values, 8), expected, atol=1e-5)


def test_it_is_a_perceptron_over_hypercolumns(head, maps):
    columns = np.concatenate([on_grid(stage, 8) for stage in maps], axis=1)
    weight = np.concatenate(head.laterals, axis=1)
    expected = np.zeros((3, 2, 8, 8))
    for picture in range(3):
        for row in range(8):
            for column in range(8):
                hidden = weight @ columns[picture, :, row, column] + head.hidden_bias
                own = head.output @ np.maximum(hidden, 0) + head.output_bias
                expected[picture, :, row, column] = own
    np.testing.assert_allclose(head(maps), expected, atol=1e-4)


def test_one_picture_is_as_many(head, maps):
    alone = np.concatenate([head([stage[i : i + 1] for stage in maps]) for i in range(3)])
    np.testing.assert_allclose(head(maps), alone, atol=1e-5)


def test_it_is_rebuilt_from_its_arrays(head, maps):
    again = DenseHead.from_arrays(head.arrays("x"), "x", grid=8)
    np.testing.assert_array_equal(again(maps), head(maps))
    with refuses("concepts_dense.lacks", name="y"):
        DenseHead.from_arrays(head.arrays("x"), "y", grid=8)


def test_maps_of_another_encoder_are_refused(head, maps):
    with refuses("concepts_dense.other_encoder", widths=[3, 5], maps=[3]):
        head(maps[:1])


def test_layers_that_do_not_fit_are_refused(head):
    with refuses("concepts_dense.layers"):
        DenseHead(head.laterals, head.hidden_bias[:3], head.output, head.output_bias, 8)
    with refuses("concepts_dense.not_finite"):
        DenseHead(head.laterals, head.hidden_bias * np.nan, head.output, head.output_bias, 8)
