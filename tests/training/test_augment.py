import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.training.augment import Views, draw_views, mixer, render_views
from dermsim.training.config import AugmentConfig
from dermsim.training.marks import render_marks

STILL = AugmentConfig(
    min_scale=1, max_aspect=1, brightness=0, contrast=0, saturation=0, hue=0, white_balance=0
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(n: int = 4, height: int = 30, width: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, height, width), generator=generator(1), dtype=torch.uint8)


def identity(n: int, **changes: torch.Tensor) -> Views:
    geometry = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).repeat(n, 1, 1)
    still = Views(geometry, torch.eye(3).repeat(n, 1, 1), torch.ones(n), torch.zeros(n))
    return Views(**{**vars(still), **changes})


def render(views: Views, source: torch.Tensor, size: int) -> torch.Tensor:
    return render_views(source, views, size=size, mean=(0, 0, 0), std=(1, 1, 1))


def test_the_identity_view_is_the_central_square():
    source = pixels()
    torch.testing.assert_close(
        render(identity(4), source, 30), source[..., 5:35].float() / 255, atol=1e-5, rtol=0
    )


def test_mean_and_std_are_taken_off_per_channel():
    source = pixels()
    plain = render(identity(4), source, 30)
    mean, std = torch.tensor([0.7, 0.5, 0.4]), torch.tensor([0.1, 0.2, 0.3])
    normal = render_views(source, identity(4), size=30, mean=mean.tolist(), std=std.tolist())
    expected = (plain - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(normal, expected)


def test_a_quarter_turn_is_numpys():
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0]]).repeat(4, 1, 1)
    square = pixels(height=20, width=20)
    turned = render(identity(4, geometry=turn), square, 20)
    reference = np.rot90(square.numpy(), axes=(3, 2)).copy() / 255
    either = [reference, np.rot90(square.numpy(), axes=(2, 3)).copy() / 255]
    assert any(np.allclose(turned, candidate, atol=1e-4) for candidate in either)


def test_contrast_spreads_around_the_views_own_mean():
    source = (pixels() // 4) + 96  # mid-grey, so that nothing is clipped
    plain = render(identity(4), source, 30)
    spread = render(identity(4, contrast=torch.full((4,), 1.5)), source, 30)
    average = plain.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(spread, average + 1.5 * (plain - average))


def test_color_is_a_matrix_and_brightness_a_shift():
    source = pixels()
    plain = render(identity(4), source, 30)
    matrix = torch.tensor([[0.5, 0.2, 0], [0, 0.6, 0.1], [0.1, 0, 0.7]]).repeat(4, 1, 1)
    colored = render(identity(4, color=matrix, shift=torch.full((4,), 0.1)), source, 30)
    expected = torch.einsum("nij,njhw->nihw", matrix, plain) + 0.1
    torch.testing.assert_close(colored, expected.clamp(0, 1))


def test_color_changes_keep_grey_grey_without_white_balance():
    views = draw_views(
        8, AugmentConfig(white_balance=0, contrast=0, brightness=0), generator=generator()
    )
    grey = torch.full((3,), 0.4)
    torch.testing.assert_close(views.color @ grey, grey.expand(8, 3), atol=1e-5, rtol=0)


def test_zero_strength_only_turns_and_mirrors():
    views = draw_views(16, STILL, generator=generator())
    lengths = views.geometry[:, :, :2].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(16, 2))
    assert views.geometry[:, :, 2].abs().max() == 0
    torch.testing.assert_close(views.color, torch.eye(3).expand(16, 3, 3), atol=1e-6, rtol=0)
    assert {-1, 1} == set(torch.linalg.det(views.geometry[:, :, :2]).round().int().tolist())


def test_a_crop_larger_than_the_square_stays_centred():
    config = AugmentConfig(min_scale=1, max_scale=1.44, max_aspect=1)
    geometry = draw_views(64, config, generator=generator()).geometry
    assert geometry[:, :, 2].abs().max() == 0
    sides = geometry[:, :, :2].norm(dim=1)
    assert 1 <= sides.min() < 1.05 < 1.15 < sides.max() <= 1.2


def test_the_same_generator_state_draws_the_same_views_for_any_share():
    whole = draw_views(8, AugmentConfig(marks=0.5), generator=generator())
    share = draw_views(8, AugmentConfig(marks=0.5), generator=generator())[2:5]
    for name in ("geometry", "color", "contrast", "shift"):
        torch.testing.assert_close(getattr(share, name), getattr(whole, name)[2:5])
    for name, marks in vars(share.marks).items():
        torch.testing.assert_close(marks, getattr(whole.marks, name)[2:5])


def test_a_batch_of_one_is_a_row_of_many():
    source, views = pixels(), draw_views(4, AugmentConfig(), generator=generator())
    torch.testing.assert_close(render(views[2:3], source[2:3], 16), render(views, source, 16)[2:3])


def test_views_are_within_range_and_differ():
    source = pixels(1).repeat(6, 1, 1, 1)
    images = render(draw_views(6, AugmentConfig(), generator=generator()), source, 16)
    assert images.shape == (6, 3, 16, 16)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert (images[0] - images[1]).abs().mean() > 0.01


