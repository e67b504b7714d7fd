import json
from dataclasses import replace

import numpy as np
import pytest

from dermsim.core.labels import CODES
from dermsim.engine.answers import Classified
from dermsim.engine.results import (
    DRAWN,
    NOTICES,
    UNFAMILIAR,
    Analysis,
    Prediction,
    Recognised,
)
from dermsim.tasks.detect import REASONS
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


def test_a_verdict_is_withheld_for_every_reason_and_given_without_one():
    plain = replace(prediction(), malignancy=0.4, is_malignant=False, threshold=0.5)
    assert (plain.verdict, plain.withheld) == ("benign", ())
    assert plain.verdict_at(0.4) == "malignant"
    faulty = replace(plain, quality=("too_dark", "greyscale"), is_outlier=True)
    assert faulty.withheld == ("too_dark", "greyscale", UNFAMILIAR)
    assert faulty.verdict == faulty.verdict_at(0.0) == "withheld"
    told = faulty.to_dict()
    assert told["verdict"] == "withheld" and tuple(told["withheld"]) == faulty.withheld
    assert told["malignancy"] == 0.4  # the figures stay beside it
    assert told["notice"] == "too dark; without colour; unlike anything in training"


def test_every_reason_of_the_gate_has_a_notice():
    assert set(REASONS) | {UNFAMILIAR} == set(NOTICES)


def test_label_and_malignancy_that_disagree_are_told():
    benign = replace(prediction(), label_name="nv", malignancy=0.3, is_malignant=True)
    assert benign.conflict_at() == "benign_label_above_threshold"
    assert benign.conflict_at(0.31) is None
    malignant = replace(prediction(), malignancy=0.3, is_malignant=False)
    assert malignant.conflict_at() == "malignant_label_below_threshold"
    assert malignant.conflict_at(0.3) is None
    assert replace(malignant, is_outlier=True).conflict_at() is None


def test_each_row_says_whether_it_is_listed_and_why_a_likelier_one_is_not():
    values = dict.fromkeys(CODES, 0.0) | {"mel": 0.71, "nv": 0.14, "bkl": 0.12, "df": 0.03}
    found = replace(
        prediction(probabilities=values),
        prediction_set=("mel", "bkl"),
        set_limits=dict.fromkeys(CODES, 0.1) | {"nv": 0.2},
    )
    rows = {row.code: row for row in found.listing}
    assert list(rows)[:4] == ["mel", "nv", "bkl", "df"]
    assert [rows[code].in_set for code in ("mel", "nv", "bkl", "df")] == [True, False, True, False]
    assert [code for code in rows if rows[code].out_though_likelier] == ["nv"]
    assert rows["nv"].limit == 0.2
    assert json.loads(json.dumps(found.to_dict()))["listing"][1]["out_though_likelier"] is True


def test_a_copy_of_a_past_case_and_a_drawn_model_are_told_in_the_notice():
    known = Recognised("ISIC_1", "HAM_1", "nv", learned=True)
    assert replace(prediction(), recognised=known).notice == "a training photograph, ISIC_1"
    other = replace(prediction(), recognised=replace(known, learned=False), drawn=True)
    assert other.notice == f"one of the past cases, ISIC_1; {DRAWN}"


def test_the_answer_to_read_is_the_banks_where_there_is_one_and_none_where_withheld():
    values = dict.fromkeys(CODES, 0.0) | {"mel": 0.6, "nv": 0.4}
    plain = Classified(prediction(probabilities=values), {"mel": 1.0})
    assert plain.answer == {"label": "mel", "probability": 0.6, "of": "probabilities"}
    assert plain.agrees is True
    taught = replace(plain, enrolled={"ulcer": 0.64, "mel": 0.36})
    assert taught.answer == {"label": "ulcer", "probability": 0.64, "of": "enrolled"}
    withheld = replace(plain, prediction=replace(plain.prediction, quality=("too_dark",)))
    assert withheld.answer == {"label": None, "probability": None, "of": "probabilities"}
    assert withheld.agrees is None
