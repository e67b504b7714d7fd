import json

import numpy as np
import pytest

from dermsim.core.labels import CODES
from dermsim.engine.results import NOTICES, UNFAMILIAR, Analysis, Prediction
from dermsim.tasks.retrieve import Neighbor


def prediction(*, probabilities=None, outlier=False):
    values = probabilities or {code: 1 / 7 for code in CODES}
    sets = {"0.80": ("mel",), "0.95": ("mel", "nv")}
    return Prediction(4, "mel", values, ("mel",), 0.5, True, 3.0, outlier, sets)


def analysis(*dx):
    cases = tuple(Neighbor(f"ISIC_{i}", None, code, 0.5, {}) for i, code in enumerate(dx))
    return Analysis(prediction(), None, cases, None, None)


@pytest.mark.parametrize("outlier", [False, True])
def test_the_notice_comes_before_everything_else(outlier):
    found = prediction(outlier=outlier)
    plain = found.to_dict()
    assert next(iter(plain)) == "notice"
    assert plain["notice"] == (NOTICES[UNFAMILIAR] if outlier else None) == found.notice
    assert json.loads(json.dumps(plain))["prediction_sets"]["0.95"] == ["mel", "nv"]


def test_entropy_by_hand():
    assert prediction().entropy == pytest.approx(np.log2(7))
    sure = dict.fromkeys(CODES, 0.0) | {"nv": 1.0}
    assert str(prediction(probabilities=sure).entropy) == "0.0"
    halves = dict.fromkeys(CODES, 0.0) | {"nv": 0.5, "mel": 0.25, "bkl": 0.25}
    assert prediction(probabilities=halves).to_dict()["entropy"] == pytest.approx(1.5)


def test_disagreement_is_the_share_of_other_diagnoses():
    assert analysis("mel", "nv", "mel", "bkl").disagreement == 0.5
    assert analysis("mel").to_dict()["disagreement"] == 0.0
    assert analysis().disagreement is None
