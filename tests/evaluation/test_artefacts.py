"""Artefacts are drawn where they were not, and scores are compared picture by picture."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.data.concepts import load_schema
from dermsim.data.synthetic import draw_lesion
from dermsim.evaluation.artefact_drawings import DRAWINGS
from dermsim.evaluation.artefacts import BATCH, audit_artefacts

PICTURE = draw_lesion("nv", seed=3)


def test_every_artefact_of_the_list_can_be_drawn():
    listed = {c.name for c in load_schema().values() if c.kind == "artefact"}
    assert set(DRAWINGS) == listed


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_changes_a_part_of_the_picture_and_repeats(name):
    before = np.asarray(PICTURE).astype(int)
    drawn = DRAWINGS[name](PICTURE, 1)
    assert drawn.size == PICTURE.size and drawn.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(DRAWINGS[name](PICTURE, 1)), np.asarray(drawn))
    assert (np.asarray(DRAWINGS[name](PICTURE, 2)) != np.asarray(drawn)).any()
    np.testing.assert_array_equal(np.asarray(PICTURE), before)
    changed = (np.abs(np.asarray(drawn) - before).max(axis=2) > 8).mean()
    assert 0.002 < changed < 0.6


def test_dark_corners_are_in_the_corners():
    drawn = np.asarray(DRAWINGS["dark_corner"](PICTURE, 0)).mean(axis=2)
    middle = tuple(side // 2 for side in drawn.shape)
    assert drawn[0, 0] < 30 < drawn[middle]


def test_the_audit_compares_each_picture_with_itself(engine):
    pictures = [(str(seed), draw_lesion("mel", seed=seed)) for seed in range(BATCH + 3)]
    table = audit_artefacts(engine, pictures)
    assert [row.keys["artefact"] for row in table.rows] == list(DRAWINGS)
    for row in table.rows:
        figures = row.figures
        assert figures["change"].n == BATCH + 3
        assert figures["change of any sign"].value >= abs(figures["change"].value)
        assert 0 <= figures["other label"].value <= 1
    before = engine.predict(pictures[0][1])[0].probabilities["mel"]
    after = engine.predict(DRAWINGS["hair"](pictures[0][1], 0))[0].probabilities["mel"]
    alone = audit_artefacts(engine, pictures[:1])
    assert alone.rows[0].figures["change"].value == pytest.approx(after - before, abs=1e-6)


def test_no_picture_is_refused(engine):
    with refuses("artefacts.nothing_readable"):
        audit_artefacts(engine, [])
