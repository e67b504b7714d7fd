from itertools import pairwise

import numpy as np
import pytest
from refusals import refuses
from table_rows import row_of

from dermsim.core.labels import CODES
from dermsim.data.splits import grouped_splits
from dermsim.evaluation.protocols.incremental import Course, evaluate_incremental


@pytest.fixture
def course():
    """Two old classes and two new, three images of each; what was right is written out."""
    labels = np.repeat([1, 4, 0, 6], 3)
    hits = np.array(
        [
            [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
            [1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0],
            [1, 0, 0, 1, 1, 1, 0.5, 0.5, 0, 1, 1, 1],
        ]
    )
    return Course(("start", "akiec", "vasc"), labels, ((1, 4), (1, 4, 0), (1, 4, 0, 6)), hits)


ALL = np.arange(12)


def test_recall_by_hand(course):
    assert course.recall(0, ALL, among=[1, 4]) == pytest.approx((1 + 2 / 3) / 2)
    assert course.recall(2, ALL, among=[1, 4]) == pytest.approx((1 / 3 + 1) / 2)
    assert course.recall(2, ALL, among=[0, 6]) == pytest.approx((1 / 3 + 1) / 2)
    assert np.isnan(course.recall(2, np.arange(6), among=[0]))


def test_forgetting_by_hand(course):
    # after the first step: bcc from 1 to 2/3, mel stays
    assert course.forgetting(1, ALL) == pytest.approx((1 / 3 + 0) / 2)
    # after the second: bcc from its best, 1, to 1/3; mel has gained; akiec from 2/3 to 1/3
    assert course.forgetting(2, ALL) == pytest.approx((2 / 3 - 1 / 3 + 1 / 3) / 3)


@pytest.fixture(scope="module")
def table(engine, dataset):
    return evaluate_incremental(
        engine, dataset, classes=("vasc", "akiec"), shots=(3, 15), draws=3, resamples=20
    )


def test_one_step_after_another(table):
    for shots in (3, 15):
        for head in ("auto", "mean", "neighbors", "logistic"):
            rows = [
                row_of(table, shots=shots, head=head, after=a) for a in ("start", "vasc", "akiec")
            ]
            assert "new" not in rows[0].figures and "forgetting" not in rows[0].figures
            start = rows[0].figures
            assert start["old"] == start["all"]
            assert rows[2].figures["all"].n > rows[1].figures["all"].n > start["all"].n
            if head in ("mean", "neighbors"):  # a logistic head is fitted to the other classes, too
                for before, after in pairwise(rows):
                    assert after.figures["old"].value <= before.figures["old"].value + 1e-9
            assert rows[1].figures["forgetting"].value == pytest.approx(
                start["old"].value - rows[1].figures["old"].value, abs=1e-3
            )


def test_all_classes_are_old_and_new_by_their_number(table):
    row = row_of(table, shots=3, head="mean", after="akiec").figures
    expected = (4 * row["old"].value + 2 * row["new"].value) / 6
    assert row["all"].value == pytest.approx(expected)


def test_more_pictures_teach_more(table):
    few, many = (row_of(table, shots=n, head="mean", after="akiec").figures for n in (3, 15))
    assert many["new"].value > few["new"].value
    assert many["new"].value > 0.5


def test_auto_is_the_head_that_the_number_of_pictures_chooses(table):
    for shots in (3, 15):
        auto, mean = (row_of(table, shots=shots, head=h, after="akiec") for h in ("auto", "mean"))
        assert auto.figures == mean.figures


def test_what_is_asked_about_was_not_taught(engine, dataset, table):
    test = row_of(table, shots=3, head="mean", after="akiec").figures["all"].n
    rows = grouped_splits(dataset)["test"]
    assert test == sum(CODES[dx] != "df" for dx in rows["dx"])


def test_refuses(engine, whole_engine, dataset):
    with refuses("incremental.split"):
        evaluate_incremental(engine, dataset, split="all")
    with refuses("protocol_cases.all_known"):
        evaluate_incremental(whole_engine, dataset)
