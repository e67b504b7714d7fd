"""The formulas: against pytorch-grad-cam, at any layer, for either kind of backbone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dermsim.tasks.explain import ClassTarget, SimilarityTarget
from dermsim.tasks.explain.cams import FORMULAS, eigencam, gradcam, join

DIMENSIONS = 16


def _as_map(tokens):
    """View a transformer's tokens (B, 1 + 16, C) as a map, as pytorch-grad-cam is told to."""
    return tokens[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)


def close(actual, expected):
    assert expected.max() > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("kind", ["class", "similarity"])
def test_maps_equal_pytorch_grad_cam(model, pixels, library_maps, own_maps, method, kind):
    if kind == "class":
        field, ours, theirs = "logits", ClassTarget(4), lambda output: output[4]
    else:
        case = np.random.default_rng(2).normal(size=DIMENSIONS).astype(np.float32)
        field, ours = "embeddings", SimilarityTarget(case)

        def theirs(output):
            return F.cosine_similarity(output, torch.from_numpy(case), dim=0)

    expected = library_maps(method, model, field, pixels, theirs, layer="layer4")
    close(own_maps(method, model, pixels, ours), expected)


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize(("layer", "name"), [(-2, "layer3"), (1, "layer1"), ("layer2.0", None)])
def test_any_layer_of_a_convolutional_network(
    model, pixels, library_maps, own_maps, method, layer, name
):
    expected = library_maps(
        method, model, "logits", pixels, lambda output: -output[5], layer=name or str(layer)
    )
    actual = own_maps(method, model, pixels, lambda output: -output.logits[:, 5], layer=layer)
    close(actual, expected)


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize(
    ("pool", "layer", "name"),
    [
        ("token", None, "blocks.5.norm1"),
        ("token", -3, "blocks.3.norm1"),
        ("avg", None, "norm"),
        ("avg", 2, "blocks.2"),
    ],
)
def test_any_layer_of_a_transformer(
    transformers, pixels, library_maps, own_maps, method, pool, layer, name
):
    real = transformers[pool]
    expected = library_maps(
        method, real, "logits", pixels, lambda output: output[3], layer=name, reshape=_as_map
    )
    close(own_maps(method, real, pixels, ClassTarget(3), layer=layer), expected)


@pytest.mark.parametrize("method", ["gradcam", "hirescam", "layercam"])
@pytest.mark.parametrize(
    ("name", "layer", "module"),
    [
        ("deit_tiny_distilled_patch16_224", None, "blocks.2.norm1"),  # two tokens are read
        ("vit_small_patch14_reg4_dinov2", None, "blocks.2.norm1"),  # a class token, four registers
        ("vit_medium_patch16_reg4_gap_256", None, "norm"),  # registers that no head reads
        ("vit_wee_patch16_reg1_gap_256", -1, "blocks.2"),
        ("eva02_tiny_patch14_224", None, "norm"),
        ("swin_tiny_patch4_window7_224", None, "norm"),  # a map with the channels last
        ("swin_tiny_patch4_window7_224", 1, "layers.1"),
    ],
)
def test_registers_prefixes_and_channels_last(
    shaped, library_maps, own_maps, method, name, layer, module
):
    real, side, prefix = shaped(name)
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))

    def reshape(tokens):
        if prefix is None:
            return tokens.permute(0, 3, 1, 2)
        return tokens[:, prefix:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)

    for sign in (1, -1):  # one of them has evidence
        expected = library_maps(
            method,
            real,
            "logits",
            pixels,
            lambda output, sign=sign: sign * output[3],
            layer=module,
            reshape=reshape,
        )
        actual = own_maps(
            method, real, pixels, lambda output, sign=sign: sign * output.logits[:, 3], layer=layer
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())
        assert expected.max() > 0 or sign == 1


def test_gradcam_by_hand():
    activations = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]], [[0.0, 3.0], [0.0, 0.0]]]])
    gradients = torch.tensor([[[[1.0, 1.0], [1.0, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    assert gradcam(activations, gradients).tolist() == [[[1.0, -3.0], [0.0, 2.0]]]


@pytest.mark.parametrize("method", FORMULAS)
def test_black_features_give_zero_maps(method):
    zeros = torch.zeros(2, 4, 3, 3)
    assert not FORMULAS[method](zeros, zeros).any()


# --- the members of an ensemble ------------------------------------------------------------------


@pytest.mark.parametrize("method", [name for name in FORMULAS if name != "eigencam"])
def test_members_on_one_grid_are_explained_as_if_their_channels_were_one_models(
    model, halves, pixels, own_maps, method
):
    case = np.random.default_rng(4).normal(size=DIMENSIONS)
    for target in (ClassTarget(4), SimilarityTarget(case)):
        expected = own_maps(method, model, pixels, target)
        close(own_maps(method, halves, pixels, target), expected)


def test_the_members_principal_components_speak_equally_loud(halves, pixels, own_maps):
    expected = torch.zeros(1)
    for own in halves.encode(pixels):
        component = eigencam(own, own)
        expected = expected + component / component.abs().amax(dim=(1, 2), keepdim=True)
    actual = own_maps("eigencam", halves, pixels, ClassTarget(0))
    np.testing.assert_allclose(actual, expected.clamp(min=0).detach().numpy(), atol=1e-4)
    assert actual.max() <= 2


@pytest.mark.parametrize("method", ["gradcam", "xgradcam", "hirescam", "layercam", "rollout"])
def test_a_coarse_map_counts_as_much_as_a_fine_one(method):
    generator = torch.Generator().manual_seed(5)
    coarse, fine = (torch.randn(2, side, side, generator=generator) for side in (3, 6))
    joined = join([coarse, fine], method)
    assert joined.shape == (2, 6, 6)
    expected = coarse.sum(dim=(1, 2)) + fine.sum(dim=(1, 2))
    torch.testing.assert_close(joined.sum(dim=(1, 2)), expected)
    # the order of the members does not matter
    torch.testing.assert_close(join([fine, coarse], method), joined)


def test_gradcam_of_pooled_features_is_the_same_evidence_on_every_grid():
    """A constant map, read by a linear head after pooling, on grids of 2 x 2 and 4 x 4."""
    maps = []
    for side in (2, 4):
        activations = torch.ones(1, 3, side, side, requires_grad=True)
        score = activations.mean(dim=(2, 3)).sum()
        (gradients,) = torch.autograd.grad(score, activations)
        maps.append(gradcam(activations.detach(), gradients))
        assert maps[-1].sum().item() == pytest.approx(score.item())
    torch.testing.assert_close(join(maps, "gradcam"), 2 * maps[1])


def test_negative_evidence_of_one_member_is_set_off_against_anothers():
    for_it, against_it = torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), -3.0)
    assert join([for_it, against_it], "gradcam").unique().tolist() == [-2.0]
    flat = torch.zeros(1, 2, 2)
    assert not join([flat, flat], "eigencam").any()
