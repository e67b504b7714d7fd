"""The figure of good and bad explanations."""

import numpy as np
import pytest
from figure import FIGURE, GAP, TILE, good_and_bad

ROOM = 20
"""Pixels above which two pixels are said to differ in colour."""


@pytest.fixture(scope="module")
def drawn(engine):
    return good_and_bad(engine, each=1, columns=2)


def test_two_rows_of_pictures_under_their_titles(drawn):
    assert drawn.width == GAP + 2 * (TILE + GAP)
    pixels = np.asarray(drawn).astype(int)
    # rows of a picture are coloured from its first column to its last
    coloured = (np.ptp(pixels[:, GAP : GAP + TILE], axis=2) > ROOM).mean(axis=1) > 0.5
    starts = np.flatnonzero(np.diff(coloured.astype(int)) == 1)
    assert len(starts) == 2
    assert coloured.sum() == pytest.approx(2 * TILE, rel=0.1)
    outline = (pixels[coloured][:, GAP : GAP + TILE] == 255).all(axis=2)
    assert outline.any(), "the outline of the lesion is drawn"


def test_the_same_checkpoint_gives_the_same_figure(drawn, engine):
    again = good_and_bad(engine, each=1, columns=2)
    assert np.array_equal(again, drawn)


def test_another_method_gives_another(drawn, engine):
    assert not np.array_equal(good_and_bad(engine, method="layercam", each=1, columns=2), drawn)


@pytest.mark.parametrize("columns", [0, 4])
def test_more_pictures_than_lesions(engine, columns):
    with pytest.raises(ValueError, match=rf"{2 * columns} pictures cannot be chosen of 7 lesions"):
        good_and_bad(engine, each=1, columns=columns)


def test_the_figure_of_the_readme_is_there():
    assert FIGURE.is_file()
