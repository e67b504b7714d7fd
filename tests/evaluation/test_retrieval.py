import numpy as np
import pytest
from refusals import refuses

from dermsim.core.labels import CODES, LABEL2ID
from dermsim.core.metrics import balanced_accuracy
from dermsim.evaluation.retrieval import rank_gallery

rng = np.random.default_rng(0)
QUERIES, GALLERY = rng.normal(size=(40, 6)), rng.normal(size=(90, 6))
LABELS, STORED = np.arange(40) % 7, rng.integers(0, 7, 90)
LESIONS = [f"L{i // 2}" for i in range(40)]
OWNERS = [f"L{i}" if i < 10 else None for i in range(90)]


def ranked(**options):
    return rank_gallery(
        QUERIES,
        LABELS,
        LESIONS,
        gallery_embeddings=GALLERY,
        gallery_labels=STORED,
        gallery_lesions=OWNERS,
        **options,
    )


def others_of(row):
    """The labels of a query's cases by likeness, nearest first, and their cosines."""
    cosine = GALLERY @ QUERIES[row] / np.linalg.norm(GALLERY, axis=1)
    cosine /= np.linalg.norm(QUERIES[row])
    kept = [i for i in range(90) if OWNERS[i] != LESIONS[row]]
    kept.sort(key=lambda i: -cosine[i])
    return STORED[kept], cosine[kept]


def test_majority_against_a_count():
    for row, right in enumerate(ranked().majority):
        nearest = others_of(row)[0][:5].tolist()
        winner = max(nearest, key=lambda label: (nearest.count(label), -nearest.index(label)))
        assert right == (winner == LABELS[row])


def test_votes_against_a_loop():
    found = ranked()
    prior = np.bincount(STORED, minlength=7) / 90
    for row, votes in enumerate(found.votes):
        labels, cosine = others_of(row)
        expected = prior.copy()
        for label, value in zip(labels[:16], cosine[:16], strict=True):
            expected[label] += np.exp((value - cosine[0]) / 0.07)
        np.testing.assert_allclose(votes, expected / expected.sum(), rtol=1e-5)
        assert found.adjusted[row] == np.argmax(votes / prior)


def test_figures_are_those_of_the_plain_metrics():
    found = ranked()
    rows = np.arange(40)
    metrics = found.metrics()
    voted = found.votes.argmax(axis=1)
    assert metrics["neighbor_balanced_accuracy"](rows) == pytest.approx(
        balanced_accuracy(LABELS, voted, 7)
    )
    malignant = np.isin(LABELS, [LABEL2ID[code] for code in ("akiec", "bcc", "mel")])
    share = found.votes[:, [0, 1, 4]].sum(axis=1)
    pairs = [(a > b) + 0.5 * (a == b) for a in share[malignant] for b in share[~malignant]]
    assert metrics["neighbor_malignancy_auc"](rows) == pytest.approx(np.mean(pairs))
    assert CODES[4] == "mel"


def test_some_queries_alone_have_the_figures_they_have_among_all():
    found = ranked()
    rows = np.array([3, 10, 17, 24])  # all of one diagnosis
    part = found.take(rows)
    assert set(part.metrics()) == set(found.metrics()) - {"neighbor_malignancy_auc"}
    for name, metric in part.metrics().items():
        assert metric(np.arange(4)) == found.metrics()[name](rows), name


def test_a_ranking_by_chance_finds_each_diagnosis_as_often_as_there_is_of_it():
    draws = [ranked(chance=np.random.default_rng(seed)) for seed in range(60)]
    for k in (1, 5, 10):
        mean = np.mean([draw.precision[k].mean() for draw in draws])
        assert mean == pytest.approx(draws[0].by_chance.mean(), abs=0.02)
    # every vote counts the same
    counted = draws[0].votes * 17
    prior = np.bincount(STORED, minlength=7) / 90
    np.testing.assert_allclose(counted - prior, np.round(counted - prior), atol=1e-6)


def test_a_diagnosis_that_the_gallery_lacks_is_never_voted_for():
    stored = np.where(STORED == 3, 4, STORED)
    found = rank_gallery(
        QUERIES, LABELS, LESIONS,
        gallery_embeddings=GALLERY, gallery_labels=stored, gallery_lesions=OWNERS,
    )  # fmt: skip
    assert not (found.votes[:, 3] > 0).any()
    assert 3 not in found.adjusted


def test_refuses_a_gallery_that_cannot_fill_ten_places():
    with refuses("retrieval.small_gallery", depths=10):
        rank_gallery(
            QUERIES[:1], [0], ["L0"],
            gallery_embeddings=GALLERY[:10], gallery_labels=STORED[:10],
            gallery_lesions=OWNERS[:10],
        )  # fmt: skip
