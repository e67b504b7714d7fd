"""Heatmaps behind one call: the promises made to the caller, for every method."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refuses

from dermsim.core.explain_methods import MethodName, methods_for
from dermsim.models.configuration_dermsim import DermSimConfig
from dermsim.models.modeling_dermsim import DermSimModel
from dermsim.models.modeling_dermsim_ensemble import DermSimEnsembleModel
from dermsim.tasks.explain import (
    METHODS,
    ClassTarget,
    Heatmap,
    MalignancyTarget,
    SimilarityTarget,
    draw,
    explain,
    open_for,
)
from dermsim.tasks.explain.maps import _MAKERS

CLASSES, SIDE = 7, 64


@pytest.fixture(scope="module")
def suited(model, transformers):
    """A tiny model that a method can be asked of."""
    return lambda method: transformers["token"] if METHODS[method].needs_attention else model


def test_the_methods_are_these_and_all_can_be_drawn():
    assert tuple(METHODS) == MethodName.__args__ and set(METHODS) == set(_MAKERS)
    assert {m.name for m in methods_for(has_attention=False)} == set(METHODS) - {
        "rollout",
        "gradattention",
    }
    assert [m.name for m in methods_for(has_attention=True)] == list(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_values_lie_between_zero_and_one_at_the_image_size(suited, pixels, method):
    model = suited(method)
    heatmaps = explain(model, pixels, target=ClassTarget(0), target_name="akiec", method=method)
    with torch.no_grad():
        logits = model.decode(model.encode(pixels)).logits
    for heatmap, row in zip(heatmaps, logits, strict=True):
        assert heatmap.values.shape == (SIDE, SIDE)
        assert heatmap.values.dtype == np.float32
        assert heatmap.values.min() >= 0 and heatmap.values.max() <= 1
        assert (heatmap.method, heatmap.target) == (method, "akiec")
        assert heatmap.score == pytest.approx(row[0].item(), abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_of_many_equals_batches_of_one(suited, pixels, method):
    model, target = suited(method), ClassTarget(1)
    together = explain(model, pixels, target=target, target_name="bcc", method=method)
    for i, heatmap in enumerate(together):
        (alone,) = explain(
            model, pixels[i : i + 1], target=target, target_name="bcc", method=method
        )
        np.testing.assert_allclose(heatmap.values, alone.values, atol=1e-4)
        assert heatmap.peak == pytest.approx(alone.peak, rel=1e-4)


@pytest.mark.parametrize("method", ["gradcam", "gradattention"])
def test_each_image_may_have_its_own_target(suited, pixels, method):
    model = suited(method)
    goals = [ClassTarget(3), SimilarityTarget(np.ones(16)), MalignancyTarget((0, 1, 4))]
    names = ["df", "similarity", "malignancy"]
    together = explain(model, pixels, target=goals, target_name=names, method=method)
    for i, (goal, name) in enumerate(zip(goals, names, strict=True)):
        (alone,) = explain(model, pixels[i : i + 1], target=goal, target_name=name, method=method)
        assert together[i].target == alone.target == name
        np.testing.assert_allclose(together[i].values, alone.values, atol=1e-4)
        assert together[i].score == pytest.approx(alone.score, abs=1e-5)


def test_several_methods_and_targets_are_drawn_of_one_look(model, pixels):
    looks = open_for("gradcam", model, pixels)
    for method in ("gradcam", "layercam", "scorecam"):
        for index in (0, 5):
            goals = [ClassTarget(index)] * len(pixels)
            found = draw(looks, goals, ["t"] * len(pixels), method=method)
            expected = explain(model, pixels, target=goals[0], target_name="t", method=method)
            for a, b in zip(found, expected, strict=True):
                assert np.array_equal(a.values, b.values) and a.peak == b.peak


def turns(images):
    """The eight turns and mirror images of square images, and how to bring a map of each back."""
    for quarters in range(4):
        turned = np.rot90(images, quarters, (-2, -1))
        yield turned, lambda m, q=quarters: np.rot90(m, -q, (-2, -1))
        yield turned[..., ::-1], lambda m, q=quarters: np.rot90(m[..., ::-1], -q, (-2, -1))


@pytest.mark.parametrize("layer", [None, 2])
def test_smooth_maps_are_the_mean_of_the_raw_maps_of_eight_looks(model, pixels, layer, own_maps):
    """LayerCAM's raw maps of a positive network are never negative, so that nothing is cut off."""

    def positive(output):
        return output.logits.exp().sum(dim=1)

    def raw(images):
        images = torch.from_numpy(np.ascontiguousarray(images))
        return own_maps("layercam", model, images, positive, layer=layer)

    expected = np.mean([back(raw(turned)) for turned, back in turns(pixels.numpy())], axis=0)
    options = {"target": positive, "target_name": "t", "method": "layercam", "layer": layer}
    found = explain(model, pixels, smooth=True, size=expected.shape[1:], **options)
    actual = np.stack([heatmap.values * heatmap.peak for heatmap in found])
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())
    assert not np.allclose(expected, raw(pixels.numpy()), rtol=0.05)


