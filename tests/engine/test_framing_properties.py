"""The square that an encoder sees lies on the photograph where it was cut from."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dermsim.engine.framing import Frame, cut_region, place_heatmap
from dermsim.tasks.explain import Heatmap

SIDES = st.integers(24, 200)
FRAMES = st.builds(Frame, seen=st.floats(0.5, 1.0), whole=st.booleans())


def heatmap(values) -> Heatmap:
    return Heatmap(values=values, peak=1.0, method="gradcam", target="mel")


def shown(frame: Frame, width: int, height: int) -> tuple[slice, slice]:
    """Rows and columns of the photograph that lie in the square."""
    side = frame.side((width, height))
    rows, columns = (
        slice((length - min(side, length)) // 2, (length - min(side, length)) // 2 + side)
        for length in (height, width)
    )
    return rows, columns


@given(width=SIDES, height=SIDES, frame=FRAMES, side=st.integers(8, 64), seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_nothing_outside_the_square_is_touched(width, height, frame, side, seed):
    values = np.random.default_rng(seed).random((side, side), dtype=np.float32)
    placed = place_heatmap(heatmap(values), (width, height), frame).values
    assert placed.shape == (height, width)
    assert placed.min() >= 0 and placed.max() <= values.max() + 1e-6
    placed[shown(frame, width, height)] = 0
    assert not placed.any()


@given(width=SIDES, height=SIDES, frame=FRAMES, level=st.floats(0, 1, width=32))
@settings(max_examples=80, deadline=None)
def test_a_level_map_is_level_on_all_that_is_seen(width, height, frame, level):
    values = np.full((16, 16), level, dtype=np.float32)
    placed = place_heatmap(heatmap(values), (width, height), frame).values
    np.testing.assert_allclose(placed[shown(frame, width, height)], level, atol=1e-6)
    if not frame.whole:
        back = cut_region(placed, (width, height), side=16, frame=frame)
        np.testing.assert_allclose(back, level, atol=1e-6)


@given(width=SIDES, height=SIDES, frame=FRAMES, row=st.integers(0, 7), column=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_a_spot_comes_back_to_its_own_cell(width, height, frame, row, column):
    assume(frame.side((width, height)) >= 8)
    photograph = np.ones((height, width), dtype=np.float32)
    assume(cut_region(photograph, (width, height), side=8, frame=frame)[row, column] == 1)
    values = np.zeros((8, 8), dtype=np.float32)
    values[row, column] = 1.0
    placed = place_heatmap(heatmap(values), (width, height), frame).values
    back = cut_region(placed, (width, height), side=8, frame=frame)
    assert np.unravel_index(back.argmax(), back.shape) == (row, column)


@given(width=SIDES, height=SIDES, seen=st.floats(0.5, 1.0), level=st.floats(0, 1, width=32))
@settings(max_examples=80, deadline=None)
def test_a_squashed_square_is_stretched_over_its_share_of_both_sides(width, height, seen, level):
    frame = Frame(seen, squashed=True)
    values = np.full((16, 16), level, dtype=np.float32)
    found = place_heatmap(heatmap(values), (width, height), frame)
    across, down = round(width * seen), round(height * seen)
    left, top = (width - across) // 2, (height - down) // 2
    inside = found.values[top : top + down, left : left + across]
    np.testing.assert_allclose(inside, level, atol=1e-6)
    assert found.seen == (
        left / width,
        top / height,
        (left + across) / width,
        (top + down) / height,
    )
    back = cut_region(found.values, (width, height), side=16, frame=frame)
    np.testing.assert_allclose(back, level, atol=1e-6)
