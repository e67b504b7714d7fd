"""Score-CAM: against pytorch-grad-cam and a slow loop, asking no more than it must."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dermsim.tasks.explain import ClassTarget, SimilarityTarget, explain
from dermsim.tasks.explain import scorecam as module
from dermsim.tasks.explain.opening import open_model


def slow(model, image, score):
    """Equations 3 to 6 of the paper for one image (1, 3, H, W), one channel after another."""
    with torch.no_grad():
        (activations,) = model.encode(image)
        scores = []
        for channel in activations:
            mask = F.interpolate(
                channel[None, None], size=image.shape[2:], mode="bilinear", align_corners=True
            )
            if mask.max() > mask.min():
                mask = (mask - mask.min()) / (mask.max() - mask.min())
            else:
                mask = torch.zeros_like(mask)
            scores.append(score(model.decode(model.encode(image * mask)))[0])
        weights = torch.softmax(torch.stack(scores), dim=0)
        return (weights[:, None, None] * activations).sum(dim=0)


@pytest.mark.parametrize("kind", ["class", "similarity"])
def test_against_a_slow_loop(model, pixels, kind):
    case = np.random.default_rng(2).normal(size=16)
    target = ClassTarget(4) if kind == "class" else SimilarityTarget(case)
    opened = open_model(model, pixels)
    (found,) = module.scorecam(opened, [target] * len(pixels))
    for image, raw in zip(pixels, found, strict=True):
        torch.testing.assert_close(raw, slow(model, image[None], target), rtol=1e-3, atol=1e-5)


def test_against_pytorch_grad_cam(model, pixels, library_maps, own_maps):
    expected = library_maps(
        "scorecam", model, "logits", pixels, lambda output: output[1], layer="layer4"
    )
    actual = own_maps("scorecam", model, pixels, ClassTarget(1))
    assert expected.max() > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_each_image_has_its_own_target(model, pixels):
    goals = [ClassTarget(0), ClassTarget(6), ClassTarget(0)]
    together = explain(model, pixels, target=goals, target_name=["a", "b", "c"], method="scorecam")
    assert [heatmap.target for heatmap in together] == ["a", "b", "c"]
    for i, heatmap in enumerate(together):
        (alone,) = explain(
            model, pixels[i : i + 1], target=goals[i], target_name="t", method="scorecam"
        )
        np.testing.assert_allclose(heatmap.values, alone.values, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_does_not_matter(model, pixels, batch_size):
    opened = open_model(model, pixels)
    goals = [ClassTarget(2)] * len(pixels)
    (expected,) = module.scorecam(opened, goals)
    (actual,) = module.scorecam(opened, goals, batch_size=batch_size)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_a_mask_is_asked_once_however_many_channels_give_it():
    maps = torch.zeros(6, 2, 2)
    maps[1] = 5.0  # flat: hides all, as an empty channel does
    maps[2, 0, 0] = 3.0
    maps[3, 0, 0] = 0.1  # the same place, fainter
    maps[4, 1, 1] = 1.0
    maps[5] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    masks, rows = module._distinct_masks(maps)
    assert len(masks) == 4
    assert rows[0] == rows[1] and rows[2] == rows[3]
    assert len({int(rows[i]) for i in (0, 2, 4, 5)}) == 4
    assert not masks[rows[0]].any()
    torch.testing.assert_close(masks[rows[5]], torch.tensor([[0.0, 1 / 3], [2 / 3, 1.0]]))


@pytest.fixture
def few(monkeypatch):
    """Let a part of few masks be enough."""
    monkeypatch.setattr(module, "ENOUGH", 1)


def test_the_strongest_masks_are_asked(few):
    maps = torch.rand(10, 3, 3, generator=torch.Generator().manual_seed(0))
    maps *= torch.tensor([1.0, 9, 2, 8, 3, 7, 4, 6, 5, 0.1])[:, None, None]
    masks, rows = module._distinct_masks(maps)
    asked = module._strongest(maps, rows, 0.3)
    strongest = maps.sum(dim=(1, 2)).argsort(descending=True)[:3]
    assert asked.tolist() == rows[strongest].tolist()
    assert len(module._strongest(maps, rows, 1.0)) == len(masks)


def test_a_part_of_the_masks_tells_the_scores_of_the_others():
    """Scores that change smoothly with the mask are told from a third of them."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(300, 2, 2, generator=generator)
    scores = torch.sin(2 * masks[:, 0, 0]) + masks[:, 1, 1] ** 2
    places = torch.arange(0, 300, 3)
    found = module._interpolate(masks, places, scores[places])
    assert torch.equal(found[places], scores[places]), "what was asked is what was answered"
    rest = torch.ones(300, dtype=torch.bool)
    rest[places] = False
    error = (found - scores)[rest].abs().max()
    assert error < 0.1 * (scores.max() - scores.min())
    every = torch.arange(300)
    assert torch.equal(module._interpolate(masks, every, scores), scores)


def test_maps_from_a_part_are_close_to_those_from_all(few, model, pixels, monkeypatch):
    asked = []
    ask = module._ask
    monkeypatch.setattr(module, "_ask", lambda *args: asked.append(len(args[2])) or ask(*args))
    opened = open_model(model, pixels)
    goals = [ClassTarget(4)] * len(pixels)
    (expected,), (found,) = (module.scorecam(opened, goals, share=s) for s in (1.0, 0.4))
    assert asked[1] < 0.5 * asked[0]
    for one, other in zip(expected, found, strict=True):
        assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.98
        # a weight common to all channels is of no account
        assert (one / one.max() - other / other.max()).abs().max() < 0.1


def test_the_channels_of_members_on_one_grid_are_as_if_one_models(model, halves, pixels, own_maps):
    expected = own_maps("scorecam", model, pixels, ClassTarget(4))
    actual = own_maps("scorecam", halves, pixels, ClassTarget(4))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * expected.max())
