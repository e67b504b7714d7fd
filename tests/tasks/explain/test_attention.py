"""Rollout and gradient-weighted attention: against loops over hand-made attention."""

import numpy as np
import pytest
import timm
import torch
from refusals import refuses

from dermsim.tasks.explain import ClassTarget, explain
from dermsim.tasks.explain.attention import gradient_weighted, rollout
from dermsim.tasks.explain.opening import open_attention

SIDE = 64


def attention_by_hand(model, pixels):
    """Run a timm transformer block by block; return each block's attention, and the logits."""
    backbone, seen = model.backbone, []

    def attend(block, x):
        count, tokens, width = x.shape
        attn = block.attn
        qkv = attn.qkv(x).reshape(count, tokens, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = attn.q_norm(qkv[0]), attn.k_norm(qkv[1]), qkv[2]
        weights = (query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
        seen.append(weights)
        mixed = (weights @ value).transpose(1, 2).reshape(count, tokens, width)
        return attn.proj(attn.norm(mixed))

    x = backbone.norm_pre(backbone._pos_embed(backbone.patch_embed(pixels)))
    for block in backbone.blocks:
        x = x + block.ls1(attend(block, block.norm1(x)))
        x = x + block.ls2(block.mlp(block.norm2(x)))
    return seen, model.decode(backbone.norm(x)).logits


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_the_attention_is_the_models_own(transformers, pixels, pool):
    model = transformers[pool]
    expected, logits = attention_by_hand(model, pixels)
    opened = open_attention(model, pixels)
    for seen, own in zip(opened.taps[0], expected, strict=True):
        torch.testing.assert_close(seen, own, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(opened.output.logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(opened.output.logits, model(pixels).logits, rtol=1e-4, atol=1e-5)


def read_out(flow, pool):
    rows = flow[:1] if pool == "token" else flow[1:]
    return rows[:, 1:].mean(axis=0).reshape(4, 4)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_rollout_against_a_loop(transformers, pixels, pool):
    model = transformers[pool]
    with torch.no_grad():
        blocks, _ = attention_by_hand(model, pixels)
    (found,) = rollout(open_attention(model, pixels))
    for image in range(len(pixels)):
        flow = np.eye(17)
        for block in blocks:
            flow = (block[image].double().numpy().mean(axis=0) + np.eye(17)) / 2 @ flow
        np.testing.assert_allclose(flow.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(found[image].numpy(), read_out(flow, pool), atol=1e-6)
    assert float(found.std()) > 1e-3, "attention is the same everywhere: nothing was compared"


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_gradient_weighted_against_a_loop(transformers, pixels, pool):
    model = transformers[pool]
    blocks, logits = attention_by_hand(model, pixels)
    gradients = torch.autograd.grad(logits[:, 4].sum(), blocks)
    (found,) = gradient_weighted(open_attention(model, pixels), [ClassTarget(4)] * len(pixels))
    for image in range(len(pixels)):
        flow = np.eye(17)
        for block, gradient in zip(blocks, gradients, strict=True):
            product = (block[image] * gradient[image]).detach().double().numpy()
            flow = flow + np.maximum(product, 0).mean(axis=0) @ flow
        expected = read_out(flow - np.eye(17), pool)
        assert expected.max() > 0
        np.testing.assert_allclose(
            found[image].detach().numpy(), expected, rtol=1e-3, atol=1e-5 * expected.max()
        )


def test_only_the_gradient_follows_the_target(transformers, pixels):
    def maps(method, index):
        target = ClassTarget(index)
        found = explain(transformers["avg"], pixels, target=target, target_name="t", method=method)
        return np.stack([heatmap.values for heatmap in found])

    assert np.array_equal(maps("rollout", 0), maps("rollout", 1))
    assert not np.allclose(maps("gradattention", 0), maps("gradattention", 1), atol=1e-2)


@pytest.mark.parametrize("method", ["rollout", "gradattention"])
def test_attention_pooling_is_read_as_a_mean(transformers, pixels, method):
    for heatmap in explain(
        transformers["map"], pixels, target=ClassTarget(0), target_name="t", method=method
    ):
        assert heatmap.values.shape == (SIDE, SIDE) and heatmap.peak > 0


def test_windows_are_refused(pixels):
    class Windowed(torch.nn.Module):
        """A transformer whose tokens attend within halves of the picture."""

        def __init__(self):
            super().__init__()
            self.backbone = timm.create_model("test_vit2", num_classes=7, img_size=SIDE)

        def encode(self, pixel_values):
            tokens = self.backbone._pos_embed(self.backbone.patch_embed(pixel_values))
            for block in self.backbone.blocks:
                tokens = torch.cat([block(half) for half in tokens.chunk(2, dim=1)], dim=1)
            return tokens

        def decode(self, features):
            return type("Output", (), {"logits": features.mean(dim=1)})

    with refuses("opening.windowed"):
        open_attention(Windowed().eval(), pixels)


def test_a_layer_makes_no_sense_with_attention(transformers, pixels):
    with refuses("maps.no_layer", method="rollout"):
        explain(
            transformers["avg"],
            pixels,
            target=ClassTarget(0),
            target_name="t",
            method="rollout",
            layer=1,
        )
