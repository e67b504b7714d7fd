"""Several depths of an encoder, in one pass that changes nothing else."""

import numpy as np
import pytest
import torch

from dermsim.data.synthetic import draw_lesion
from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.encode import encode
from dermsim.models.encoder import join_encoders
from dermsim.models.stages import DEPTHS, encode_depths, has_stages, sum_up


def tiny(seed=0):
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        config = DermSimConfig(backbone="test_resnet", embed_dim=8, image_size=32)
        return DermSimModel(config).eval()


@pytest.fixture(scope="module")
def pixels():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("members", [1, 2])
def test_the_answer_is_the_same_as_without(pixels, members):
    model = tiny() if members == 1 else join_encoders([tiny(0), tiny(1)]).eval()
    assert has_stages(model)
    with torch.inference_mode():
        plain, (output, maps) = model(pixels), encode_depths(model, pixels)
    for name in ("logits", "embeddings", "pooled_features"):
        torch.testing.assert_close(getattr(output, name), getattr(plain, name))
    assert len(maps) == DEPTHS * members
    assert all(m.ndim == 4 and len(m) == 3 for m in maps)


def test_maps_are_the_last_stages_from_fine_to_coarse(pixels):
    model = tiny()
    with torch.inference_mode():
        _, maps = encode_depths(model, pixels)
        every = model(pixels, output_hidden_states=True).hidden_states
    for kept, stage in zip(maps, every[-DEPTHS:], strict=True):
        torch.testing.assert_close(kept, stage)
    sides = [m.shape[-1] for m in maps]
    assert sides == sorted(sides, reverse=True)


def test_the_summary_is_pooled_features_means_and_spreads():
    pooled = torch.rand(2, 4)
    stages = [torch.rand(2, 3, 5, 5), torch.rand(2, 6, 2, 2)]
    found = sum_up(pooled, stages).numpy()
    assert found.shape == (2, 4 + 2 * (3 + 6))
    np.testing.assert_allclose(found[:, :4], pooled)
    for start, stage in ((4, stages[0]), (7, stages[1])):
        own = stage.numpy().reshape(2, stage.shape[1], -1)
        width = stage.shape[1]
        np.testing.assert_allclose(found[:, start : start + width], own.mean(2), rtol=1e-5)
        np.testing.assert_allclose(
            found[:, start + 9 : start + 9 + width], own.std(2), rtol=1e-4, atol=1e-6
        )


def test_depths_are_there_when_asked_for_and_whole_however_batched():
    side = {"height": 32, "width": 32}
    processor = DermSimImageProcessor(size={"shortest_edge": 32}, crop_size=side)
    images = [draw_lesion("nv", seed=seed, size=(48, 36)) for seed in range(5)]
    model = tiny()
    assert encode(model, processor, images, batch_size=2).depths is None
    whole = encode(model, processor, images, depths=True)
    pieces = encode(model, processor, images, depths=True, batch_size=2)
    np.testing.assert_allclose(whole.depths, pieces.depths, atol=1e-4)
    np.testing.assert_allclose(
        whole.pooled_features, whole.depths[:, : whole.pooled_features.shape[1]], atol=1e-6
    )
