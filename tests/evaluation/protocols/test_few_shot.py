import numpy as np
import pytest
from refusals import refuses
from table_rows import row_of

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.vectors import l2_normalize
from dermsim.evaluation.protocols.episodes import draw_episodes
from dermsim.evaluation.protocols.few_shot import answer, evaluate_few_shot
from dermsim.tasks.enroll import ClassBank


@pytest.fixture(scope="module")
def table(engine, dataset):
    return evaluate_few_shot(engine, dataset, shots=(1, 5), episodes=60, resamples=40)


def test_rows_and_figures(table):
    assert {row.keys["shots"] for row in table.rows} == {1, 5}
    assert {row.keys["vectors"] for row in table.rows} == {"pooled features", "embeddings"}
    pairs = {row.keys["classes"] for row in table.rows}
    assert pairs == {"all pairs", "akiec or df", "akiec or vasc", "df or vasc"}
    for row in table.rows:
        for figure in row.figures.values():
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
    best = row_of(table, classes="all pairs", vectors="pooled features", head="mean", shots=5)
    once = row_of(table, classes="all pairs", vectors="pooled features", head="mean", shots=1)
    assert best.figures["AUC"].value > once.figures["AUC"].value > 0.6
    assert best.figures["AUC"].n == 90  # 30 lesions of each class
    assert "akiec, df, vasc (akiec 60, df 60, vasc 60 photographs of 90 lesions)" in table.summary
    assert "it was on bcc, bkl, mel, nv" in table.summary


def test_all_pairs_are_the_mean_of_the_pairs(table):
    keys = {"vectors": "pooled features", "head": "mean", "shots": 5}
    rows = [row for row in table.rows if keys.items() <= row.keys.items()]
    whole = next(row for row in rows if row.keys["classes"] == "all pairs")
    parts = [row.figures["AUC"].value for row in rows if row is not whole]
    assert len(parts) == 3
    assert whole.figures["AUC"].value == pytest.approx(np.mean(parts))


def test_the_mean_head_against_the_formula(engine, dataset):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 6)).astype(np.float32)
    labels, lesions = np.repeat([0, 1], 30), [f"L{i // 2}" for i in range(60)]
    episodes = list(draw_episodes(labels, lesions, shots=3, count=5))
    found = answer(ClassBank(), vectors, Bootstrap(lesions), episodes, head="mean")
    unit = l2_normalize(vectors)
    for margins, asked, episode in zip(found.margins, found.lesions, episodes, strict=True):
        first, second = l2_normalize(unit[episode.support].sum(axis=1))
        expected = unit[episode.queries] @ (second - first) / 0.1
        np.testing.assert_allclose(margins, expected, rtol=1e-4, atol=1e-4)
        assert (asked == episode.queries // 2).all()


def test_a_seed_repeats_itself(engine, dataset):
    options = {"classes": ("vasc", "df"), "shots": (1,), "episodes": 6, "resamples": 5}
    one, same = (evaluate_few_shot(engine, dataset, **options) for _ in range(2))
    assert one.to_dict() == same.to_dict()
    assert evaluate_few_shot(engine, dataset, seed=1, **options).rows != one.rows


def test_refuses(engine, whole_engine, dataset):
    with refuses("protocol_cases.all_known"):
        evaluate_few_shot(whole_engine, dataset)
    with refuses("few_shot.one_class", left_out="df"):
        evaluate_few_shot(engine, dataset, classes=["df"])
    with refuses("episodes.shots", needed=41, fewest=30):
        evaluate_few_shot(engine, dataset, shots=(40,))
