import numpy as np
import pytest
from refusals import refuses
from sklearn.metrics import silhouette_score

from dermsim.tasks.atlas import find_clusters, score_clusters, silhouette

CENTERS = np.random.default_rng(0).normal(size=(3, 8))


def draw(sizes=(60, 40, 20), noise=0.1, seed=1):
    labels = np.repeat(np.arange(3), sizes)
    rng = np.random.default_rng(seed)
    return CENTERS[labels] + noise * rng.normal(size=(len(labels), 8)), labels


@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
def test_silhouette_is_scikit_learns(noise):
    embeddings, labels = draw(noise=noise)
    expected = silhouette_score(embeddings, labels, metric="cosine")
    assert silhouette(embeddings, labels) == pytest.approx(expected, abs=1e-6)


def test_silhouette_of_a_point_alone_and_of_one_group():
    embeddings = np.eye(4)[[0, 0, 1]] + 1e-3
    labels = [7, 7, 9]
    expected = silhouette_score(embeddings, labels, metric="cosine")
    assert silhouette(embeddings, labels) == pytest.approx(expected, abs=1e-4)
    assert np.isnan(silhouette(embeddings, [1, 1, 1]))


def test_clusters_are_found_and_numbered_by_size():
    embeddings, labels = draw()
    plane = embeddings[:, :2].astype(np.float32)
    plane = 10 * np.eye(3)[labels][:, :2] + 0.1 * plane
    islands, groups = find_clusters(plane.astype(np.float32), embeddings, groups=3)
    for found in (islands, groups):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found[found >= 0], labels[found >= 0])
        assert (found >= 0).mean() > 0.8
    again = find_clusters(plane.astype(np.float32), embeddings, groups=3)
    np.testing.assert_array_equal(again[0], islands)
    np.testing.assert_array_equal(again[1], groups)


def test_scores_by_hand():
    clusters = [0, 0, 0, 0, 1, 1, -1, -1]
    dx = ["nv", "nv", "nv", "mel", "mel", "mel", "df", "nv"]
    embeddings = np.random.default_rng(0).normal(size=(8, 4))
    scores = score_clusters(clusters, dx, embeddings)
    assert scores.outside == 0.25
    assert scores.purity == pytest.approx(5 / 6)
    first, second = scores.clusters
    assert (first.cluster, first.size, first.dx, first.purity) == (0, 4, "nv", 0.75)
    assert (second.cluster, second.size, second.dx, second.purity) == (1, 2, "mel", 1.0)
    # pairs: 15; together in both 3 + 0 + 1 = 4; together in clusters 7, in diagnoses 6
    expected = 7 * 6 / 15
    assert scores.adjusted_rand == pytest.approx((4 - expected) / ((7 + 6) / 2 - expected))
    assert 0 < scores.mutual_information < 1
    assert scores.to_dict()["clusters"][0]["dx"] == "nv"


def test_clusters_that_are_the_diagnoses_score_one():
    embeddings, labels = draw()
    scores = score_clusters(labels, [("nv", "mel", "df")[i] for i in labels], embeddings)
    assert (scores.adjusted_rand, scores.purity, scores.outside) == (1, 1, 0)
    assert scores.mutual_information == pytest.approx(1)
    assert scores.silhouette > 0.5


def test_refusals():
    with refuses("clusters.shape", count=2):
        score_clusters([0], ["nv", "mel"], np.eye(2))
    with refuses("clusters.no_cluster"):
        score_clusters([-1, -1], ["nv", "mel"], np.eye(2))