@pytest.mark.parametrize("method", ["gradcam", "eigencam", "gradattention"])
def test_a_smooth_map_turns_with_its_image(suited, pixels, method):
    def smooth(images):
        images = torch.from_numpy(np.ascontiguousarray(images))
        options = {"target": ClassTarget(4), "target_name": "t", "method": method}
        return np.stack([m.values for m in explain(suited(method), images, smooth=True, **options)])

    expected = smooth(pixels.numpy())
    assert expected.max() > 0.9
    for turned, back in turns(pixels.numpy()):
        np.testing.assert_allclose(back(smooth(turned)), expected, atol=1e-3)


def test_an_image_that_is_not_square_is_smoothed_over_its_own_four_looks(model, pixels):
    oblong = pixels[..., :32]
    options = {"target": ClassTarget(4), "target_name": "t", "smooth": True}
    upright = explain(model, oblong, **options)
    around = explain(model, torch.rot90(oblong, 2, (-2, -1)), **options)
    for a, b in zip(upright, around, strict=True):
        assert a.values.shape == (64, 32)
        np.testing.assert_allclose(np.rot90(b.values, 2), a.values, atol=1e-4)


def test_an_image_without_evidence_stays_zero(model, pixels):
    def shrinking(output):
        return -output.features_sum

    class Stub(type(model)):
        def decode(self, features):
            return SimpleNamespace(features_sum=features.sum(dim=(1, 2, 3)))

    stub = Stub().eval()
    stub.load_state_dict(model.state_dict())
    for heatmap in explain(stub, pixels, target=shrinking, target_name="less"):
        assert heatmap.peak == 0.0
        assert not heatmap.values.any()
        assert not heatmap.top_region().any()


def test_frozen_parameters_and_foreign_modes_change_nothing(model, pixels):
    def run(network, images, layer=None):
        return explain(network, images, target=ClassTarget(4), target_name="mel", layer=layer)

    for layer in (None, -2):
        expected = run(model, pixels, layer)
        frozen = copy.deepcopy(model).requires_grad_(False)
        answers = [run(frozen, pixels, layer)]
        with torch.no_grad():
            answers.append(run(model, pixels, layer))
        with torch.inference_mode():
            answers.append(run(frozen, pixels.clone(), layer))  # born in inference mode
            answers.append(run(model, pixels, layer))
            assert torch.is_inference_mode_enabled()
        for answer in answers:
            for a, b in zip(answer, expected, strict=True):
                assert np.array_equal(a.values, b.values) and a.peak == b.peak


def test_thirty_two_threads_equal_one(model, transformers, pixels):
    """Every method, layer and target at once on shared models, and plain forward passes."""

    def run(job):
        method, network, layer, index = job
        if method is None:
            with torch.inference_mode():
                return [network(pixels[index : index + 1])]
        options = {"method": method, "layer": layer, "target_name": str(index)}
        return explain(network, pixels[index % 3, None], target=ClassTarget(index), **options)

    forward = transformers["avg"]
    jobs = [(None, forward, None, index % 3) for index in range(CLASSES)]
    for method, facts in METHODS.items():
        network = forward if facts.needs_attention else model
        layers = (None,) if facts.needs_attention else (None, 2)
        jobs += [(method, network, layer, i) for layer in layers for i in range(CLASSES)]
    expected = [run(job) for job in jobs]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(run, jobs))
    for answer, truth in zip(answers, expected, strict=True):
        for a, b in zip(answer, truth, strict=True):
            if isinstance(a, Heatmap):
                assert np.array_equal(a.values, b.values)
                assert (a.peak, a.score) == (b.peak, b.score)
            else:
                assert torch.equal(a.logits, b.logits)


def test_targets_differ(model, pixels):
    a = explain(model, pixels, target=ClassTarget(0), target_name="a")[0]
    b = explain(model, pixels, target=ClassTarget(1), target_name="b")[0]
    assert not np.array_equal(a.values, b.values)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "test_vit2", "test_vit"])
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


