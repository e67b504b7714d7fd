import numpy as np
import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.core.vectors import softmax
from dermsim.evaluation.label_errors import (
    Duplicate,
    find_duplicates,
    find_label_errors,
    label_quality,
)


def draw(n=2000, *, classes=5, wrong=0.06, seed=0, sharpness=3.0):
    """Probabilities of the true classes, labels of which a share is wrong, and which those are."""
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, size=n, p=np.arange(classes, 0, -1) / (classes * (classes + 1) / 2))
    logits = 1.2 * rng.normal(size=(n, classes)) + sharpness * np.eye(classes)[true]
    mistaken = rng.random(n) < wrong
    given = np.where(mistaken, (true + rng.integers(1, classes, n)) % classes, true)
    return softmax(logits), given, true


class TestLabelErrors:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize(("classes", "sharpness"), [(2, 2.0), (5, 3.0), (7, 1.0)])
    def test_the_same_rows_in_the_same_order_as_cleanlab(self, seed, classes, sharpness):
        from cleanlab.filter import find_label_issues

        probabilities, given, _ = draw(600, classes=classes, seed=seed, sharpness=sharpness)
        expected = find_label_issues(
            given,
            probabilities,
            filter_by="confident_learning",
            return_indices_ranked_by="normalized_margin",
        )
        found = [error.row for error in find_label_errors(given, probabilities)]
        assert len(expected) > 5
        assert sorted(found) == sorted(expected.tolist())
        quality = label_quality(given, probabilities)
        # where two are equal to the last digit, either may come first
        np.testing.assert_allclose(quality[found], quality[expected], atol=1e-12)

    def test_the_same_with_a_class_that_nothing_is_labelled(self):
        from cleanlab.filter import find_label_issues

        probabilities, given, _ = draw(600)
        kept = given != 3
        found = find_label_errors(given[kept], probabilities[kept])
        expected = find_label_issues(
            given[kept], probabilities[kept], filter_by="confident_learning"
        )
        assert sorted(error.row for error in found) == np.flatnonzero(expected).tolist()
        assert 3 not in {error.suggested for error in found}

    def test_most_of_what_was_made_wrong_is_found_and_rightly_corrected(self):
        probabilities, given, true = draw(5000, sharpness=5.0)
        found = find_label_errors(given, probabilities)
        rows = np.array([error.row for error in found])
        wrong = given != true
        assert wrong[rows].mean() > 0.9  # of what is listed
        assert wrong[rows].sum() / wrong.sum() > 0.7  # of what is wrong
        assert wrong[rows[:100]].all()
        first = found[:100]
        assert all(error.suggested == true[error.row] for error in first)
        assert [e.quality for e in found] == sorted(e.quality for e in found)

    def test_quality_by_hand(self):
        probabilities = np.array([[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0]])
        found = label_quality(np.array([0, 1, 0]), probabilities)
        np.testing.assert_allclose(found, [0.25, 0.75, 1.0])

    def test_nothing_is_wrong(self):
        assert find_label_errors([0, 1], np.eye(2)) == []

    @pytest.mark.parametrize(
        ("labels", "probabilities", "words"),
        [
            ([], np.zeros((0, 2)), "label_errors.shape"),
            ([0], [0.5, 0.5], "label_errors.shape"),
            ([0], [[0.5, 0.6]], "label_errors.probabilities"),
            ([0], [[np.nan, 0.6]], "label_errors.probabilities"),
            ([0], [[-0.5, 1.5]], "label_errors.probabilities"),
            ([2], [[0.5, 0.5]], Phrase("vectors.label_outside", label=2, last=1)),
            ([0, 1], [[0.5, 0.5]], Phrase("vectors.labels_shape", rows=1)),
        ],
    )
    def test_refuses(self, labels, probabilities, words):
        with refuses(words):
            find_label_errors(labels, probabilities)


