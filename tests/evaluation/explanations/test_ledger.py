"""From numbers of photographs to figures with intervals."""

import numpy as np
import pytest

from dermsim.core.bootstrap import Bootstrap
from dermsim.core.metrics import macro_mean
from dermsim.evaluation.explanations.ledger import Ledger

LABELS = np.array([0, 0, 0, 4, 4, 5])
LESIONS = ["a", "a", "b", "c", "d", None]


@pytest.fixture
def ledger():
    return Ledger(LABELS, Bootstrap(LESIONS, resamples=50, seed=3))


def test_a_figure_is_the_mean_over_diagnoses_of_those_that_are_known(ledger):
    ledger.write("cam", "energy", [0, 1, 3, 5], np.array([0.2, 0.4, 0.9, 0.6]))
    ledger.write("cam", "energy", [2, 4], np.array([0.6, np.nan]))
    found = ledger.figures("cam")["energy"]
    rows, values = np.array([0, 1, 2, 3, 5]), np.array([0.2, 0.4, 0.6, 0.9, 0.6])
    assert found.value == pytest.approx((0.4 + 0.9 + 0.6) / 3)
    assert found.n == 5
    expected = Bootstrap([LESIONS[row] for row in rows], resamples=50, seed=3).interval(
        lambda i: macro_mean(values[i], LABELS[rows][i], 7)
    )
    assert found == expected and found.low < found.value < found.high


def test_by_class(ledger):
    ledger.write("cam", "energy", range(6), np.array([0.2, 0.4, 0.6, 0.9, 0.7, np.nan]))
    ledger.write("cam", "road", [0], np.array([0.5]))
    found = ledger.figures_by_class("cam")
    assert list(found["energy"]) == ["akiec", "mel"]
    assert found["energy"]["akiec"].value == pytest.approx(0.4)
    assert found["energy"]["mel"].n == 2
    assert list(ledger.figures_by_class("cam", ["road"])) == ["road"]


def test_a_gain_is_paired(ledger):
    ledger.write("gaussian", "energy", range(6), np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.0]))
    ledger.write("cam", "energy", range(6), np.array([0.6, 0.5, 0.4, 0.3, 0.2, 0.1]))
    ledger.write("slow", "energy", [1, 3], np.array([0.4, 0.1]))
    ledger.write_gain("energy", "energy_gain", over="gaussian")
    gain = ledger.figures("cam")["energy_gain"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    few = ledger.figures("slow")["energy_gain"]
    assert few.n == 2 and few.value == pytest.approx((0.0 - 0.1) / 2)
    assert "energy_gain" not in ledger.figures("gaussian")


def test_what_is_nowhere_known_is_left_out(ledger):
    ledger.write("uniform", "stability", [0, 1], np.array([np.nan, np.nan]))
    ledger.write("uniform", "energy", [0], np.array([0.4]))
    assert list(ledger.figures("uniform")) == ["energy"]
    assert ledger.figures("unheard of") == {}
