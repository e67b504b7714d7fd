"""Lesions dealt into folds: none on both sides, and the diagnoses shared out."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.folds import FOLDS, deal_lesions, most_folds
from dermsim.core.refused import Phrase

LABELS = np.repeat(np.arange(7), [4, 6, 14, 2, 14, 88, 4])
LESIONS = [f"L{row // 2}" if row >= 40 else f"own {row}" for row in range(len(LABELS))]


def test_every_row_is_left_out_once_and_no_lesion_is_on_both_sides():
    folds = deal_lesions(LABELS, LESIONS)
    assert len(folds) == FOLDS
    assert sorted(np.concatenate([out for _, out in folds])) == list(range(len(LABELS)))
    for kept, out in folds:
        assert sorted([*kept, *out]) == list(range(len(LABELS)))
        assert not {LESIONS[row] for row in kept} & {LESIONS[row] for row in out}


def test_a_diagnosis_is_dealt_to_all_folds_alike():
    for label in range(7):
        counts = [
            len({LESIONS[row] for row in out if LABELS[row] == label})
            for _, out in deal_lesions(LABELS, LESIONS)
        ]
        assert max(counts) - min(counts) <= 1
        lesions = {lesion for lesion, own in zip(LESIONS, LABELS, strict=True) if own == label}
        assert sum(counts) == len(lesions)


def test_the_same_seed_deals_alike_and_another_does_not():
    first, again, other = (deal_lesions(LABELS, LESIONS, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))


def test_rows_without_a_lesion_are_lesions_of_their_own():
    labels = np.array([0, 0, 0, 1, 1, 1])
    ids = [None, "a", "a", None, None, "b"]
    outs = [set(out.tolist()) for _, out in deal_lesions(labels, ids, folds=2)]
    assert any({1, 2} <= out for out in outs)
    sizes = [len(out) for _, out in deal_lesions(np.repeat([0, 1], 5), None, folds=5)]
    assert sizes == [2] * 5


def test_how_many_folds_there_can_be():
    assert most_folds(LABELS, LESIONS) == FOLDS
    assert most_folds(np.array([0, 0, 1, 1, 1]), ["a", "a", "b", "c", "c"]) == 3


@pytest.mark.parametrize(
    ("labels", "lesions", "folds", "sentence"),
    [
        ([0, 1, 0, 1], ["a", "b"], 2, Phrase("folds.lesions", labels_count=4, ids_count=2)),
        ([0, 1, 0, 1], ["a", "b", "a", "b"], 3, Phrase("folds.count", count=2, folds=3)),
        ([0, 1, 0, 1], None, 1, "folds.count"),
        ([4, 4, 4, 4], None, 2, Phrase("folds.one_class", count=4, codes="mel")),
        ([], [], 2, Phrase("folds.lesions", labels_count=0)),
    ],
)
def test_what_cannot_be_dealt_is_refused(labels, lesions, folds, sentence):
    with refuses(sentence):
        deal_lesions(np.array(labels, dtype=np.int64), lesions, folds=folds)
