"""Each verb once: what every front presents is what the engine says."""

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.facts import Facts
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import answers


@pytest.fixture(scope="module")
def two():
    return [draw_lesion(code, seed=3, view=1, size=(90, 70)) for code in ("mel", "nv")]


@pytest.fixture(scope="module")
def bank(engine):
    shown = [draw_lesion("vasc", seed=seed, size=(60, 60)) for seed in range(3)]
    return answers.teach(engine, iter(shown), name="clover")


def test_classify_has_the_prediction_the_vote_and_the_classes_of_a_bank(engine, two, bank):
    found = answers.classify(engine, two, bank=bank, operating_point=0.0)
    for answer, (prediction, vote) in zip(
        found, engine.predict_and_vote(two, operating_point=0.0), strict=True
    ):
        assert answer.prediction.is_malignant
        assert answer.prediction.probabilities == pytest.approx(prediction.probabilities)
        assert answer.vote == pytest.approx(vote)
    own = answers.compare(engine, two, bank=bank)
    assert [list(each) for each in own] == [[*CODES, "clover"]] * 2
    assert [answer.enrolled for answer in found] == own


def test_a_classified_picture_is_plain_values_and_speaks_of_classes_only_with_a_bank(engine, two):
    (answer,) = answers.classify(engine, two[:1])
    told = answer.to_dict()
    assert list(told) == ["answer", *answer.prediction.to_dict(), "vote", "agrees"]
    with_bank = answers.Classified(answer.prediction, answer.vote, {"clover": 1.0}).to_dict()
    read = {**told["answer"], "of": "enrolled"}
    if not told["withheld"]:
        read |= {"label": "clover", "probability": 1.0}
    assert with_bank == {**told, "answer": read, "enrolled": {"clover": 1.0}}


def test_facts_of_which_nothing_is_known_are_none(engine, informed_engine, two):
    plain = answers.classify(engine, two, facts=Facts())
    assert plain == answers.classify(engine, two)
    told = answers.classify(informed_engine, two, facts=Facts(70, "male", "face"))
    assert told[0].prediction != answers.classify(informed_engine, two)[0].prediction
    with refuses("encode.no_facts"):
        answers.classify(engine, two, facts=Facts(70, None, None))


def test_without_a_bank_the_seven_diagnoses_are_compared(engine, two):
    assert list(answers.compare(engine, two[:1], bank=None)[0]) == list(CODES)


def test_similar_has_the_cases_and_their_vote(engine, two):
    found = answers.similar(engine, two, k=3, where={"dx": ["mel"]}, one_per_lesion=True)
    queries = engine.embed(two)
    cases = engine.search(queries, 3, where={"dx": ["mel"]}, one_per_lesion=True)
    assert [list(answer.neighbors) for answer in found] == cases
    assert found[0].to_dict()["vote"] == pytest.approx(dict.fromkeys(CODES, 0.0) | {"mel": 1.0})
    assert len(found[0].to_dict()["neighbors"]) == 3


def test_where_no_case_has_the_facts_nobody_votes(engine, two):
    (none,) = answers.similar(engine, two[:1], where={"age": (199.0, 200.0)})
    assert (none.neighbors, none.vote) == ((), {})


@pytest.mark.parametrize("k", [0, 25, 2.5, "3"])
def test_a_front_bounds_how_many_cases_may_be_asked_for(engine, two, k):
    with refuses("answers.cases", most=24, k=k):
        answers.similar(engine, two, k=k, most=24)


def test_an_explanation_is_as_strong_as_beside_the_models_own(engine, two):
    own = answers.explain(engine, two[0])
    assert own.answer == own.heatmaps[0].target == engine.predict(two[0])[0].label_name
    assert own.strengths == (1.0,) and own.pictures == (two[0],)
    other = next(code for code in CODES if code != own.answer)
    found = answers.explain(engine, two[0], target=other)
    assert found.answer == own.answer and found.heatmaps[0].target == other
    expected = answers.strength(found.heatmaps[0], own.heatmaps[0])
    assert found.strengths == (pytest.approx(expected, rel=1e-4),)
    assert list(found.to_dict()) == [*("target", "method", "score", "peak", "strength", "worth")]


def test_a_likeness_has_two_maps_of_two_pictures_and_one_of_an_embedding(engine, two):
    both = answers.explain(engine, two[0], like=two[1])
    assert len(both.heatmaps) == len(both.pictures) == len(both.strengths) == 2
    assert both.to_dict()["peak_like"] == both.heatmaps[1].peak
    one = answers.explain(engine, two[0], like=engine.embed(two[1])[0])
    assert one.heatmaps[0].score == pytest.approx(both.heatmaps[0].score, abs=1e-5)
    assert "peak_like" not in one.to_dict()


def test_an_enrolled_class_can_be_explained_and_two_questions_are_refused(engine, two, bank):
    assert answers.explain(engine, two[0], target="clover", bank=bank).heatmaps[0].target
    with refuses(
        "labels.unknown_dx", text="clover", codes=["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    ):
        answers.explain(engine, two[0], target="clover")
    with refuses("answers.two_questions"):
        answers.explain(engine, two[0], target="mel", like=two[1])


def test_what_is_taught_extends_a_copy(engine, two, bank):
    again = answers.teach(engine, two, name="fern", head="mean", bank=bank)
    assert again.names[-2:] == ("clover", "fern") and again.kinds["fern"] == "mean"
    assert "fern" not in bank.names and "clover" not in engine.class_bank().names


def test_pictures_are_read_one_after_another(engine, two):
    read = []

    def pictures():
        for number, picture in enumerate(two):
            read.append(number)
            yield picture

    answers.teach(engine, pictures(), name="clover")
    assert read == [0, 1]


def test_what_became_of_the_old_classes_is_measured_where_a_bank_keeps_images(engine, bank):
    report = answers.enrollment(bank)
    assert {old.name for old in report.old} <= set(CODES)
    assert np.isfinite(report.after.value)


def test_a_bank_of_nothing_old_measures_nothing(bank):
    from dermsim.tasks.enroll import ClassBank

    alone = ClassBank().enroll("clover", np.eye(4, dtype=np.float32)[:2])
    assert answers.enrollment(alone) is None
