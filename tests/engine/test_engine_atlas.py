import numpy as np
import pytest
from refusals import refuses

from dermsim.engine.atlas import Atlas, draw_map
from dermsim.models.encode import encode
from dermsim.tasks.atlas import MEASURES
from dermsim.tasks.retrieve import Gallery


@pytest.fixture(scope="module")
def cases(engine, synthetic):
    return encode(engine.model, engine.processor, synthetic["train"]["image"])


def test_a_checkpoints_map_has_every_measure(engine, synthetic, cases):
    drawn = engine.atlas
    assert set(drawn.measures) == set(MEASURES) and drawn.tsne is not None
    predicted = engine.predict(synthetic["train"]["image"])
    assert drawn.measures["predicted"].tolist() == [found.label_name for found in predicted]
    expected = [found.entropy for found in predicted]
    np.testing.assert_allclose(drawn.measures["uncertainty"], expected, atol=1e-4)
    expected = [found.ood_score for found in predicted]
    np.testing.assert_allclose(drawn.measures["ood_score"], expected, rtol=1e-4)


def test_the_same_seed_draws_the_same_map(umap, engine, synthetic, cases):
    one, two = (
        draw_map(
            cases,
            synthetic["train"],
            calibration=engine.calibration,
            detector=engine.detector,
            seed=3,
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.coordinates, two.coordinates)
    np.testing.assert_array_equal(one.tsne, two.tsne)
    for name in MEASURES:
        np.testing.assert_array_equal(one.measures[name], two.measures[name])


def test_cases_that_left_the_gallery_leave_the_map(engine):
    gone = set(engine.atlas.image_ids[:3])
    fewer = engine.gallery.remove(image_ids=sorted(gone))
    atlas = Atlas.of(engine.atlas, fewer)
    assert atlas.map.image_ids == engine.atlas.image_ids[3:]
    assert [case["image_id"] for case in atlas.records] == list(atlas.map.image_ids)
    np.testing.assert_array_equal(atlas.map.tsne, engine.atlas.tsne[3:])
    np.testing.assert_array_equal(atlas.map.measures["margin"], engine.atlas.measures["margin"][3:])


def test_cases_stand_out_by_a_measure(engine):
    atlas = Atlas.of(engine.atlas, engine.gallery)
    most = atlas.stand_out("isolation", 4)
    values = [case["isolation"] for case in most]
    assert values == sorted(atlas.map.measures["isolation"].tolist(), reverse=True)[:4]
    least = atlas.stand_out("margin", 2, most=False)
    assert least[0]["margin"] == atlas.map.measures["margin"].min()
    assert {"image_id", "dx", "neighbor_dx", "age"} <= set(least[0])


def test_a_map_of_other_cases_is_refused(engine):
    other = Gallery.build(
        np.eye(16)[:2], [{"image_id": i, "dx": "nv"} for i in "ab"], fingerprint="x"
    )
    with refuses("engine_atlas.other_cases"):
        Atlas.of(engine.atlas, other)
