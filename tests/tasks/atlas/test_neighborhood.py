import numpy as np
import pytest
from refusals import refuses

from dermsim.tasks.atlas import measure_neighborhood
from dermsim.tasks.atlas import neighborhood as module

NAMES = ("df", "mel", "nv")


def test_against_a_slow_loop(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    rng = np.random.default_rng(0)
    embeddings, labels = rng.normal(size=(50, 5)), rng.integers(0, 3, 50)
    lesions = [f"L{i // 2}" if i < 30 else None for i in range(50)]
    found = measure_neighborhood(embeddings, labels, lesions, names=NAMES)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    prior = np.bincount(labels) / 50
    for row in range(50):
        others = [
            i for i in range(50) if i != row and (lesions[i] is None or lesions[i] != lesions[row])
        ]
        cosine = {i: float(unit[i] @ unit[row]) for i in others}
        nearest = sorted(others, key=lambda i, c=cosine: -c[i])[:16]
        votes = prior.copy()
        for i in nearest:
            votes[labels[i]] += np.exp((cosine[i] - cosine[nearest[0]]) / 0.07)
        votes = np.sort(votes / votes.sum()), int(votes.argmax())
        assert found["neighbor_dx"][row] == NAMES[votes[1]]
        assert found["margin"][row] == pytest.approx(votes[0][-1] - votes[0][-2], abs=1e-4)
        expected = 1 - np.mean([cosine[i] for i in nearest])
        assert found["isolation"][row] == pytest.approx(expected, abs=1e-5)


def test_a_case_among_its_like_on_a_border_and_alone():
    angles = np.deg2rad([*range(0, 20), *range(90, 110), 55, 200])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = np.array([0] * 20 + [1] * 20 + [0, 1])
    found = measure_neighborhood(embeddings, labels, [None] * 42, names=NAMES)
    assert found["margin"][40] == found["margin"].min()
    assert found["isolation"].argmax() == 41
    assert (found["neighbor_dx"][:20] == "df").all()
    assert (found["neighbor_dx"][20:40] == "mel").all()


def test_refusals():
    with refuses("neighborhood.lesion_ids", unit_count=2, lesion_ids_count=1):
        measure_neighborhood(np.eye(2), [0, 1], [None], names=NAMES)
    with refuses("neighborhood.one_lesion"):
        measure_neighborhood(np.eye(2), [0, 1], ["L", "L"], names=NAMES)
