"""Crops around drawn lesions, and drawn lesions on other skin."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refuses

from dermsim.data.outlines import Outlines
from dermsim.data.synthetic import synthetic_ham10000, synthetic_outlines
from dermsim.training.augment import draw_views, render_views
from dermsim.training.config import AugmentConfig
from dermsim.training.lesions import OWN, Lesions, soft_masks, without_lesions
from dermsim.training.training_set import TrainingSet

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def rows():
    return synthetic_ham10000(28, seed=0)


@pytest.fixture(scope="module")
def drawn():
    return synthetic_outlines(28, seed=0)


@pytest.fixture(scope="module")
def outlines(drawn):
    return Outlines({name: picture.copy for name, picture in drawn.items()})


@pytest.fixture(scope="module")
def train(rows, outlines):
    return TrainingSet.load(rows, outlines=outlines, image_size=64, device=CPU)


def test_outlines_lie_where_the_photographs_do(rows, train, drawn):
    expected = np.stack([np.asarray(drawn[name]) for name in rows["image_id"]])
    assert np.array_equal(train.outlined.masks.numpy(), expected)
    assert train.outlined.mask_of.tolist() == list(range(len(rows)))


def test_boxes_touch_the_lesion(train):
    short = 150
    for mask, (x, y, extent) in zip(
        train.outlined.masks, train.outlined.boxes.tolist(), strict=True
    ):
        down, across = (mask.any(dim=axis).nonzero().flatten() for axis in (1, 0))
        ends = [(int(d[0]), int(d[-1]) + 1) for d in (across, down)]
        middle = [(a + b) / 2 for a, b in ends]
        assert x * short / 2 + 100 == pytest.approx(middle[0], abs=1e-3)
        assert y * short / 2 + 75 == pytest.approx(middle[1], abs=1e-3)
        assert extent * short == pytest.approx(max(b - a for a, b in ends), abs=1e-3)


@pytest.mark.parametrize("whole", [False, True])
def test_outlines_are_framed_as_the_photographs_are(rows, outlines, drawn, whole):
    """A picture that is its own outline stays that, cropped or padded."""
    few = rows.select(range(4))
    twins = few.map(lambda row: {"image": drawn[row["image_id"]].convert("RGB")})
    train = TrainingSet.load(
        twins.cast(rows.features), outlines=outlines, image_size=140, device=CPU, whole=whole
    )
    height, width = train.pixels.shape[-2:]
    assert (height, width) == (168, 168 if whole else 224)
    assert torch.equal(train.pixels[:, 0] >= 128, train.outlined.masks)


def test_photographs_without_an_outline_go_without(rows, drawn):
    known = Outlines({name: drawn[name].copy for name in rows["image_id"][:10]})
    train = TrainingSet.load(rows, unlabelled=[rows], outlines=known, image_size=64, device=CPU)
    lesions = train.outlined
    assert len(lesions.masks) == 20, "of both sources"
    assert (lesions.mask_of[:10] == torch.arange(10)).all()
    assert (lesions.mask_of[10:56] == OWN).all() and not lesions.boxes[10:56].any()
    chosen = torch.tensor([11, 2])
    taken = train.photographs(chosen, torch.tensor([3, OWN]))
    assert torch.equal(taken, train.pixels[chosen])


def test_no_outline_at_all_is_refused(rows):
    with refuses("lesions.no_outline"):
        TrainingSet.load(rows, outlines=Outlines({}), image_size=64, device=CPU)


def test_an_outline_of_another_picture_is_refused(rows):
    wrong = Outlines({rows["image_id"][0]: lambda: Image.new("1", (80, 80), 1)})
    with refuses("outlines.other_size"):
        TrainingSet.load(rows, outlines=wrong, image_size=64, device=CPU)


def test_the_lesion_stays_and_its_surroundings_are_anothers(train):
    lesions, chosen, donors = train.outlined, torch.arange(6), torch.arange(30, 36)
    mixed = train.photographs(chosen, donors).float()
    own, other = (train.pixels[rows].float() for rows in (chosen, donors))
    inside = lesions.masks[chosen]
    near = soft_masks(inside) > 0
    near_other = soft_masks(lesions.masks[donors]) > 0
    assert torch.equal(mixed.movedim(1, -1)[inside], own.movedim(1, -1)[inside])
    outside = ~near & ~near_other
    difference = (mixed - other).movedim(1, -1)[outside].abs()
    assert outside.float().mean() > 0.3 and difference.max() <= 1


def test_the_donors_lesion_is_not_seen(train):
    """Blue lesions are painted over, and no blue comes along."""
    pixels = train.pixels.clone()
    masks = train.outlined.masks
    skin = torch.tensor([220, 170, 150], dtype=torch.uint8)[:, None, None].expand_as(pixels[0])
    blue = torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None].expand_as(pixels[0])
    for row in range(len(pixels)):
        pixels[row] = torch.where(masks[row], blue, skin)
    chosen, donors = torch.arange(6), torch.arange(30, 36)
    mixed = train.outlined.exchange(pixels, chosen, donors).float()
    beyond = soft_masks(masks[chosen]) == 0
    found = mixed.movedim(1, -1)[beyond]
    assert (found - torch.tensor([220.0, 170, 150])).abs().max() <= 1


def test_filling_keeps_what_is_outside_and_averages_what_is_around():
    image = torch.zeros(1, 3, 40, 48)
    image[..., 24:] = 200
    mask = torch.zeros(1, 40, 48, dtype=torch.bool)
    mask[:, 10:30, 14:34] = True
    filled = without_lesions(image, mask)
    far = soft_masks(mask)[0] == 0
    assert torch.equal(filled[0, :, far], image[0, :, far])
    middle = filled[0, 0, 20]
    assert middle[14] < middle[20] < middle[24] < middle[30] and 60 < middle[24] < 140
    assert filled.min() >= 0 and filled.max() <= 200 + 1e-3


def test_the_edge_is_soft_and_the_lesion_whole():
    mask = torch.zeros(1, 100, 100, dtype=torch.bool)
    mask[:, 40:60, 40:60] = True
    cover = soft_masks(mask)
    assert (cover[mask] == 1).all() and cover[0, 0, 0] == 0
    across = cover[0, 50, :40]
    assert (across.diff() >= 0).all() and ((across > 0) & (across < 1)).sum() >= 6


def test_surroundings_are_exchanged_as_often_as_asked(train):
    lesions = train.outlined
    donors = lesions.draw_donors(4000, 0.3, generator=generator())
    assert (donors != OWN).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert set(donors.tolist()) - {OWN} <= set(lesions.donors.tolist())
    again = lesions.draw_donors(4000, 0.3, generator=generator())
    assert torch.equal(donors, again)
    assert (lesions.draw_donors(50, 0.0, generator=generator()) == OWN).all()


def test_a_lesion_that_fills_the_picture_gives_no_surroundings(rows):
    names = list(rows["image_id"])
    full = Outlines(dict.fromkeys(names, lambda: Image.new("1", (200, 150), 1)))
    lesions = TrainingSet.load(rows, outlines=full, image_size=64, device=CPU).outlined
    assert len(lesions.donors) == 0
    assert (lesions.draw_donors(9, 1.0, generator=generator()) == OWN).all()


AROUND = AugmentConfig(lesion_crops=1, lesion_min=0.5, lesion_max=0.8, max_aspect=1)


def shown(train, views, rows):
    """How large the lesion is in views of its mask, as a share of the side."""
    masks = (255 * train.outlined.masks[rows].to(torch.uint8))[:, None].expand(-1, 3, -1, -1)
    seen = render_views(masks, views, size=100, mean=(0, 0, 0), std=(1, 1, 1))[:, 0]
    return seen > 0.5


def test_views_are_cut_around_the_lesion_at_the_chosen_scale(train):
    colours = ("brightness", "contrast", "saturation", "hue", "white_balance")
    plain = replace(AROUND, **dict.fromkeys(colours, 0.0))
    rows = torch.arange(len(train)).repeat(4)
    views = draw_views(len(rows), plain, generator=generator())
    moved = views.on_lesions(train.outlined.boxes[rows])
    seen = shown(train, moved, rows)
    areas = train.outlined.masks[rows].float().sum(dim=(1, 2)) / 150**2
    # Of the side of a view, its box takes the drawn share: the area tells the magnification.
    side = (seen.float().mean(dim=(1, 2)) / areas).rsqrt()
    drawn = train.outlined.boxes[rows, 2] / views.around[:, 0]
    inside = (drawn > 0.25) & (drawn < 1.2)
    ratio = (side / drawn)[inside]
    assert inside.float().mean() > 0.5
    assert ratio.median().item() == pytest.approx(1, abs=0.03)
    assert not torch.equal(views.geometry, moved.geometry)


def test_a_share_of_the_views_is_cut_so_and_the_others_stay(train):
    config = AugmentConfig(lesion_crops=0.25)
    views = draw_views(2000, config, generator=generator())
    boxes = train.outlined.boxes[torch.arange(len(train)).repeat(40)[:2000]]
    moved = views.on_lesions(boxes)
    same = (moved.geometry == views.geometry).all(dim=2).all(dim=1)
    assert (~same).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(same, views.around[:, 0] == 0)
    unknown = views.on_lesions(torch.zeros(2000, 3))
    assert torch.equal(unknown.geometry, views.geometry)
    assert torch.equal(views[3:7].on_lesions(boxes[3:7]).geometry, moved.geometry[3:7])


def test_what_is_not_asked_for_draws_nothing():
    plain = draw_views(5, AugmentConfig(), generator=(one := generator()))
    assert plain.around is None and plain.on_lesions(torch.ones(5, 3)) is plain
    draw_views(5, AROUND, generator=(other := generator()))
    assert not torch.equal(one.get_state(), other.get_state())


def test_lesions_can_be_loaded_alone(rows, outlines):
    lesions = Lesions.load(
        [rows.select(range(2))],
        outlines,
        fit=lambda image: np.asarray(image.resize((40, 30))).transpose(2, 0, 1),
        device=CPU,
    )
    assert lesions.masks.shape == (2, 30, 40)
