import numpy as np
import pytest
from refusals import refuses
from table_rows import row_of

from dermsim.core.labels import CODES
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.protocols.retrieval_protocol import evaluate_retrieval_protocol
from dermsim.evaluation.retrieval import rank_gallery

LEFT_OUT = ("akiec", "df", "vasc")  # those of the pretended encoder


def test_held_out_lesions_against_the_ranking_itself(whole_engine, dataset, encoding_is_pretended):
    table = evaluate_retrieval_protocol(whole_engine, dataset, resamples=20)
    rows = grouped_splits(dataset)["test"]
    place = {image_id: row for row, image_id in enumerate(dataset["image_id"])}
    embeddings = encoding_is_pretended.everything.embeddings
    records = list(whole_engine.gallery.records)
    found = rank_gallery(
        embeddings[[place[image_id] for image_id in rows["image_id"]]],
        rows["dx"],
        list(rows["lesion_id"]),
        gallery_embeddings=whole_engine.gallery.embeddings,
        gallery_labels=[CODES.index(record["dx"]) for record in records],
        gallery_lesions=[record["lesion_id"] for record in records],
    ).metrics()
    mean = row_of(table, diagnosis="mean over diagnoses").figures
    everyone = np.arange(len(rows))
    assert mean["P@1"].value == found["precision_at_1"](everyone)
    assert mean["16-NN malignancy AUC"].value == found["neighbor_malignancy_auc"](everyone)
    chance = row_of(table, diagnosis="the same by chance").figures
    assert set(chance) == set(mean)
    assert chance["16-NN malignancy AUC"].value == pytest.approx(0.5, abs=0.15)
    assert chance["P@10"].value == pytest.approx(1 / 7, abs=0.05)
    assert mean["P@10"].value > chance["P@10"].high
    # means over diagnoses are means of the diagnoses' own
    own = [row_of(table, diagnosis=code).figures["mAP"] for code in CODES]
    assert mean["mAP"].value == pytest.approx(np.mean([figure.value for figure in own]))
    assert sum(figure.n for figure in own) == len(rows)
    assert "16-NN malignancy AUC" not in row_of(table, diagnosis="mel").figures


def test_another_origin_queries_the_same_gallery(whole_engine, dataset, encoding_is_pretended):
    rows = grouped_splits(dataset)["test"]
    few = rows.select([i for i, dx in enumerate(rows["dx"]) if CODES[dx] in ("mel", "nv", "bkl")])
    table = evaluate_retrieval_protocol(
        whole_engine, dataset, shift=few, shift_name="elsewhere", resamples=20
    )
    found = row_of(table, queries="elsewhere", diagnosis="mel").figures["P@5"]
    assert (
        found.value
        == row_of(table, queries="held-out lesions (test)", diagnosis="mel").figures["P@5"].value
    )
    assert len([row for row in table.rows if row.keys["queries"] == "elsewhere"]) == 5


def test_diagnoses_never_trained_on_query_a_gallery_that_has_met_them(engine, dataset):
    table = evaluate_retrieval_protocol(engine, dataset, split="validation", resamples=20)
    old, new = "held-out lesions (validation)", "diagnoses never trained on (validation)"
    asked = {
        name: {row.keys["diagnosis"] for row in table.rows if row.keys["queries"] == name}
        & set(CODES)
        for name in (old, new)
    }
    assert asked == {old: set(CODES) - set(LEFT_OUT), new: set(LEFT_OUT)}
    rows = grouped_splits(dataset)["validation"]
    assert row_of(table, queries=new, diagnosis="df").figures["P@1"].n == sum(
        CODES[dx] == "df" for dx in rows["dx"]
    )
    mean = row_of(table, queries=new, diagnosis="mean over diagnoses").figures
    assert (
        mean["P@1"].value
        > row_of(table, queries=new, diagnosis="the same by chance").figures["P@1"].high
    )
    assert "trained without akiec, df, vasc" in table.summary


def test_the_same_seed_gives_the_same_table(whole_engine, dataset):
    first, second = (
        evaluate_retrieval_protocol(whole_engine, dataset, resamples=20) for _ in range(2)
    )
    assert first == second


def test_refusals(whole_engine, dataset):
    with refuses("retrieval_protocol.split", split="train"):
        evaluate_retrieval_protocol(whole_engine, dataset, split="train")
    with refuses("held_out.learned_from"):
        evaluate_retrieval_protocol(
            whole_engine, dataset, shift=grouped_splits(dataset)["train"], resamples=20
        )
