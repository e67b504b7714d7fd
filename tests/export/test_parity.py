"""What counts as the same answer, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from refusals import refuses

from dermsim.export.parity import Difference, Parity, compare_runtimes

SAME = Parity(
    photographs=100,
    embeddings=Difference(1e-6, 1e-7),
    lowest_cosine=1.0,
    probabilities=Difference(1e-6, 1e-7),
    labels=100,
    verdicts=100,
    sets=100,
    outliers=100,
)


def test_a_difference_is_absolute():
    found = Difference.of(np.array([1.0, 2.0]), np.array([1.5, 1.9]))
    assert found.largest == pytest.approx(0.5) and found.mean == pytest.approx(0.3)


def test_the_same_answers_pass():
    SAME.check_same()
    SAME.check_close()
    replace(SAME, whole={"lowest_cosine": 0.9995}).check_same()
    assert "accuracy" not in SAME.to_dict() and SAME.to_dict()["embeddings"]["largest"] == 1e-6


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"lowest_cosine": 0.9998}, "onnx_export.cosine"),
        ({"lowest_cosine": float("nan")}, "onnx_export.cosine"),
        ({"whole": {"lowest_cosine": 0.99}}, "onnx_export.cosine"),
        *(({name: 99}, "onnx_export.answers") for name in ("labels", "verdicts", "sets")),
        ({"outliers": 99}, "onnx_export.answers"),
    ],
)
def test_other_answers_are_refused(changes, key):
    with refuses(key):
        replace(SAME, **changes).check_same()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"verdicts": 97}, "onnx_export.int8_verdicts"),
        ({"accuracy": {"lost": 0.011}}, "onnx_export.int8_accuracy"),
        ({"melanoma_auc": {"lost": 0.006}}, "onnx_export.int8_auc"),
    ],
)
def test_integers_may_lose_so_much(changes, key):
    gains = {"accuracy": {"lost": 0.01}, "melanoma_auc": {"lost": -0.2}, "verdicts": 98}
    replace(SAME, **gains).check_close()
    with refuses(key):
        replace(SAME, **changes).check_close()


def test_nothing_to_compare_on_is_refused(engine):
    with refuses("onnx_export.no_photographs"):
        compare_runtimes(engine, None, [])