@pytest.mark.parametrize("field", ["min_scale", "max_scale", "max_aspect", "hue"])
def test_impossible_strengths_are_refused(field):
    with refuses("config.choice", owner="AugmentConfig", name=field, value=-1):
        AugmentConfig(**{field: -1})


def test_soft_views_differ_a_quarter_as_much():
    strong = AugmentConfig(min_scale=0.2, max_scale=1.4, max_aspect=1.4, brightness=0.2, hue=0.04)
    soft = strong.soft()
    assert soft.min_scale == pytest.approx(0.8)
    assert soft.max_scale == pytest.approx(1.1)
    assert soft.max_aspect == pytest.approx(1.1)
    assert soft.brightness == pytest.approx(0.05)
    assert soft.hue == pytest.approx(0.01)
    shifts = draw_views(500, soft, generator=generator()).shift
    assert 0.045 < shifts.abs().max() <= 0.05


def constant_images(n: int) -> torch.Tensor:
    """Image i is i everywhere, so that what came from where can be read off."""
    return torch.arange(float(n))[:, None, None, None].expand(n, 3, 8, 8).clone()


def test_nothing_is_mixed_by_default():
    assert mixer(AugmentConfig(), classes=7) is None


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_labels_are_shared_as_the_pixels_are(kind):
    mix = mixer(AugmentConfig(**{kind: 1.0}, views=1), classes=6)
    with torch.random.fork_rng():
        torch.random.manual_seed(1)
        images, shares = mix(constant_images(6), torch.arange(6))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    assert ((shares > 0) & (shares < 1)).any()
    # Image i shows i: its mean is the mean of the labels it is said to show.
    torch.testing.assert_close(images.mean(dim=(1, 2, 3)), shares @ torch.arange(6.0))


def test_a_view_is_not_mixed_with_another_of_its_image():
    mix = mixer(AugmentConfig(mixup=1.0, views=2), classes=6)
    labels = torch.arange(6).repeat_interleave(2)
    with torch.random.fork_rng():
        torch.random.manual_seed(1)
        images, shares = mix(constant_images(6).repeat_interleave(2, dim=0), labels)
    assert ((shares > 0).sum(dim=1) == 2).all()
    assert (shares[torch.arange(12), labels] > 0).all()
    torch.testing.assert_close(images.mean(dim=(1, 2, 3)), shares @ torch.arange(6.0))


def test_marks_lie_over_the_view_before_it_is_normalised():
    config = AugmentConfig(marks=1.0)
    views = draw_views(4, config, generator=generator())
    plain = Views(views.geometry, views.color, views.contrast, views.shift)
    bare, marked = (render(v, pixels(), 16) for v in (plain, views))
    torch.testing.assert_close(marked, render_marks(bare.clone(), views.marks))
    assert not torch.equal(marked, bare)
    torch.testing.assert_close(render(views[1:3], pixels()[1:3], 16), marked[1:3])
    still = draw_views(4, AugmentConfig(), generator=generator())
    assert still.marks is None
    assert torch.equal(still.geometry, views.geometry)


def test_what_has_no_label_is_mixed_with_its_like():
    mix = mixer(AugmentConfig(mixup=1.0, views=2), classes=6)
    labels = torch.tensor([1, 6, 3, 6, 6]).repeat_interleave(2)
    images = constant_images(5).repeat_interleave(2, dim=0)
    with torch.random.fork_rng():
        torch.random.manual_seed(1)
        mixed, shares = mix(images, labels)
    known = labels < 6
    assert not shares[~known].any()
    assert not shares[known][:, [0, 2, 4, 5]].any()
    # Images 0 and 2 are the labelled ones, 1, 3 and 4 the others.
    brightness = mixed.mean(dim=(1, 2, 3))
    torch.testing.assert_close(brightness[known], 2 * shares[known, 3])
    assert ((brightness[~known] > 1) & (brightness[~known] < 4)).all()


def test_with_both_each_batch_gets_one():
    mix = mixer(AugmentConfig(mixup=1.0, cutmix=1.0), classes=6)
    blended = []
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        for _ in range(20):
            images, _ = mix(constant_images(6), torch.arange(6))
            blended.append(bool((images != images.round()).any()))
    assert 0 < sum(blended) < 20


def test_coarse_views_have_lost_their_detail_and_nothing_else():
    source = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    source[:, :, ::2, ::2] = 255  # single bright pixels, a quarter of all
    detail = torch.tensor([1.0, 0.5, 0.25])
    plain, half, quarter = render(identity(3, detail=detail), source, 64)
    assert plain.std() > 4 * half[:, 8:-8, 8:-8].std()
    for coarse in (half, quarter):
        assert coarse.mean() == pytest.approx(plain.mean().item(), abs=0.02)


def test_a_share_of_the_views_is_coarse():
    views = draw_views(2000, AugmentConfig(coarse=0.3), generator=generator())
    assert (views.detail < 1).float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert draw_views(5, AugmentConfig(), generator=generator()).detail is None
    assert views[3:7].detail.tolist() == views.detail[3:7].tolist()
