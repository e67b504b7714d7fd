"""Whether a head may point: only where it beats every control beyond doubt."""

import numpy as np
import pytest
from refusals import refuses
from sklearn.metrics import roc_auc_score

from dermsim.tasks.concepts.regions import (
    CONTROLS,
    RegionFigures,
    best_cut,
    centre_map,
    measure_regions,
    pixel_auc,
    presence_maps,
)

N, G = 40, 12


@pytest.fixture(scope="module")
def drawn():
    """Lesions with a structure at one side, and maps that know it more or less."""
    rng = np.random.default_rng(0)
    lesions = np.zeros((N, G, G), dtype=bool)
    lesions[:, 2:10, 2:10] = True
    regions = np.zeros((N, G, G), dtype=np.float32)
    for row in range(N):
        side = rng.integers(2, 7)
        regions[row, 2:10, side : side + 3] = 1
    known = regions + rng.normal(0, 0.4, regions.shape)
    chance = rng.normal(size=regions.shape)
    return lesions, regions, known, chance


def measured(drawn, dense, rival):
    lesions, regions, _, chance = drawn
    controls = {
        "gaussian": np.broadcast_to(centre_map(G), regions.shape),
        "darkness": chance,
        "other": rival,
        "cam": -chance,
    }
    groups = [str(row) for row in range(N)]
    return measure_regions(
        dense, controls, regions, lesions, groups=groups, other="clover", resamples=200
    )


def test_a_map_that_knows_may_point(drawn):
    found = measured(drawn, drawn[2], drawn[3])
    assert found.may_point
    assert found.dense.value > 0.9
    assert set(found.controls) == set(found.gains) == set(CONTROLS)


def test_a_map_of_chance_may_not(drawn):
    assert not measured(drawn, drawn[3][::-1], drawn[3]).may_point


def test_one_equal_control_is_enough_to_forbid_it(drawn):
    found = measured(drawn, drawn[2], drawn[2])
    assert found.gains["other"].value == 0
    assert not found.may_point


def test_figures_are_rebuilt_and_contradictions_refused(drawn):
    values = measured(drawn, drawn[2], drawn[3]).to_dict()
    assert RegionFigures.from_dict(values).to_dict() == values
    with refuses("concepts_regions.may_point", told=False):
        RegionFigures.from_dict({**values, "may_point": False})
    fewer = {**values, "gains": {}}
    with refuses("storage.keys", name="the gains of a region"):
        RegionFigures.from_dict(fewer)


def test_pixel_auc_is_that_of_the_cells_in_the_lesion(drawn):
    lesions, regions, known, _ = drawn
    found = pixel_auc(known, regions, lesions)
    for row in range(3):
        truth, score = regions[row][lesions[row]] >= 0.5, known[row][lesions[row]]
        assert found[row] == pytest.approx(roc_auc_score(truth, score))


def test_a_lesion_without_both_kinds_of_cells_is_not_ranked(drawn):
    lesions, regions, known, _ = drawn
    assert np.isnan(pixel_auc(known[:1], np.ones_like(regions[:1]), lesions[:1]))[0]


def test_too_few_pictures_give_no_figures(drawn):
    lesions, regions, known, chance = drawn
    controls = dict.fromkeys(CONTROLS, chance[:5])
    few = measure_regions(
        known[:5], controls, regions[:5], lesions[:5], groups=list("abcde"), other="clover"
    )
    assert few is None


def test_the_cut_overlaps_best(drawn):
    lesions, regions, _, _ = drawn
    cut = best_cut(regions * 4 - 2, regions, lesions)
    drawn_regions = (regions * 4 - 2 >= cut) & lesions
    np.testing.assert_array_equal(drawn_regions, (regions >= 0.5) & lesions)


def test_the_map_of_a_presence_head_adds_up_to_its_score():
    rng = np.random.default_rng(0)
    last, stage = rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(2, 5, 6, 6))
    weight = rng.normal(size=4 + 2 * 5).astype(np.float32)
    maps = presence_maps(weight, [stage], last, 6)
    own = last.mean(axis=(2, 3)) @ weight[:4] + stage.mean(axis=(2, 3)) @ weight[4:9]
    # the finer grid is a multiple of the coarse one but for its rim, which interpolation flattens
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), own, atol=0.35)
    only = presence_maps(np.r_[np.zeros(4), weight[4:]].astype(np.float32), [stage], last, 6)
    np.testing.assert_allclose(
        only.mean(axis=(1, 2)), stage.mean(axis=(2, 3)) @ weight[4:9], atol=1e-5
    )
