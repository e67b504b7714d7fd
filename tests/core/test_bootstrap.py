import numpy as np
import pytest
from refusals import refuses

from dermsim.core.bootstrap import Bootstrap, Interval, number_lesions, rows_by_lesion
from dermsim.core.metrics import class_auc


def test_lesions_are_numbered_and_unknown_ones_are_their_own():
    assert number_lesions(["b", "a", None, "b", None, "2"]).tolist() == [0, 1, 2, 0, 3, 4]
    assert number_lesions([]).shape == (0,)


def test_rows_come_by_lesion():
    found = rows_by_lesion(["b", "a", None, "b", None])
    assert [rows.tolist() for rows in found] == [[0, 3], [1], [2], [4]]
    assert rows_by_lesion([]) == []


def test_an_interval_is_written_as_files_keep_it():
    figure = Interval(0.61249, 0.5, 0.70004, 1200)
    assert f"{figure}" == "0.613 (0.500 to 0.700)"  # kept as 0.6125
    assert figure.words("n 1,200", spec="+.2f") == "+0.61 (+0.50 to +0.70, n 1,200)"


def test_a_bootstrap_of_some_rows_is_that_of_their_lesions():
    values, lesions = np.random.default_rng(1).random(40), [f"HAM_{i % 15}" for i in range(40)]
    lesions[3] = None
    whole, rows = Bootstrap(lesions, resamples=60, seed=2), np.arange(3, 40, 2)
    part = Bootstrap([lesions[row] for row in rows], resamples=60, seed=2)
    expected = part.interval(lambda i: values[rows][i].mean())
    mask = np.isin(np.arange(40), rows)
    for among in (rows, mask):
        assert whole.interval(lambda i: float(values[i].mean()), among=among) == expected
        assert whole.mean(values, among=among) == expected
        assert whole.take(among) == part
    assert (len(whole), whole.n_lesions, part.n_lesions) == (40, 16, 16)
    assert whole.take(rows[:0]).n_lesions == 0


def test_bootstrap_agrees_with_a_slow_one():
    rng = np.random.default_rng(3)
    lesions = [f"HAM_{i}" for i in rng.integers(0, 12, size=30)]
    values = rng.random(30)
    names = list(dict.fromkeys(lesions))
    rows_of = {name: [i for i, lesion in enumerate(lesions) if lesion == name] for name in names}
    samples = []
    for draw in np.random.default_rng(5).integers(len(names), size=(200, len(names))):
        rows = [row for lesion in draw for row in rows_of[names[lesion]]]
        samples.append(values[rows].mean())
    found = Bootstrap(lesions, resamples=200, seed=5).interval(lambda i: values[i].mean())
    low, high = np.percentile(samples, [2.5, 97.5])
    assert (found.value, found.low, found.high, found.n) == pytest.approx(
        (values.mean(), low, high, 30)
    )


def test_bootstrap_of_lesions_is_wider_than_of_images():
    lesions = [f"HAM_{i // 10}" for i in range(400)]
    values = np.repeat(np.random.default_rng(0).random(40), 10)  # one lesion's images agree

    def width(ids):
        interval = Bootstrap(ids, resamples=300).interval(lambda i: values[i].mean())
        return interval.high - interval.low

    assert width(lesions) > 2 * width([None] * 400)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(100):
        values = rng.normal(size=80)
        found = Bootstrap([None] * 80, resamples=200, seed=seed).interval(
            lambda i, v=values: v[i].mean()
        )
        hits += found.low <= 0 <= found.high
    assert 87 <= hits <= 100


def test_bootstrap_repeats_itself_and_skips_undefined_resamples():
    labels = np.array([0] * 9 + [1])

    def metric(rows):
        return class_auc(labels[rows] == 1, rows.astype(float))

    first, second = (Bootstrap([None] * 10, resamples=50).interval(metric) for _ in range(2))
    assert first == second
    assert first.value == first.low == first.high == 1.0


def test_bootstrap_refuses_what_is_undefined_on_every_resample():
    def defined_on_all_rows_alone(rows):
        return 0.5 if rows.tolist() == list(range(20)) else float("nan")

    with refuses("bootstrap.undefined_everywhere", size=50):
        Bootstrap([None] * 20, resamples=50).interval(defined_on_all_rows_alone)


def test_bootstrap_refuses():
    with refuses("bootstrap.no_rows"):
        Bootstrap([]).interval(lambda i: 0.0)
    with refuses("bootstrap.undefined"):
        Bootstrap(["a"]).interval(lambda i: float("nan"))


def test_interval_rounds_to_four_decimals():
    figure = Interval(0.123456, 0.1, 0.2, 7).to_dict()
    assert figure == {"value": 0.1235, "low": 0.1, "high": 0.2, "n": 7}


def test_means_of_several_values_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    values = rng.random((60, 4)) < 0.4
    bootstrap = Bootstrap([f"L{i // 3}" for i in range(60)], 100)
    among = np.arange(60) % 3 > 0
    for rows in (None, among):
        found = bootstrap.means(values, among=rows)
        for column, together in zip(values.T, found, strict=True):
            alone = bootstrap.mean(column, among=rows)
            assert together.to_dict() == pytest.approx(alone.to_dict())
    with refuses("bootstrap.no_rows"):
        Bootstrap([]).means(np.zeros((0, 2)))
