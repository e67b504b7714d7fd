from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.metrics import class_auc
from dermsim.core.refused import Phrase
from dermsim.evaluation.protocols.episodes import Answers, draw_episodes


@pytest.fixture(scope="module")
def rows():
    """Three classes of 30, 25 and 20 lesions, of one to three photographs each."""
    rng = np.random.default_rng(0)
    labels, lesions = [], []
    for label, count in ((0, 30), (3, 25), (6, 20)):
        for lesion in range(count):
            photographs = int(rng.integers(1, 4))
            labels += [label] * photographs
            lesions += [f"L{label}-{lesion}"] * photographs
    return np.array(labels), lesions


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("ways", [2, 3])
def test_an_episode_is_of_its_classes_and_no_lesion_comes_twice(rows, shots, ways):
    labels, lesions = rows
    for episode in draw_episodes(labels, lesions, shots=shots, ways=ways, count=30):
        assert episode.support.shape == (ways, shots)
        assert episode.queries.shape == (ways, 15)
        drawn = np.concatenate([episode.support, episode.queries], axis=1)
        assert (labels[drawn] == np.array(episode.classes)[:, None]).all()
        names = [lesions[row] for row in drawn.ravel()]
        assert len(set(names)) == len(names)


def test_all_pairs_come_equally_often_and_all_lesions_come(rows):
    labels, lesions = rows
    episodes = list(draw_episodes(labels, lesions, shots=1, count=100))
    pairs = [episode.classes for episode in episodes]
    assert len(pairs) == 102
    assert {pair: pairs.count(pair) for pair in set(pairs)} == {(0, 3): 34, (0, 6): 34, (3, 6): 34}
    shown = {lesions[row] for episode in episodes for row in episode.support.ravel()}
    asked = {lesions[row] for episode in episodes for row in episode.queries.ravel()}
    assert asked == set(lesions)
    assert len(shown) > 65


def test_a_seed_repeats_itself_and_another_differs(rows):
    labels, lesions = rows
    one, same, other = (
        [e.queries.tolist() for e in draw_episodes(labels, lesions, shots=2, count=9, seed=s)]
        for s in (0, 0, 1)
    )
    assert one == same != other


def test_a_small_class_is_asked_about_less(rows):
    labels, lesions = rows
    few = np.flatnonzero([not (lab == 6 and int(les.split("-")[1]) >= 8)
                          for lab, les in zip(labels, lesions, strict=True)])  # fmt: skip
    episodes = draw_episodes(labels[few], [lesions[i] for i in few], shots=5, count=3)
    assert {episode.queries.shape for episode in episodes} == {(2, 3)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shots": 0}, Phrase("episodes.least", name="shots", least=1, value=0)),
        ({"count": 0}, Phrase("episodes.least", name="count", least=1)),
        ({"queries": 0}, Phrase("episodes.least", name="queries", least=1)),
        ({"shots": 20}, Phrase("episodes.shots", needed=21, fewest=20)),
        ({"ways": 4}, Phrase("episodes.ways", ways=4, classes=4, count=3)),
        ({"ways": 1}, Phrase("episodes.ways", ways=1, classes=2)),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows, changes, words):
    with refuses(words):
        next(draw_episodes(*rows, **({"shots": 1} | changes)))


def test_a_lesion_of_two_diagnoses_is_refused():
    with refuses("episodes.two_diagnoses", lesion_ids="a"):
        next(draw_episodes([0, 1, 1], ["a", "a", "b"], shots=1))


def answers(separation=1.0, *, episodes=40, seed=0):
    rng = np.random.default_rng(seed)
    lesions = np.stack([rng.permutation(60).reshape(2, 30)[:, :15] for _ in range(episodes)])
    lift = np.random.default_rng(9).normal(size=120)  # some lesions are hard in every episode
    lesions[:, 1] += 60
    margins = np.array([-separation, separation])[None, :, None] + rng.normal(size=lesions.shape)
    return Answers(margins + lift[lesions], lesions)


def test_figures_against_a_loop_over_episodes():
    found = answers()
    accuracies, areas = [], []
    for margins in found.margins:
        accuracies.append(((margins[0] < 0).mean() + (margins[1] > 0).mean()) / 2)
        areas.append(class_auc(np.arange(30) >= 15, margins.ravel()))
    assert replace(found, resamples=5).accuracy().value == pytest.approx(np.mean(accuracies))
    assert replace(found, resamples=5).auc().value == pytest.approx(np.mean(areas))
    expected = 1.96 * np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))
    assert found.episode_error() == pytest.approx(expected)
    assert replace(found, resamples=5).auc().n == len(np.unique(found.lesions))


def test_a_head_that_cannot_decide_is_right_half_the_time():
    undecided = Answers(np.zeros((3, 2, 4)), np.arange(24).reshape(3, 2, 4), resamples=10)
    assert undecided.accuracy().value == 0.5
    assert undecided.auc().value == 0.5


def test_a_resample_weighs_lesions_as_drawing_them_again_would():
    """One episode, where weights and repeated rows are easily compared."""
    found = answers(episodes=1)
    _, places = np.unique(found.lesions, return_inverse=True)
    drawn = np.random.default_rng(3).multinomial(30, np.full(30, 1 / 30), size=200)
    expected = []
    for weights in drawn:
        counts = weights[places.reshape(2, 15)]
        low, high = (np.repeat(found.margins[0, side], counts[side]) for side in (0, 1))
        expected.append(class_auc(np.arange(30) >= len(low), np.concatenate([low, high])))
    low, high = np.percentile(expected, [2.5, 97.5])
    interval = replace(found, resamples=200, seed=3).auc()
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_resamples_that_lose_a_class_are_left_out():
    """Of one episode with one lesion of each class, every other resample draws but one of them."""
    sure = Answers(np.array([[[-1.0], [1.0]]]), np.array([[[0], [1]]]), resamples=50)
    for figure in (sure.accuracy, sure.auc):
        interval = figure()
        assert (interval.value, interval.low, interval.high) == (1, 1, 1)


def test_more_episodes_of_the_same_lesions_do_not_make_it_surer():
    few, many = answers(episodes=40), answers(episodes=640)
    assert many.episode_error() < 0.3 * few.episode_error()
    spans = [replace(a, resamples=300).accuracy() for a in (few, many)]
    widths = [interval.high - interval.low for interval in spans]
    assert widths[1] > 0.7 * widths[0]
    assert widths[1] > 4 * many.episode_error()
