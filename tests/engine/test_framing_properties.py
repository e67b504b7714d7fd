"""The square that an encoder sees lies on the photograph where it was cut from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dermsim.engine.framing import cut_region, place_heatmap
from dermsim.tasks.explain import Heatmap

SIDES = st.integers(24, 200)
SEEN = st.floats(0.5, 1.0)


def heatmap(values) -> Heatmap:
    return Heatmap(values=values, peak=1.0, method="gradcam", target="mel")


@given(width=SIDES, height=SIDES, seen=SEEN, side=st.integers(8, 64), seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_nothing_outside_the_square_is_touched(width, height, seen, side, seed):
    values = np.random.default_rng(seed).random((side, side), dtype=np.float32)
    placed = place_heatmap(heatmap(values), (width, height), seen=seen).values
    assert placed.shape == (height, width)
    assert placed.min() >= 0 and placed.max() <= values.max() + 1e-6
    shown = round(min(width, height) * seen)
    top, left = (height - shown) // 2, (width - shown) // 2
    placed[top : top + shown, left : left + shown] = 0
    assert not placed.any()


@given(width=SIDES, height=SIDES, seen=SEEN, level=st.floats(0, 1, width=32))
@settings(max_examples=80, deadline=None)
def test_a_level_map_comes_back_level(width, height, seen, level):
    side = 16
    placed = place_heatmap(
        heatmap(np.full((side, side), level, dtype=np.float32)), (width, height), seen=seen
    )
    back = cut_region(placed.values, (width, height), side=side, seen=seen)
    np.testing.assert_allclose(back, level, atol=1e-6)


@given(width=SIDES, height=SIDES, seen=SEEN, row=st.integers(0, 7), column=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_a_spot_comes_back_to_its_own_cell(width, height, seen, row, column):
    side = 8
    shown = round(min(width, height) * seen)
    values = np.zeros((side, side), dtype=np.float32)
    values[row, column] = 1.0
    placed = place_heatmap(heatmap(values), (width, height), seen=seen)
    back = cut_region(placed.values, (width, height), side=side, seen=seen)
    if shown >= side:
        assert np.unravel_index(back.argmax(), back.shape) == (row, column)