ANY_TARGET = [
    method.name
    for method in methods_for(has_attention=False, has_maps=False)
    if not method.diagnoses_only
]
"""Methods that any ensemble can be asked with, for anything."""


@pytest.mark.parametrize("method", ANY_TARGET)
def test_an_ensemble_explains_class_and_likeness(ensemble, pixels, method):
    grids = {own.shape[2:] for own in ensemble(pixels).features}
    assert len(grids) > 1
    case = np.random.default_rng(3).normal(size=8 + 8 + 16)
    images = pixels[:1] if METHODS[method].is_slow else pixels
    for target in (ClassTarget(4), SimilarityTarget(case)):
        signs = [
            explain(ensemble, images, target=sign, target_name="t", method=method, size=(10, 12))
            for sign in (target, lambda output, target=target: -target(output))
        ]
        assert all(a.peak > 0 or b.peak > 0 for a, b in zip(*signs, strict=True))
        assert signs[0][0].values.shape == (10, 12)


@pytest.mark.parametrize("method", ["rollout", "gradattention"])
def test_an_ensemble_of_transformers_is_asked_for_its_attention(transformers, pixels, method):
    alone = transformers["token"]
    twins = DermSimEnsembleModel.from_members([alone, alone])
    case = np.random.default_rng(6).normal(size=16)
    options = {"target_name": "t", "method": method}
    expected = explain(alone, pixels, target=SimilarityTarget(case), **options)
    pair = SimilarityTarget(np.concatenate([case, case]))
    for a, b in zip(expected, explain(twins, pixels, target=pair, **options), strict=True):
        # relevance is a product over blocks: of half the gradient it is half to first order only
        np.testing.assert_allclose(a.values, b.values, atol=1e-3 if method == "rollout" else 0.03)


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
    heatmap = Heatmap(np.eye(2, dtype=np.float32), 0.5, "gradcam", "mel", score=1.5)
    assert json.loads(json.dumps(heatmap.to_dict())) == {
        "values": [[1.0, 0.0], [0.0, 1.0]],
        "peak": 0.5,
        "method": "gradcam",
        "target": "mel",
        "score": 1.5,
        "seen": [0.0, 0.0, 1.0, 1.0],
    }


def test_the_top_region_is_what_reaches_a_share_of_the_peak():
    values = np.array([[0.0, 0.3], [0.5, 1.0]], dtype=np.float32)
    heatmap = Heatmap(values, 2.0, "gradcam", "mel")
    assert heatmap.top_region().tolist() == [[False, False], [True, True]]
    assert heatmap.top_region(0.2).tolist() == [[False, True], [True, True]]
    assert heatmap.top_region(1).tolist() == [[False, False], [False, True]]
    for level in (0, -1, 1.1, float("nan")):
        with refuses("heatmap.level"):
            heatmap.top_region(level)


class TestErrors:
    def test_unknown_method(self, model, pixels):
        with refuses(
            "maps.method",
            method="magic",
        ):
            explain(model, pixels, target=ClassTarget(0), target_name="t", method="magic")

    @pytest.mark.parametrize("method", ["gradcam", "rollout"])
    def test_training_mode(self, suited, pixels, method):
        model = copy.deepcopy(suited(method)).train()
        with refuses("opening.training_mode"):
            explain(model, pixels, target=ClassTarget(0), target_name="t", method=method)

    def test_one_image_without_its_batch_axis(self, model, pixels):
        with refuses("opening.pixel_values", shape=[3, 64, 64]):
            explain(model, pixels[0], target=ClassTarget(0), target_name="t")

    def test_targets_and_names_for_each(self, model, pixels):
        goals = [ClassTarget(0), ClassTarget(1)]
        with refuses("maps.targets", count=3, targets_count=2, names_count=3):
            explain(model, pixels, target=goals, target_name="t")
        with refuses("maps.targets", count=3, targets_count=3, names_count=1):
            explain(model, pixels, target=goals[0], target_name=["t"])

    def test_target_with_more_than_one_scalar(self, model, pixels):
        with refuses("targets.scalars", rows=3, shape=[3, 7]):
            explain(model, pixels, target=lambda output: output.logits, target_name="t")

    def test_target_of_an_ensemble_with_more_than_one_scalar(self, halves, pixels):
        with refuses("targets.scalars", rows=3, shape=[3, 7]):
            explain(halves, pixels, target=lambda output: output.logits, target_name="t")

    def test_a_broken_image(self, model, pixels):
        with refuses("maps.not_finite"):
            explain(model, pixels * float("nan"), target=ClassTarget(0), target_name="t")
