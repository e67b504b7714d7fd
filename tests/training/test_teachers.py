"""Learning from other encoders' answers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from refusals import refuses

from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.color_constancy_dermsim import shades_of_grey
from dermsim.training.teachers import Teachers, shades_of_grey_batch

PRIOR = torch.linspace(-3, -1, 7)
OURS = DermSimImageProcessor(image_mean=[0.6, 0.5, 0.4], image_std=[0.2, 0.25, 0.3])
OTHER = DermSimImageProcessor(image_mean=[0.5, 0.5, 0.5], image_std=[0.1, 0.1, 0.1])


def build(seed):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        config = DermSimConfig(backbone="test_resnet", embed_dim=16 + seed)
        return DermSimModel(config).eval()


@pytest.fixture(scope="module")
def photographs():
    """In [0, 1], with light of a colour."""
    pictures = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return pictures * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1)


def seen_by(processor, photographs):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    return (photographs - mean) / std


def test_the_light_of_a_batch_is_that_of_its_images(photographs):
    some = photographs.clone()
    some[0] = 0
    some[1, 2] = 0  # no blue at all
    found = shades_of_grey_batch(some).numpy()
    for ours, image in zip(found, some.numpy(), strict=True):
        np.testing.assert_allclose(ours, shades_of_grey(image), rtol=1e-5)
    assert not np.allclose(found[2:], some[2:].numpy(), atol=0.05)


def test_each_teacher_sees_the_colors_it_knows(photographs):
    first, second = build(0), build(1)
    constant = DermSimImageProcessor(
        image_mean=OTHER.image_mean, image_std=OTHER.image_std, do_color_constancy=True
    )
    teachers = Teachers([(first, OTHER), (second, constant)], OURS, PRIOR)
    taught = teachers(seen_by(OURS, photographs))
    with torch.no_grad():
        one = first(seen_by(OTHER, photographs))
        two = second(seen_by(OTHER, shades_of_grey_batch(photographs)))
    logits = (F.log_softmax(one.logits, 1) + F.log_softmax(two.logits, 1)) / 2 + PRIOR
    torch.testing.assert_close(taught.logits, logits, rtol=1e-4, atol=1e-4)
    cosines = (one.embeddings @ one.embeddings.T + two.embeddings @ two.embeddings.T) / 2
    torch.testing.assert_close(taught.embeddings @ taught.embeddings.T, cosines, rtol=0, atol=1e-4)


def test_colors_made_constant_for_the_pupil_are_not_made_so_again(photographs):
    constant = DermSimImageProcessor(
        image_mean=OURS.image_mean, image_std=OURS.image_std, do_color_constancy=True
    )
    model = build(0)
    views = seen_by(OURS, photographs)
    taught = Teachers([(model, constant)], constant, torch.zeros(7))(views)
    with torch.no_grad():
        expected = F.log_softmax(model(views).logits, 1)
    torch.testing.assert_close(taught.logits, expected, rtol=1e-4, atol=1e-4)


def test_colors_that_are_gone_are_refused():
    constant = DermSimImageProcessor(do_color_constancy=True)
    with refuses("teachers.color_constancy"):
        Teachers([(build(0), OURS)], constant, PRIOR)


def test_a_teacher_does_not_learn(engine, checkpoint):
    teachers = Teachers.load([checkpoint], engine.processor, log_prior=PRIOR)
    teachers.train()
    assert not any(module.training for module in teachers.modules())
    assert not any(parameter.requires_grad for parameter in teachers.parameters())


def test_a_teacher_that_is_not_there_is_an_error(engine, tmp_path):
    with refuses("core_checkpoint.lacks_files", FileNotFoundError):
        Teachers.load([tmp_path], engine.processor, log_prior=PRIOR)
