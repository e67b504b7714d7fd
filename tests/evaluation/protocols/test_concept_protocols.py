"""The protocols of concepts and captions, on a tiny checkpoint and drawn lesions."""

import numpy as np
import pytest
from concept_fits import with_concepts
from refusals import refuses

from dermsim.evaluation.protocols.blur_protocol import measure_blur
from dermsim.evaluation.protocols.caption_protocol import measure_captions
from dermsim.evaluation.protocols.concept_protocol import (
    measure_concepts,
    measure_melanoma,
    measured_regions,
)
from dermsim.evaluation.protocols.concept_rows import concept_rows
from dermsim.tasks.concepts.states import states_left_out


@pytest.fixture(scope="module")
def fitted_to(concept_engine, concept_splits):
    """Rows that the heads were fitted to, which must be asked in folds."""
    return concept_rows(concept_engine, with_concepts(concept_splits["validation"]))


@pytest.fixture(scope="module")
def elsewhere(concept_engine, concept_splits):
    """Rows of a data set that the heads do not know."""
    return with_concepts(concept_splits["test"], source="ph2", only="streaks")


def test_heads_are_not_asked_about_what_they_were_fitted_to(concept_engine, fitted_to):
    assert fitted_to.refitted
    own = concept_engine.concepts_part().usable
    shown = own.take(
        [k for k, head in enumerate(own.heads) if head.concept == fitted_to.heads.heads[0].concept]
    )
    asked = shown.calibrated(shown.scores(fitted_to.seen.depths))[:, 0]
    assert not np.allclose(asked, fitted_to.log_odds[:, 0], atol=0.05)


def test_heads_are_asked_as_they_are_elsewhere(concept_engine, elsewhere):
    part = concept_engine.concepts_part()
    if "streaks" not in {head.concept for head in part.usable.heads}:
        with refuses("concept_rows.no_head"):
            concept_rows(concept_engine, elsewhere)
        return
    asked = concept_rows(concept_engine, elsewhere)
    assert not asked.refitted
    table = measure_concepts(concept_engine, asked)
    assert "nothing fitted here" in table.summary


def test_thresholds_are_set_without_the_rows_they_judge():
    # one fold's rows are all wrong: what the other says of it cannot have known
    log_odds = np.r_[np.full(40, 3.0), np.full(40, -3.0), np.full(20, 3.0)][:, None]
    labels = np.r_[np.ones(40), np.zeros(40), np.zeros(20)].astype(np.int8)[:, None]
    first, last = np.arange(80), np.arange(80, 100)
    said = states_left_out(log_odds, labels, [(first, last), (last, first)])
    assert (said[last] == 1).all()
    assert (said[first] != 1).all()


def test_concepts_are_measured_each_and_together(concept_engine, fitted_to):
    table = measure_concepts(concept_engine, fitted_to)
    names = [row.keys["concept"] for row in table.rows]
    assert names == [*(head.concept for head in fitted_to.heads.heads), "all"]
    for row in table.rows:
        if "precision" in row.figures:
            precision, false = row.figures["precision"], row.figures["hallucination"]
            assert precision.value + false.value == pytest.approx(1)
    assert "fitted again in folds" in table.summary
    assert "| all |" in table.markdown()


def test_said_figures_by_hand(concept_engine, fitted_to):
    table = measure_concepts(concept_engine, fitted_to)
    said, truth = fitted_to.said[:, 0], fitted_to.labels[:, 0] == 1
    first = table.rows[0].figures
    assert first["said"].value == pytest.approx((said >= 0).mean())
    if "precision" in first:
        right = ((said == 1) & truth) | ((said == 0) & ~truth)
        assert first["precision"].value == pytest.approx(right.sum() / (said >= 0).sum())
    assert first["recall"].value == pytest.approx(((said == 1) & truth).sum() / truth.sum())


def test_melanoma_from_concepts_beside_the_direct_score(concept_engine, fitted_to):
    table = measure_melanoma(concept_engine, fitted_to)
    assert [row.keys["score"] for row in table.rows] == [
        "concepts, soft",
        "concepts, hard",
        "the checkpoint's own score",
    ]
    assert table.rows[-1].figures["more than its own"].value == 0


def test_regions_are_laid_out(concept_engine):
    table = measured_regions(concept_engine)
    assert {"gaussian", "darkness", "other", "cam"} <= set(table.rows[0].figures)


def test_captions_stand_beside_three_writers(concept_engine, fitted_to):
    table = measure_captions(concept_engine, fitted_to)
    rows = {row.keys["writer"]: row for row in table.rows}
    assert set(rows) == {"description", "constant", "nearest neighbour", "true attributes"}
    best = rows["true attributes"].figures
    for name in ("BLEU", "ROUGE-L", "fact precision", "fact recall", "fact F1"):
        assert best[name].value == pytest.approx(1)
        assert all(row.figures[name].value <= 1 + 1e-9 for row in rows.values())
    assert best["false facts a text"].value == 0
    assert rows["constant"].notes["different texts"] == pytest.approx(1 / len(fitted_to))
    for row in rows.values():
        assert row.figures["contradictions a text"].value == 0
    own = rows["description"].figures
    assert own["fact precision"].value > rows["constant"].figures["fact precision"].value - 0.2


def test_regions_are_blurred_in_the_photograph(concept_engine, concept_splits, monkeypatch):
    rows = with_concepts(concept_splits["test"])
    part = concept_engine.concepts_part()
    network = "pigment_network"
    monkeypatch.setattr(type(part), "may_point", lambda self, head: head.concept == network)
    table = measure_blur(concept_engine, rows, most=4)
    (row,) = table.rows
    assert row.keys == {"concept": network}
    figures = row.figures
    more = figures["region"].value - figures["elsewhere"].value
    assert figures["region more than elsewhere"].value == pytest.approx(more)
    assert figures["region"].n <= 4


def test_where_nothing_may_point_nothing_is_blurred(concept_engine, concept_splits, monkeypatch):
    monkeypatch.setattr(type(concept_engine.concepts_part()), "may_point", lambda self, head: False)
    assert measure_blur(concept_engine, with_concepts(concept_splits["test"])) is None
