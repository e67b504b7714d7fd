"""Class activation maps: against pytorch-grad-cam, and the promises made to the caller."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.models.modeling_dermsim_ensemble import DermSimEnsembleModel
from dermsim.tasks import explain as module
from dermsim.tasks.explain import METHODS, ClassTarget, Heatmap, SimilarityTarget, explain

CLASSES, DIMENSIONS, SIDE = 7, 16, 64


class TwoHeads(nn.Module):
    """A timm backbone cut at its last feature map, as DermSimModel is."""

    def __init__(self):
        super().__init__()
        self.backbone = timm.create_model("test_resnet", pretrained=False, num_classes=0)
        self.classifier = nn.Linear(self.backbone.num_features, CLASSES)
        self.projector = nn.Linear(self.backbone.num_features, DIMENSIONS)

    def encode(self, pixel_values):
        return self.backbone.forward_features(pixel_values)

    def feature_map(self, features):
        return features

    def decode(self, features):
        pooled = features.mean(dim=(2, 3))
        return SimpleNamespace(
            logits=self.classifier(pooled),
            embeddings=F.normalize(self.projector(pooled), dim=1),
        )

    def forward(self, pixel_values):
        return self.decode(self.encode(pixel_values)).logits


class Halves(nn.Module):
    """The same model seen as an ensemble: each half of the channels is a member's map."""

    def __init__(self, whole):
        super().__init__()
        self.whole = whole

    def encode(self, pixel_values):
        return self.whole.encode(pixel_values).chunk(2, dim=1)

    def feature_map(self, features):
        return tuple(own.contiguous() for own in features)

    def decode(self, features):
        return self.whole.decode(torch.cat(features, dim=1))


class Field(nn.Module):
    """One tensor of the output, which is what pytorch-grad-cam can index."""

    def __init__(self, model, field):
        super().__init__()
        self.model, self.field = model, field

    def forward(self, pixel_values):
        return getattr(self.model.decode(self.model.encode(pixel_values)), self.field)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        built = TwoHeads().eval()
        with torch.no_grad():  # random batch norms pass almost nothing: open them up
            for layer in built.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.weight.uniform_(0.5, 1.5)
                    layer.bias.uniform_(-0.5, 0.5)
    return built


@pytest.fixture(scope="module")
def pixels():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def reference(name, model, field, pixels, target):
    """The library's low-resolution maps with the ReLU it applies, before it scales them."""
    import pytorch_grad_cam

    class_name = {
        "gradcam": "GradCAM",
        "gradcam++": "GradCAMPlusPlus",
        "xgradcam": "XGradCAM",
        "hirescam": "HiResCAM",
        "layercam": "LayerCAM",
        "eigencam": "EigenCAM",
    }[name]
    wrapped = Field(copy.deepcopy(model), field)
    raw = []
    cam = getattr(pytorch_grad_cam, class_name)(wrapped, [wrapped.model.backbone.layer4])
    cam_image = cam.get_cam_image
    cam.get_cam_image = lambda *args: raw.append(cam_image(*args)) or raw[0]
    cam(input_tensor=pixels, targets=[target] * len(pixels))
    return raw[0]


def low_resolution(model, pixels, target, method):
    side = model.encode(pixels[:1]).shape[-1]
    heatmaps = explain(
        model, pixels, target=target, target_name="t", method=method, size=(side, side)
    )
    return np.stack([heatmap.values * heatmap.peak for heatmap in heatmaps])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["class", "similarity"])
def test_maps_equal_pytorch_grad_cam(model, pixels, method, kind):
    if kind == "class":
        field, ours, theirs = "logits", ClassTarget(4), lambda output: output[4]
    else:
        case = np.random.default_rng(2).normal(size=DIMENSIONS).astype(np.float32)
        field, ours = "embeddings", SimilarityTarget(case)

        def theirs(output):
            return F.cosine_similarity(output, torch.from_numpy(case), dim=0)

    expected = reference(method, model, field, pixels, theirs)
    if method == "eigencam":  # the library leaves the sign of the component to chance
        sign = np.where(-expected.min((1, 2)) > expected.max((1, 2)), -1, 1)
        expected = expected * sign[:, None, None]
    expected = np.maximum(expected, 0)
    assert expected.max() > 0
    actual = low_resolution(model, pixels, ours, method)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6 * expected.max())


