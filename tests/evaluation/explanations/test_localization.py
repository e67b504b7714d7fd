"""Maps against outlines, by hand and against a loop."""

import numpy as np
import pytest

from dermsim.evaluation.explanations.localization import (
    THRESHOLDS,
    best_threshold,
    energy,
    overlap,
    pointing,
)

OUTLINE = np.array([[[True, True, False], [True, False, False]]])


def one(values):
    return np.array([values], dtype=np.float32)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0, 0.2, 0.9], [0, 0, 0]], 1.0),
        ([[0.5, 0.2, 0.9], [0, 0, 0]], 0.0),
        ([[0.9, 0.2, 0.9], [0, 0, 0]], 0.5),  # a shared peak counts in part
        ([[1.0, 1, 1], [1, 1, 1]], 0.5),  # of a flat map, the share of the lesion's area
        ([[0.0, 0, 0], [0, 0, 0]], 0.0),  # no evidence points nowhere
    ],
)
def test_pointing(values, expected):
    assert pointing(one(values), OUTLINE).tolist() == [expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0, 0.5, 0.5], [0.5, 0.5, 0.0]], 2 / 3),
        ([[1.0, 1, 1], [1, 1, 1]], 0.5),
        ([[0.0, 0, 0], [0, 0, 0]], 0.0),
    ],
)
def test_energy(values, expected):
    assert energy(one(values), OUTLINE)[0] == pytest.approx(expected)


def test_measures_do_not_depend_on_the_scale_of_a_map():
    rng = np.random.default_rng(0)
    maps, outlines = rng.random((5, 8, 8)), rng.random((5, 8, 8)) > 0.6
    for measure in (pointing, energy, overlap):
        np.testing.assert_allclose(measure(maps, outlines), measure(7 * maps, outlines))


def test_overlap_against_a_loop():
    rng = np.random.default_rng(1)
    maps, outlines = rng.random((4, 6, 6)).astype(np.float32), rng.random((4, 6, 6)) > 0.5
    found = overlap(maps, outlines)
    assert found.shape == (4, len(THRESHOLDS)) and THRESHOLDS[0] == 0.05
    for i in range(4):
        for j, threshold in enumerate(THRESHOLDS):
            region = {tuple(p) for p in np.argwhere(maps[i] / maps[i].max() >= threshold)}
            lesion = {tuple(p) for p in np.argwhere(outlines[i])}
            expected = len(region & lesion) / len(region | lesion)
            assert found[i, j] == pytest.approx(expected)


def test_a_map_without_evidence_overlaps_nothing():
    assert not overlap(np.zeros((1, 2, 3)), OUTLINE).any()


def test_the_threshold_is_best_for_the_mean_over_classes():
    overlaps = np.zeros((5, len(THRESHOLDS)))
    overlaps[:4, 3] = 0.6  # four of one class
    overlaps[4, 9] = 0.9  # one of another: its mean counts as much
    labels = np.array([2, 2, 2, 2, 5])
    assert best_threshold(overlaps, labels, num_classes=7) == 9
    assert best_threshold(overlaps[:4], labels[:4], num_classes=7) == 3
    assert best_threshold(np.ones_like(overlaps), labels, num_classes=7) == 0