@pytest.fixture(scope="module")
def pictures():
    """40 random pictures of 20 lesions, with features that know nothing of the pixels."""
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(40, 8)),
        rng.normal(size=(40, 16, 16)),
        [f"L{i // 2}" for i in range(40)],
    )


class TestDuplicates:
    @pytest.mark.parametrize("quarters", range(4))
    @pytest.mark.parametrize("mirrored", [False, True])
    def test_a_planted_one_is_found_however_it_was_turned(self, pictures, quarters, mirrored):
        features, small, lesions = (pictures[0].copy(), pictures[1].copy(), pictures[2])
        copy = np.rot90(small[3], quarters)
        copy = copy[:, ::-1] if mirrored else copy
        features[30] = features[3] + 0.01
        small[30] = 2 * copy + 7 + 0.05 * np.random.default_rng(1).normal(size=(16, 16))
        (found,) = find_duplicates(features, small, lesions)
        assert found.rows == (3, 30)
        assert found.correlation > 0.99
        a, b = features[3], features[30]
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert found.similarity == pytest.approx(expected, abs=1e-6)

    def test_photographs_of_one_lesion_are_no_finding(self, pictures):
        features, small, lesions = (pictures[0].copy(), pictures[1].copy(), list(pictures[2]))
        features[1], small[1] = features[0], small[0]
        assert find_duplicates(features, small, lesions) == []
        lesions[0] = lesions[1] = None  # not known to be of one lesion
        (found,) = find_duplicates(features, small, lesions)
        assert found == Duplicate((0, 1), pytest.approx(1.0), pytest.approx(1.0))

    def test_only_near_features_are_compared(self, pictures):
        features, small, lesions = (pictures[0].copy(), pictures[1].copy(), pictures[2])
        features[30], small[30] = -features[3], small[3]
        assert find_duplicates(features, small, lesions, k=3) == []
        (found,) = find_duplicates(features, small, lesions, k=40)
        assert found.rows == (3, 30)

    def test_against_all_pairs(self, pictures):
        features, small, lesions = pictures
        found = find_duplicates(features, small, lesions, k=40, at_least=0.1)
        expected = {}
        for a in range(40):
            for b in range(a + 1, 40):
                if lesions[a] != lesions[b]:
                    views = [np.rot90(small[a], q) for q in range(4)]
                    views += [view.T for view in views]
                    best = max(np.corrcoef(v.ravel(), small[b].ravel())[0, 1] for v in views)
                    if best >= 0.1:
                        expected[a, b] = best
        assert {pair.rows: pair.correlation for pair in found} == pytest.approx(expected)
        assert len(found) > 50
        ranked = [pair.correlation for pair in found]
        assert ranked == sorted(ranked, reverse=True)

    def test_pictures_of_one_grey_are_alike_to_none(self):
        features = np.ones((3, 2))
        assert find_duplicates(features, np.zeros((3, 4, 4)), ["a", "b", "c"]) == []

    def test_a_single_picture_has_no_pair(self):
        assert find_duplicates(np.ones((1, 2)), np.ones((1, 4, 4)), ["a"]) == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"thumbnails": np.ones((3, 4, 5))}, Phrase("label_errors.thumbnails", count=3)),
            ({"thumbnails": np.ones((2, 4, 4))}, Phrase("label_errors.thumbnails", count=3)),
            (
                {"lesion_ids": ["a"]},
                Phrase("label_errors.lesion_ids", unit_count=3, lesion_ids_count=1),
            ),
            ({"k": 0}, "label_errors.settings"),
            ({"at_least": 2}, "label_errors.settings"),
            ({"features": np.full((3, 2), np.nan)}, "vectors.not_finite"),
        ],
    )
    def test_refuses(self, changes, words):
        arguments = {
            "features": np.ones((3, 2)),
            "thumbnails": np.ones((3, 4, 4)),
            "lesion_ids": ["a", "b", "c"],
        } | changes
        with refuses(words):
            find_duplicates(**arguments)
