"""The methods that pytorch-grad-cam draws: the library's maps, thread by thread alike."""

import functools
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.explain_methods import METHODS
from dermsim.tasks.explain import ClassTarget, SimilarityTarget, draw, explain, open_for
from dermsim.tasks.explain.library import KINDS

CASE = np.random.default_rng(2).normal(size=16)


def raw_maps(method, model, pixels, target, layer=None):
    maps = explain(model, pixels, target=target, target_name="t", method=method, layer=layer)
    return np.stack([heatmap.values * heatmap.peak for heatmap in maps])


def test_all_of_them_are_methods_of_the_library():
    assert {name for name, method in METHODS.items() if method.library} == set(KINDS)


@pytest.mark.parametrize("method", [m for m in KINDS if m not in ("finercam", "kpcacam")])
@pytest.mark.parametrize("layer", [None, "layer3"])
def test_it_is_the_librarys_own_map(model, pixels, library_maps, own_maps, method, layer):
    if (method, layer) == ("fem", None):
        pytest.skip("of four places none is two standard deviations above the mean: an empty map")
    drawn = functools.partial(
        library_maps, KINDS[method], model, "logits", pixels, lambda out: out[1]
    )
    where = layer or "layer4"
    expected, raw = drawn(layer=where), drawn(layer=where, cut=False)
    actual = own_maps(method, model, pixels, ClassTarget(1), layer=layer)
    if method == "ablationcam":  # the library divides the weights by the score
        with torch.no_grad():
            scores = model.decode(model.encode(pixels)).logits[:, 1].numpy()
        signs = np.sign(scores)[:, None, None]
        expected = np.maximum(raw * np.abs(scores)[:, None, None] * signs, 0)
    if method == "eigengradcam":
        turned = -raw.min((1, 2)) > raw.max((1, 2))
        expected = np.maximum(np.where(turned[:, None, None], -raw, raw), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_finer_cam_tells_a_diagnosis_from_those_that_score_most_like_it(model, pixels, own_maps):
    from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget

    index = 2
    opened = open_for("gradcam", model, pixels)[0]
    logits = opened.output.logits.detach()
    alike = (logits - logits[:, index, None]).abs().argsort(dim=1)[:, 1:4]
    gradients = torch.autograd.grad(
        sum(
            FinerWeightedTarget(index, row.tolist(), 1)(own)
            for own, row in zip(opened.output.logits, alike, strict=True)
        ),
        opened.taps[0][0],
        retain_graph=True,
    )[0]
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    expected = (weights * opened.taps[0][0]).sum(dim=1).clamp(min=0).detach().numpy()
    actual = own_maps("finercam", model, pixels, ClassTarget(index))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_kpca_cam_makes_the_side_that_reaches_further_positive(model, pixels, library_maps):
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection_kernel

    with torch.no_grad():
        raw = get_2d_projection_kernel(model.encode(pixels).numpy())
    looks = open_for("kpcacam", model, pixels)
    grid = raw.shape[1:]
    maps = draw(looks, [ClassTarget(0)] * 3, ["t"] * 3, method="kpcacam", size=grid)
    for heatmap, own in zip(maps, raw, strict=True):
        turned = -own if -own.min() > own.max() else own
        np.testing.assert_allclose(
            heatmap.values * heatmap.peak, np.maximum(turned, 0), rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("method", sorted(KINDS))
def test_threads_get_the_maps_that_one_alone_gets(model, pixels, method):
    def ask(index):
        return raw_maps(method, model, pixels, ClassTarget(index % 7))

    alone = [ask(index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, range(8)))
    for expected, actual in zip(alone, together, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("method", sorted(KINDS))
def test_a_forward_pass_beside_it_is_not_disturbed_and_nothing_stays(model, pixels, method):
    def hooks():
        return [
            (len(m._forward_hooks), len(m._backward_hooks), m.training) for m in model.modules()
        ]

    before, modules = hooks(), dict(model.named_modules())
    gradients = [parameter.grad for parameter in model.parameters()]
    with torch.no_grad():
        expected = model.decode(model.encode(pixels)).logits
    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(raw_maps, method, model, pixels, ClassTarget(1)) for _ in range(3)]
        with torch.no_grad():
            found = [model.decode(model.encode(pixels)).logits for _ in range(20)]
        for one in busy:
            one.result()
    for logits in found:
        torch.testing.assert_close(logits, expected, rtol=0, atol=0)
    assert hooks() == before and dict(model.named_modules()) == modules
    assert [parameter.grad for parameter in model.parameters()] == gradients


@pytest.mark.parametrize("method", sorted(KINDS))
@pytest.mark.parametrize("layer", [None, -2])
def test_a_batch_gets_the_maps_of_its_images(ensemble_of_maps, pixels, method, layer):
    together = raw_maps(method, ensemble_of_maps, pixels, ClassTarget(3), layer)
    for index in range(len(pixels)):
        alone = raw_maps(method, ensemble_of_maps, pixels[index : index + 1], ClassTarget(3), layer)
        np.testing.assert_allclose(together[index], alone[0], rtol=1e-3, atol=1e-5 * alone.max())


@pytest.mark.parametrize("method", sorted(set(KINDS) - {"finercam"}))
def test_any_target_can_be_asked_for(model, halves, pixels, method):
    for asked in (model, halves):
        assert np.isfinite(raw_maps(method, asked, pixels, SimilarityTarget(CASE))).all()


@pytest.mark.parametrize("method", [m for m in sorted(KINDS) if not METHODS[m].needs_maps])
def test_transformers_are_read_as_maps(transformers, pixels, method):
    for model in transformers.values():
        with torch.inference_mode():
            maps = raw_maps(method, model, pixels, ClassTarget(1))
        assert np.isfinite(maps).all() and maps.max() > 0


def test_finer_cam_explains_diagnoses_only(model, pixels):
    with refuses("explain_library.diagnoses_only", method="Finer-CAM"):
        raw_maps("finercam", model, pixels, SimilarityTarget(CASE))


@pytest.mark.parametrize("method", [m for m in sorted(KINDS) if METHODS[m].needs_maps])
def test_what_needs_maps_refuses_tokens(transformers, pixels, method):
    with refuses("explain_library.channels_first"):
        raw_maps(method, transformers["avg"], pixels, ClassTarget(1))


def test_no_progress_bar_is_printed(model, pixels, capfd):
    raw_maps("ablationcam", model, pixels[:1], ClassTarget(1))
    assert capfd.readouterr().err == ""


def test_the_package_can_be_named_without_the_library():
    import subprocess

    code = "import sys, dermsim.tasks.explain; sys.exit('pytorch_grad_cam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
