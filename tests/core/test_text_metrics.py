"""BLEU, ROUGE-L and CIDEr-D against the packages that others use."""

import math
import random

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.text_metrics import (
    FactScores,
    bleu,
    cider_d,
    compare_facts,
    distinct,
    rouge_l,
    words_of,
)

WORDS = [f"word{number}" for number in range(14)]


@pytest.fixture(scope="module")
def corpus():
    rng = random.Random(0)
    candidates = [rng.choices(WORDS, k=rng.randint(4, 14)) for _ in range(30)]
    references = [
        [
            [word if rng.random() < 0.7 else rng.choice(WORDS) for word in text]
            + rng.choices(WORDS, k=rng.randint(0, 2))
            for _ in range(2)
        ]
        for text in candidates
    ]
    return candidates, references


def test_bleu_is_sacrebleus(corpus):
    sacrebleu = pytest.importorskip("sacrebleu")
    candidates, references = corpus
    streams = [[" ".join(known[place]) for known in references] for place in range(2)]
    expected = sacrebleu.corpus_bleu(
        [" ".join(text) for text in candidates], streams, tokenize="none", smooth_method="none"
    )
    assert 100 * bleu(candidates, references) == pytest.approx(expected.score)


def test_rouge_is_rouge_scores(corpus):
    scoring = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = scoring.RougeScorer(["rougeL"])
    for text, (reference, _) in zip(*corpus, strict=True):
        expected = scorer.score(" ".join(reference), " ".join(text))["rougeL"].fmeasure
        assert rouge_l(text, reference) == pytest.approx(expected)


def test_cider_is_pycocoevalcaps(corpus):
    scoring = pytest.importorskip("pycocoevalcap.cider.cider_scorer")
    scorer = scoring.CiderScorer()
    for text, known in zip(*corpus, strict=True):
        scorer += (" ".join(text), [" ".join(reference) for reference in known])
    mean, each = scorer.compute_score()
    found = cider_d(*corpus)
    np.testing.assert_allclose(found, each)
    assert np.mean(found) == pytest.approx(mean)


def test_the_reference_itself_scores_best(corpus):
    candidates, _ = corpus
    own = [[text] for text in candidates]
    assert bleu(candidates, own) == pytest.approx(1)
    assert all(rouge_l(text, text) == 1 for text in candidates)


def test_a_text_that_all_pictures_share_weighs_nothing_in_cider():
    same = [["no", "streaks"]] * 5
    assert cider_d(same, [[text] for text in same]) == [0.0] * 5


def test_nothing_shared_and_nothing_said():
    assert bleu([["a", "b", "c", "d"]], [[["e", "f", "g", "h"]]]) == 0
    assert bleu([[]], [[["a"]]]) == 0
    assert rouge_l([], ["a"]) == rouge_l(["a"], ["b"]) == 0


def test_rouge_by_hand():
    # common subsequence a c d: precision 3/4, recall 3/5
    assert rouge_l(list("abcd"), list("acxdy")) == pytest.approx(2 * 0.75 * 0.6 / 1.35)


@pytest.mark.parametrize("metric", [bleu, cider_d])
def test_texts_without_references_are_refused(metric):
    with refuses("text_metrics.references", candidates_count=1, references_count=0):
        metric([["a"]], [])
    with refuses("text_metrics.references"):
        metric([["a"]], [[]])


def test_words_are_split_from_marks():
    assert words_of("Shows red, 3 %.") == ["shows", "red", ",", "3", "%", "."]


def test_distinct_texts():
    assert distinct(["a", "b", "a", "a"]) == 0.5
    assert math.isnan(distinct([]))


def test_facts_by_hand():
    found = compare_facts({"a", "b"}, {"b", "c", "d"})
    assert found == FactScores(2, 1, 3)
    assert (found.precision, found.recall) == (0.5, pytest.approx(1 / 3))
    assert found.hallucination == 0.5
    assert found.f1 == pytest.approx(2 * 0.5 * (1 / 3) / (0.5 + 1 / 3))
    assert found + FactScores(1, 1, 1) == FactScores(3, 2, 4)
    assert math.isnan(compare_facts(set(), set()).f1)
