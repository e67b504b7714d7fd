"""What a score covers of lesions yet to come, where the truth is known."""

import math

import numpy as np
import pytest
from refusals import refuses
from scipy.stats import beta

from dermsim.core.refused import Phrase
from dermsim.tasks.classify import covering_score


def alone(count):
    return [None] * count


def slow(scores, lesions, needed):
    """The smallest score that enough lesions, and as large a share of photographs, lie below."""
    names = sorted(set(lesions))
    for score in sorted(scores):
        below = [s <= score for s in scores]
        shares = [
            np.mean([b for b, own in zip(below, lesions, strict=True) if own == name])
            for name in names
        ]
        enough = needed - 1e-9
        if sum(shares) >= enough and np.mean(below) * len(names) >= enough:
            return score
    raise AssertionError


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.8, 0.9])
def test_against_a_slow_count(seed, share):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, size=30)
    lesions = [f"L{lesion}" for lesion in np.repeat(np.arange(30), sizes)]
    scores = rng.random(len(lesions)).round(2)  # some of them equal
    assert covering_score(scores, lesions, share) == slow(scores, lesions, 31 * share)


def test_of_single_photographs_it_is_the_usual_conformal_quantile():
    scores = np.arange(1, 70)
    assert covering_score(scores, alone(69), 0.9) == 63  # 70 * 0.9, and not a hair more
    assert covering_score(scores, alone(69), 0.95) == 67


def test_more_photographs_of_the_same_lesions_change_nothing():
    rng = np.random.default_rng(0)
    scores = rng.random(14)
    once = covering_score(scores, alone(14), 0.9)
    often = covering_score(np.repeat(scores, 6), [f"L{i // 6}" for i in range(84)], 0.9)
    assert once == often == sorted(scores)[math.ceil(15 * 0.9) - 1]
    # taken for lesions of their own they would promise too much
    assert covering_score(np.repeat(scores, 6), alone(84), 0.9) < once


def test_lesions_with_many_photographs_may_be_harder():
    """As HAM10000's naevi are: then photographs need more than lesions do, and the other way."""
    lesions = [f"single {i}" for i in range(80)] + [f"many {i // 5}" for i in range(100)]
    hard, easy = np.linspace(0.5, 1, 100), np.linspace(0, 0.5, 80)
    scores = np.concatenate([easy, hard])
    found = covering_score(scores, lesions, 0.9)
    assert (scores <= found).mean() >= 0.9  # of photographs
    turned = 1 - scores
    found = covering_score(turned, lesions, 0.9)
    shares = [np.mean(turned[:80] <= found)] * 80 + [np.mean(turned[80:] <= found)] * 20
    assert np.mean(shares) >= 0.9  # of lesions


@pytest.mark.parametrize("clustered", [False, True])
def test_on_average_it_covers_what_it_promises(clustered):
    """Scores are uniform, so that a score is the share that it covers."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        scores = rng.random(39)
        ids = [f"L{i}" for i in range(39)]
        if clustered:
            sizes = rng.integers(1, 7, size=39)
            scores, ids = np.repeat(scores, sizes), list(np.repeat(ids, sizes))
        found.append(covering_score(scores, ids, 0.9))
    # 0.9 but for the error of a mean of 400, and what photographs ask for besides
    assert 0.9 - 0.006 < np.mean(found) < 0.9 + (0.03 if clustered else 0.006)


def test_a_diagnosis_of_eight_lesions_and_fourteen_photographs():
    """HAM10000's dermatofibromas in validation: 8 of 9 is the most that they can promise."""
    scores = np.linspace(0.1, 0.8, 14)
    ids = [f"L{i % 8}" for i in range(14)]
    assert covering_score(scores, ids, 0.9) == 0.8  # more often than not that covers 0.9
    assert 1 - beta.cdf(0.9, 8, 1) > 0.5
    assert covering_score(scores, ids, 0.95) is None  # but not 0.95
    assert 1 - beta.cdf(0.95, 8, 1) < 0.5
    assert covering_score(scores, ids, 0.8) < 0.8


@pytest.mark.parametrize("lesions", [70, 141])
def test_with_confidence_it_covers_the_share_that_often(lesions):
    rng = np.random.default_rng(2)
    found = np.array(
        [
            covering_score(rng.random(lesions), alone(lesions), 0.95, confidence=0.8)
            for _ in range(1000)
        ]
    )
    assert (found >= 0.95).mean() > 0.8 - 0.03
    ranked = np.sort(rng.random((1000, lesions)), axis=1)
    k = next(k for k in range(1, lesions + 1) if 1 - beta.cdf(0.95, k, lesions + 1 - k) >= 0.8)
    assert np.mean(found) == pytest.approx(ranked[:, k - 1].mean(), abs=0.004)


def test_too_few_lesions_for_the_confidence():
    assert covering_score(np.arange(31), alone(31), 0.95, confidence=0.8) is None
    assert covering_score(np.arange(32), alone(32), 0.95, confidence=0.8) == 31
    assert 1 - 0.95**31 < 0.8 < 1 - 0.95**32


@pytest.mark.parametrize(
    ("scores", "ids", "share", "confidence", "sentence"),
    [
        ([], [], 0.9, None, "coverage.lesion_ids"),
        ([0.1, 0.2], ["a"], 0.9, None, Phrase("coverage.lesion_ids", shape=[2], count=1)),
        ([[0.1]], ["a"], 0.9, None, Phrase("coverage.lesion_ids", shape=[1, 1])),
        ([0.1], ["a"], 1.0, None, Phrase("coverage.between", name="share", number=1.0)),
        ([0.1], ["a"], 0.9, 0.0, Phrase("coverage.between", name="confidence", number=0.0)),
    ],
)
def test_bad_input_is_refused(scores, ids, share, confidence, sentence):
    with refuses(sentence):
        covering_score(scores, ids, share, confidence=confidence)
