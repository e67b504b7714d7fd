"""The embedding of a part of an image."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refuses

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.tasks.explain import embed_regions

SIDE = 64


def whole(count):
    return np.ones((count, SIDE, SIDE), dtype=bool)


def left(count):
    region = np.zeros((count, SIDE, SIDE), dtype=np.float32)
    region[:, :, : SIDE // 2] = 1
    return region


@pytest.fixture(scope="module", params=["test_resnet", "test_convnext", "token", "avg", "ensemble"])
def any_model(request, transformers, ensemble):
    if request.param == "ensemble":
        return ensemble
    if request.param in transformers:
        return transformers[request.param]
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(3)
        config = DermSimConfig(backbone=request.param, embed_dim=16, image_size=SIDE)
        return DermSimModel(config).eval()


def test_the_whole_image_is_the_image(any_model, pixels):
    found = embed_regions(any_model, pixels, whole(3))
    expected = any_model(pixels).embeddings.detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rows_are_unit_and_differ_by_region(any_model, pixels):
    one, other = (embed_regions(any_model, pixels, r) for r in (left(3), 1 - left(3)))
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    assert np.abs(one - other).max() > 1e-4
    assert one.dtype == np.float32


def test_images_and_regions_go_where_the_model_is(model):
    away, asked = copy.deepcopy(model).to("meta"), []

    def decode(features):  # nothing comes back from that device
        asked.append(features.device.type)
        return SimpleNamespace(embeddings=torch.ones(len(features), 2))

    away.encode, away.decode = torch.clone, decode
    embed_regions(away, np.zeros((3, 3, SIDE, SIDE), dtype=np.float32), whole(3))
    assert asked == ["meta"]


def test_a_batch_is_its_images(any_model, pixels):
    regions = np.stack([left(1)[0], whole(1)[0].astype(np.float32), 1 - left(1)[0]])
    together = embed_regions(any_model, pixels, regions)
    for i in range(3):
        alone = embed_regions(any_model, pixels[i : i + 1], regions[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_pooling_against_a_loop(model, pixels):
    region = np.random.default_rng(0).random((3, SIDE, SIDE)).astype(np.float32)
    found = embed_regions(model, pixels, region)
    with torch.no_grad():
        features = model.encode(pixels).numpy()
    count, channels, height, width = features.shape
    for i in range(count):
        total, weight = np.zeros(channels), 0.0
        for y in range(height):
            for x in range(width):
                rows = slice(y * SIDE // height, (y + 1) * SIDE // height)
                columns = slice(x * SIDE // width, (x + 1) * SIDE // width)
                share = region[i, rows, columns].mean()
                total += share * features[i, :, y, x]
                weight += share
        pooled = torch.from_numpy(total / weight).float()
        expected = F.normalize(model.projector(pooled), dim=0).detach().numpy()
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_what_is_outside_a_region_is_not_pooled(model, pixels):
    """Features that hold another image outside the region give the same embedding."""

    class Mixed(type(model)):
        def encode(self, pixel_values):
            features = super().encode(pixel_values)
            return torch.where(torch.arange(features.shape[3]) < 1, features, self.other)

    mixed = Mixed.__new__(Mixed)
    vars(mixed).update(vars(model))
    region = np.zeros((3, SIDE, SIDE), dtype=np.float32)
    region[:, :, : SIDE // model.encode(pixels).shape[3]] = 1
    found = []
    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        mixed.other = torch.randn(1, generator=generator)
        found.append(embed_regions(mixed, pixels, region))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(found[0], embed_regions(model, pixels, region), atol=1e-6)


def test_a_class_token_gathers_from_the_region_alone(transformers, pixels):
    model = transformers["token"]
    region = left(3)
    before = model.backbone.blocks[-1].attn.fused_attn
    found = embed_regions(model, pixels, region)
    backbone = model.backbone
    with torch.no_grad():
        x = backbone.norm_pre(backbone._pos_embed(backbone.patch_embed(pixels)))
        for block in backbone.blocks[:-1]:
            x = block(x)
        last = backbone.blocks[-1]
        mask = torch.zeros(17, 17)
        kept = torch.arange(16) % 4 < 2
        mask[0, 1:][~kept] = -torch.inf
        x = x + last.ls1(last.attn(last.norm1(x), attn_mask=mask))
        x = x + last.ls2(last.mlp(last.norm2(x)))
        expected = model.decode(backbone.norm(x)).embeddings.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.backbone.blocks[-1].attn.fused_attn == before


def test_a_class_token_gathers_from_images_of_another_size(transformers):
    options = {"img_size": SIDE, "dynamic_img_size": True}
    config = DermSimConfig(
        backbone="test_vit", embed_dim=16, image_size=SIDE, backbone_kwargs=options
    )
    model = DermSimModel(config).eval()
    model.load_state_dict(transformers["token"].state_dict(), strict=False)
    generator = torch.Generator().manual_seed(2)
    larger = torch.randn(2, 3, 2 * SIDE, 2 * SIDE, generator=generator)
    everything = np.ones((2, 2 * SIDE, 2 * SIDE), dtype=bool)
    with torch.no_grad():
        expected = model(larger).embeddings.numpy()
    np.testing.assert_allclose(embed_regions(model, larger, everything), expected, atol=1e-5)


class TestErrors:
    def test_shape(self, model, pixels):
        with refuses("explain_regions.shape", expected=[3, 64, 64], shape=[3, 8, 8]):
            embed_regions(model, pixels, np.ones((3, 8, 8)))

    @pytest.mark.parametrize("value", [2.0, -1.0, np.nan])
    def test_weights(self, model, pixels, value):
        with refuses("explain_regions.weights"):
            embed_regions(model, pixels, np.full((3, SIDE, SIDE), value))

    def test_an_empty_region_is_named(self, model, pixels):
        regions = whole(3)
        regions[1] = False
        with refuses("explain_regions.empty", number=1):
            embed_regions(model, pixels, regions)
