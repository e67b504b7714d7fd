"""Hairs and rulers over views."""

import math

import pytest
import torch

from dermsim.training.marks import HAIRS, Marks, draw_marks, render_marks

SIDE = 64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nothing(n: int = 1) -> Marks:
    marks = Marks(torch.zeros(n, HAIRS, 8), torch.zeros(n, 6))
    marks.hairs[..., 4:6] = torch.tensor([1.0, 0.05])
    marks.rulers[:, 2] = 0.2
    return marks


def covered(marks: Marks) -> torch.Tensor:
    """Where white becomes dark, ``(N, S, S)``."""
    return 1 - render_marks(torch.ones(len(marks.rulers), 3, SIDE, SIDE), marks)[:, 2]


def test_what_is_not_there_changes_nothing():
    images = torch.rand(1, 3, 8, 8, generator=generator())
    assert torch.equal(render_marks(images.clone(), nothing()), images)


@pytest.mark.parametrize("angle", [0, math.pi / 2])
def test_a_straight_hair_lies_where_it_should(angle):
    marks = nothing()
    marks.hairs[0, 0] = torch.tensor([angle, 0.5, 0, 0, 0.5, 0.1, 1, 0])
    dark = covered(marks)[0] > 0.5
    if angle == 0:  # along x, below the centre, half as long as the view
        rows, columns = dark.any(dim=1).nonzero(), dark.any(dim=0).nonzero()
        middle = 0.75 * SIDE
    else:  # along y, left of the centre
        columns, rows = dark.any(dim=1).nonzero(), dark.any(dim=0).nonzero()
        middle = 0.25 * SIDE
    assert (rows.min() + rows.max()).item() / 2 == pytest.approx(middle, abs=1)
    assert len(rows) == pytest.approx(0.1 * SIDE, abs=1)
    assert len(columns) == pytest.approx(0.5 * SIDE, abs=1)


def test_a_bent_hair_leaves_its_line():
    straight, bent = nothing(), nothing()
    straight.hairs[0, 0] = torch.tensor([0, 0, 0, 0, 1, 0.03, 1, 0])
    bent.hairs[0, 0] = torch.tensor([0, 0, 0.5, 0, 1, 0.03, 1, 0])
    middle, end = SIDE // 2, SIDE - 1
    assert covered(straight)[0, middle, middle] > 0.5 < covered(bent)[0, middle, middle]
    assert covered(straight)[0, middle, end] > 0.5 > covered(bent)[0, middle, end]
    assert covered(bent)[0, round(0.75 * SIDE), end] > 0.5


def test_opacity_and_brightness_blend():
    marks = nothing()
    marks.hairs[0, 0] = torch.tensor([0, 0, 0, 0, 2, 0.2, 0.5, 0.4])
    image = render_marks(torch.full((1, 3, SIDE, SIDE), 0.8), marks)
    assert image[0, 0, SIDE // 2, SIDE // 2].item() == pytest.approx((0.8 + 0.4) / 2)


def test_a_ruler_has_marks_of_which_every_fifth_is_longer():
    marks = nothing()
    marks.rulers[0] = torch.tensor([0, 1 / SIDE, 0.2, 0.5, 1, 0])  # on the middle of a row
    dark = covered(marks)[0] > 0.5
    assert not dark[: SIDE // 2 - 2].any()
    assert dark[SIDE // 2].all()
    # A mark between two columns of pixels darkens both a little.
    heights = (covered(marks)[0, SIDE // 2 + 2 :] > 0.1).sum(dim=0)
    starts = (heights > 0).int().diff().clamp(min=0).sum()
    assert starts == 10  # the first of eleven has no start: it lies at the edge
    assert heights.max() > 1.4 * heights[heights > 0].median()


def test_marks_come_as_often_as_asked_and_in_any_share_of_a_batch():
    marks = draw_marks(400, 0.25, generator=generator())
    with_ruler = (marks.rulers[:, 4] > 0).float().mean()
    with_hair = (marks.hairs[:, :, 6].amax(dim=1) > 0).float().mean()
    assert with_ruler.item() == pytest.approx(0.25, abs=0.06)
    assert with_hair.item() == pytest.approx(0.22, abs=0.06)
    whole = covered(marks[:20])
    torch.testing.assert_close(covered(marks[5:9]), whole[5:9])
    seen = (whole > 0).any(dim=(1, 2))
    assert torch.equal(seen, (marks.hairs[:20, :, 6].amax(1) > 0) | (marks.rulers[:20, 4] > 0))
    assert not covered(draw_marks(20, 0.0, generator=generator())).any()