def test_gradcam_by_hand():
    activations = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]], [[0.0, 3.0], [0.0, 0.0]]]])
    gradients = torch.tensor([[[[1.0, 1.0], [1.0, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    assert module.gradcam(activations, gradients).tolist() == [[[1.0, -3.0], [0.0, 2.0]]]


@pytest.mark.parametrize("method", METHODS)
def test_values_lie_between_zero_and_one_at_the_image_size(model, pixels, method):
    heatmaps = explain(model, pixels, target=ClassTarget(0), target_name="akiec", method=method)
    for heatmap in heatmaps:
        assert heatmap.values.shape == (SIDE, SIDE)
        assert heatmap.values.dtype == np.float32
        assert heatmap.values.min() >= 0 and heatmap.values.max() <= 1
        assert (heatmap.method, heatmap.target) == (method, "akiec")


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_of_many_equals_batches_of_one(model, pixels, method):
    together = explain(model, pixels, target=ClassTarget(1), target_name="bcc", method=method)
    for i, heatmap in enumerate(together):
        (alone,) = explain(
            model, pixels[i : i + 1], target=ClassTarget(1), target_name="bcc", method=method
        )
        np.testing.assert_allclose(heatmap.values, alone.values, atol=1e-4)
        assert heatmap.peak == pytest.approx(alone.peak, rel=1e-4)


def test_an_image_without_evidence_stays_zero(model, pixels):
    def shrinking(output):
        return -output.features_sum

    class Stub(TwoHeads):
        def decode(self, features):
            return SimpleNamespace(features_sum=features.sum(dim=(1, 2, 3)))

    stub = Stub().eval()
    stub.load_state_dict(model.state_dict())
    for heatmap in explain(stub, pixels, target=shrinking, target_name="less"):
        assert heatmap.peak == 0.0
        assert not heatmap.values.any()


@pytest.mark.parametrize("method", METHODS)
def test_black_features_give_zero_maps(method):
    zeros = torch.zeros(2, 4, 3, 3)
    assert not METHODS[method](zeros, zeros).any()


def test_the_model_is_left_as_it_was(model, pixels):
    own = copy.deepcopy(model)
    own.classifier.weight.grad = torch.ones_like(own.classifier.weight)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    explain(own, pixels, target=ClassTarget(2), target_name="bkl")
    assert not own.training
    assert torch.equal(own.classifier.weight.grad, torch.ones_like(own.classifier.weight))
    assert all(p.grad is None for n, p in own.named_parameters() if n != "classifier.weight")
    assert not any(m._forward_hooks or m._backward_hooks for m in own.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in own.state_dict().items())
    assert not pixels.requires_grad


def test_frozen_parameters_and_foreign_modes_change_nothing(model, pixels):
    def run(network, images):
        return explain(network, images, target=ClassTarget(4), target_name="mel")

    expected = run(model, pixels)
    frozen = copy.deepcopy(model).requires_grad_(False)
    answers = [run(frozen, pixels)]
    with torch.no_grad():
        answers.append(run(model, pixels))
    with torch.inference_mode():
        answers.append(run(frozen, pixels.clone()))  # born in inference mode
        answers.append(run(model, pixels))
        assert torch.is_inference_mode_enabled()
    for answer in answers:
        for a, b in zip(answer, expected, strict=True):
            assert np.array_equal(a.values, b.values) and a.peak == b.peak


def test_eight_threads_equal_one(model, pixels):
    def run(job):
        method, index = job
        return explain(
            model, pixels, target=ClassTarget(index), target_name=str(index), method=method
        )

    jobs = [(method, index) for method in METHODS for index in range(CLASSES)]
    expected = [run(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(run, jobs))
    for answer, truth in zip(answers, expected, strict=True):
        for a, b in zip(answer, truth, strict=True):
            assert np.array_equal(a.values, b.values) and a.peak == b.peak


def test_targets_differ(model, pixels):
    a = explain(model, pixels, target=ClassTarget(0), target_name="a")[0]
    b = explain(model, pixels, target=ClassTarget(1), target_name="b")[0]
    assert not np.array_equal(a.values, b.values)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_vit2"])
def test_the_real_model_explains_class_and_likeness(backbone, pixels):
    real = DermSimModel(DermSimConfig(backbone=backbone)).eval()
    size = real.backbone.pretrained_cfg["input_size"][-1]
    images = F.interpolate(pixels, size=size)
    case = np.random.default_rng(3).normal(size=real.config.embed_dim)
    for target in (ClassTarget(4), SimilarityTarget(case)):
        maps = [
            explain(real, images, target=sign, target_name="t", size=(10, 12))
            for sign in (target, lambda output, target=target: -target(output))
        ]
        # evidence for and against cannot both be absent
        assert all(a.peak > 0 or b.peak > 0 for a, b in zip(*maps, strict=True))
        assert maps[0][0].values.shape == (10, 12)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "eigencam"])
def test_members_on_one_grid_are_explained_as_if_their_channels_were_one_models(
    model, pixels, method
):
    halves = Halves(model).eval()
    case = np.random.default_rng(4).normal(size=DIMENSIONS)
    for target in (ClassTarget(4), SimilarityTarget(case)):
        options = {"target": target, "target_name": "t", "method": method}
        together, apart = explain(model, pixels, **options), explain(halves, pixels, **options)
        assert max(heatmap.peak for heatmap in together) > 0
        for a, b in zip(together, apart, strict=True):
            np.testing.assert_allclose(a.values, b.values, atol=1e-4)
            assert b.peak == pytest.approx(a.peak, rel=1e-4)


def test_the_members_principal_components_speak_equally_loud(model, pixels):
    halves = Halves(model).eval()
    side = model.encode(pixels[:1]).shape[-1]
    options = {"target": ClassTarget(0), "target_name": "t", "method": "eigencam"}
    actual = explain(halves, pixels, size=(side, side), **options)
    expected = torch.zeros(len(pixels), side, side)
    for own in halves.encode(pixels):
        component = module.eigencam(own, own)
        expected += component / component.abs().amax(dim=(1, 2), keepdim=True)
    for heatmap, raw in zip(actual, expected.clamp(min=0).detach().numpy(), strict=True):
        np.testing.assert_allclose(heatmap.values * heatmap.peak, raw, atol=1e-4)
        assert 0 < heatmap.peak <= 2


@pytest.mark.parametrize("method", ["gradcam", "xgradcam", "hirescam", "layercam"])
def test_a_coarse_map_counts_as_much_as_a_fine_one(method):
    generator = torch.Generator().manual_seed(5)
    coarse, fine = (torch.randn(2, side, side, generator=generator) for side in (3, 6))
    joined = module._joined([coarse, fine], method)
    assert joined.shape == (2, 6, 6)
    expected = coarse.sum(dim=(1, 2)) + fine.sum(dim=(1, 2))
    torch.testing.assert_close(joined.sum(dim=(1, 2)), expected)
    # the order of the members does not matter
    torch.testing.assert_close(module._joined([fine, coarse], method), joined)


def test_gradcam_of_pooled_features_is_the_same_evidence_on_every_grid():
    """A constant map, read by a linear head after pooling, on grids of 2 x 2 and 4 x 4."""
    maps = []
    for side in (2, 4):
        activations = torch.ones(1, 3, side, side, requires_grad=True)
        score = activations.mean(dim=(2, 3)).sum()
        (gradients,) = torch.autograd.grad(score, activations)
        maps.append(module.gradcam(activations.detach(), gradients))
        assert maps[-1].sum().item() == pytest.approx(score.item())
    joined = module._joined(maps, "gradcam")
    torch.testing.assert_close(joined, 2 * maps[1])


def test_negative_evidence_of_one_member_is_set_off_against_anothers():
    for_it, against_it = torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), -3.0)
    assert module._joined([for_it, against_it], "gradcam").unique().tolist() == [-2.0]
    flat = torch.zeros(1, 2, 2)
    assert not module._joined([flat, flat], "eigencam").any()


@pytest.fixture(scope="module")
def ensemble():
    """A convolutional network, a finer one and a transformer, for 64 pixels."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(2)
        members = [
            DermSimModel(
                DermSimConfig(backbone=name, embed_dim=8, image_size=SIDE, backbone_kwargs=options)
            ).eval()
            for name, options in (
                ("test_resnet", None),
                ("test_efficientnet", None),
                ("test_vit", {"img_size": SIDE}),
            )
        ]
    return DermSimEnsembleModel.from_members(members)


@pytest.mark.parametrize("method", METHODS)
def test_an_ensemble_explains_class_and_likeness(ensemble, pixels, method):
    grids = {own.shape[2:] for own in ensemble(pixels).features}
    assert len(grids) > 1
    case = np.random.default_rng(3).normal(size=24)
    for target in (ClassTarget(4), SimilarityTarget(case)):
        signs = [
            explain(ensemble, pixels, target=sign, target_name="t", method=method, size=(10, 12))
            for sign in (target, lambda output, target=target: -target(output))
        ]
        assert all(a.peak > 0 or b.peak > 0 for a, b in zip(*signs, strict=True))
        assert signs[0][0].values.shape == (10, 12)


def test_threads_share_an_ensemble(ensemble, pixels):
    def run(index):
        with torch.inference_mode():
            return explain(ensemble, pixels[:1], target=ClassTarget(index), target_name="t")[0]

    expected = [run(index) for index in range(CLASSES)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(run, range(CLASSES)))
    for a, b in zip(answers, expected, strict=True):
        assert np.array_equal(a.values, b.values) and a.peak == b.peak
    assert not any(p.grad is not None for p in ensemble.parameters())


def test_twins_are_explained_as_one(ensemble, pixels):
    """The likeness of an ensemble is the mean of its members': of twins, that of either."""
    alone = ensemble.members[0]
    twins = DermSimEnsembleModel.from_members([alone, alone])
    case = np.random.default_rng(6).normal(size=8)
    options = {"target_name": "t", "method": "gradcam"}
    expected = explain(alone, pixels, target=SimilarityTarget(case), **options)
    pair = SimilarityTarget(np.concatenate([case, case]))
    for a, b in zip(expected, explain(twins, pixels, target=pair, **options), strict=True):
        assert b.peak == pytest.approx(a.peak, rel=1e-4)
        np.testing.assert_allclose(a.values, b.values, atol=1e-4)


def test_the_heatmap_is_plain_data():
    heatmap = Heatmap(np.eye(2, dtype=np.float32), peak=0.5, method="gradcam", target="mel")
    assert json.loads(json.dumps(heatmap.to_dict())) == {
        "values": [[1.0, 0.0], [0.0, 1.0]],
        "peak": 0.5,
        "method": "gradcam",
        "target": "mel",
    }


class TestErrors:
    def test_unknown_method(self, model, pixels):
        with pytest.raises(ValueError, match=r"unknown method 'scorecam', expected one of gradcam"):
            explain(model, pixels, target=ClassTarget(0), target_name="t", method="scorecam")

    def test_training_mode(self, model, pixels):
        with pytest.raises(ValueError, match=r"training mode, call model.eval\(\)"):
            explain(copy.deepcopy(model).train(), pixels, target=ClassTarget(0), target_name="t")

    def test_one_image_without_its_batch_axis(self, model, pixels):
        with pytest.raises(ValueError, match=r"\(B, 3, H, W\), got \(3, 64, 64\)"):
            explain(model, pixels[0], target=ClassTarget(0), target_name="t")

    @pytest.mark.parametrize("index", [-1, 7])
    def test_class_outside_the_model(self, model, pixels, index):
        with pytest.raises(ValueError, match=rf"class index {index} is outside .* 0 to 6"):
            explain(model, pixels, target=ClassTarget(index), target_name="t")

    def test_embedding_of_another_model(self, model, pixels):
        with pytest.raises(ValueError, match="has 5 dimensions, the model's have 16"):
            explain(model, pixels, target=SimilarityTarget(np.ones(5)), target_name="t")

    @pytest.mark.parametrize("embedding", [np.zeros(4), np.array([1.0, np.nan])])
    def test_embedding_without_direction(self, embedding):
        with pytest.raises(ValueError, match="finite and not all zero"):
            SimilarityTarget(embedding)

    def test_several_embeddings(self):
        with pytest.raises(ValueError, match=r"one embedding \(D,\), got shape \(2, 4\)"):
            SimilarityTarget(np.ones((2, 4)))

    def test_target_with_more_than_one_scalar(self, model, pixels):
        with pytest.raises(ValueError, match=r"one scalar per image, \(3,\), got \(3, 7\)"):
            explain(model, pixels, target=lambda output: output.logits, target_name="t")

    def test_target_of_an_ensemble_with_more_than_one_scalar(self, model, pixels):
        with pytest.raises(ValueError, match=r"one scalar per image, \(3,\), got \(3, 7\)"):
            explain(
                Halves(model).eval(), pixels, target=lambda output: output.logits, target_name="t"
            )

    def test_a_broken_image(self, model, pixels):
        with pytest.raises(ValueError, match="not finite, check the weights and image"):
            explain(model, pixels * float("nan"), target=ClassTarget(0), target_name="t")
