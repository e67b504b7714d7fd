"""Fits of concepts: leakage, the exam, transfers, and what a wrong order is refused with."""

import dataclasses

import numpy as np
import torch
from concept_fits import SHOWN, outline_of, with_concepts
from refusals import refuses

from dermsim.tasks.concepts.dense import DenseHead
from dermsim.training.concept_regions import outlines_of
from dermsim.training.concepts import fit_concepts
from dermsim.training.dense import Schedule, fit_dense, outline_loss, structure_loss
from dermsim.training.lesion_outline import fit_outline


def drawn_maps(n=40, side=8):
    """Maps of which the first channel shows a disc, and the discs."""
    rng = np.random.default_rng(0)
    y, x = np.indices((side, side))
    discs = np.stack(
        [np.hypot(x - rng.uniform(2, 5), y - rng.uniform(2, 5)) < 2.3 for _ in range(n)]
    ).astype(np.float32)
    fine = rng.normal(size=(n, 3, side, side))
    fine[:, 0] += 3 * discs
    coarse = rng.normal(size=(n, 4, side // 2, side // 2))
    return [fine.astype(np.float16), coarse.astype(np.float16)], discs


PLAN = Schedule(hidden=8, epochs=30, batch=8, learning_rate=3e-2)


def test_a_dense_head_finds_what_is_planted():
    maps, discs = drawn_maps()
    head = fit_dense(maps, np.arange(30), outline_loss(discs), outputs=1, grid=8, plan=PLAN)
    found = head([stage[30:] for stage in maps])[:, 0] > 0
    truth = discs[30:] > 0
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice > 0.85


def test_the_same_seed_gives_the_same_head():
    maps, discs = drawn_maps()
    plan = dataclasses.replace(PLAN, epochs=2)
    heads = [
        fit_dense(maps, np.arange(30), outline_loss(discs), outputs=1, grid=8, plan=plan)
        for _ in range(2)
    ]
    for name, own in heads[0].arrays("x").items():
        np.testing.assert_array_equal(own, heads[1].arrays("x")[name])


def test_several_networks_give_their_mean():
    maps, discs = drawn_maps()
    options = {"outputs": 1, "grid": 8}
    plans = [dataclasses.replace(PLAN, epochs=2, seed=seed) for seed in (0, 1)]
    alone = [
        fit_dense(maps, np.arange(30), outline_loss(discs), plan=plan, **options)(maps)
        for plan in plans
    ]
    both = fit_dense(
        maps,
        np.arange(30),
        outline_loss(discs),
        plan=dataclasses.replace(plans[0], networks=2),
        **options,
    )
    np.testing.assert_allclose(both(maps), np.mean(alone, axis=0), atol=1e-4)


def test_only_the_rows_named_are_looked_at():
    maps, discs = drawn_maps()
    spoilt = [stage.copy() for stage in maps]
    for stage in spoilt:
        stage[30:] = np.nan
    plan = dataclasses.replace(PLAN, epochs=1)
    head = fit_dense(spoilt, np.arange(30), outline_loss(discs), outputs=1, grid=8, plan=plan)
    assert isinstance(head, DenseHead)


def test_structures_count_within_the_lesion_only():
    regions = np.zeros((2, 1, 6, 6), dtype=np.float32)
    regions[:, 0, :3] = 1
    lesions = np.zeros((2, 6, 6), dtype=bool)
    lesions[:, 1:5, 1:5] = True
    loss = structure_loss(regions, lesions)
    log_odds = torch.zeros(2, 1, 6, 6)
    rows = torch.arange(2)
    other = log_odds.clone()
    other[:, :, 0] = 50
    other[:, :, :, 0] = -50
    # pairs are drawn anew, but all cells that count are equal
    torch.testing.assert_close(loss(log_odds, rows), loss(other, rows))


def test_the_right_order_of_cells_loses_less():
    regions = np.zeros((2, 1, 6, 6), dtype=np.float32)
    regions[:, 0, :3] = 1
    lesions = np.ones((2, 6, 6), dtype=bool)
    loss = structure_loss(regions, lesions)
    right = torch.from_numpy(regions * 2 - 1)
    assert loss(right, torch.arange(2)) < loss(-right, torch.arange(2))


def renamed(rows, image_ids):
    return rows.remove_columns("image_id").add_column("image_id", image_ids)


def test_pictures_of_an_exam_are_refused(concept_engine, concept_splits, drawn_outlines):
    rows = with_concepts(concept_splits["test"].select(range(4)))
    exam = renamed(rows, ["ISIC_0034321", "a", "b", "c"])
    with refuses("exam.exam_pictures", exams=["the ISIC 2018 Task 3 test"]):
        fit_concepts(concept_engine, exam)
    with refuses("exam.exam_pictures", exams=["the ISIC 2018 Task 3 test"]):
        fit_outline(
            concept_engine,
            exam,
            concept_splits["validation"],
            outline_of(drawn_outlines),
            source="drawn",
        )


def test_a_lesion_on_both_sides_is_refused(concept_engine, concept_splits, drawn_outlines):
    rows = concept_splits["test"]
    with refuses("concept_bottleneck.leak"):
        fit_outline(concept_engine, rows, rows, outline_of(drawn_outlines), source="drawn")


def test_a_data_set_without_concepts_is_refused(concept_engine, concept_splits):
    rows = with_concepts(concept_splits["test"].select(range(4)), source="milk10k")
    with refuses("concept_rows.no_concept", source="milk10k"):
        fit_concepts(concept_engine, rows)


def test_regions_need_an_outline_first(engine, concept_splits, drawn_outlines):
    rows = with_concepts(concept_splits["test"].select(range(4)))
    with refuses("training_concepts.no_outlines"):
        fit_concepts(engine, rows, regions=[("streaks", outline_of(drawn_outlines))])


def test_provenance_says_what_the_heads_rest_on(concept_engine):
    part = concept_engine.concepts_part()
    own = part.sources["isic2018_attributes"]
    assert own["title"] == "ISIC 2018 Task 2"
    assert own["licence"] == "CC BY-NC 4.0"
    assert own["pictures"] > own["groups"]
    assert own["seen_by_the_encoder"] == 0
    assert {head.concept for head in part.heads.heads} | set(own["skipped"]) == set(SHOWN)


def test_the_bottleneck_stands_beside_its_controls(concept_engine):
    figures = concept_engine.concepts_part().bottleneck.figures
    assert {"soft", "hard", "direct", "linear", "random projections", "shuffled concepts"} == set(
        figures
    )
    for figure in figures.values():
        assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_another_data_set_is_kept_apart_and_its_transfer_measured(concept_engine, concept_splits):
    other = with_concepts(concept_splits["validation"], source="ph2", only="streaks")
    grown, _, _ = fit_concepts(concept_engine, other, folds=3, resamples=20)
    keys = [head.key for head in grown.heads.heads]
    assert "streaks@isic2018_attributes" in keys and "streaks@ph2" in keys
    (transfer,) = grown.transfers
    assert (transfer.concept, transfer.fitted_to, transfer.asked_of) == (
        "streaks",
        "isic2018_attributes",
        "ph2",
    )
    usable = [head for head in grown.usable.heads if head.concept == "streaks"]
    if len(usable) == 2:
        assert {grown.name_of(head) for head in usable} == {
            "streaks@isic2018_attributes",
            "streaks@ph2",
        }


def test_pictures_that_the_encoder_has_seen_count_in_no_figure(concept_engine, concept_splits):
    rows = with_concepts(concept_splits["validation"])
    learned = set(rows["image_id"][:60])
    grown, _, _ = fit_concepts(concept_engine, rows, learned=learned, folds=3, resamples=20)
    assert grown.sources["isic2018_attributes"]["seen_by_the_encoder"] == 60
    assert all(head.auc.n == len(rows) - 60 for head in grown.heads.heads)


def test_fitting_anew_drops_what_rested_on_the_old_heads(concept_engine, concept_splits):
    rows = with_concepts(concept_splits["validation"])
    grown, _, _ = fit_concepts(concept_engine, rows, folds=3, resamples=20)
    assert grown.bottleneck is None and grown.cases is None
    assert grown.outline is not None


def test_a_data_set_that_outlines_nothing_gives_no_regions(tmp_path):
    assert outlines_of(str(tmp_path)) == []
