from dermsim.core.labels import CODES
from dermsim.engine.results import Prediction
from dermsim.ui import opinions


def prediction(codes=("nv",), *, label="nv", share=0.9, **others):
    probabilities = dict.fromkeys(CODES, 0.0) | {label: share} | others
    return Prediction(CODES.index(label), label, probabilities, codes, 0.1, False, 1.0, False, {})


def test_nothing_is_said_of_a_clear_picture():
    assert opinions.undecided(prediction(), {"nv": 0.8, "mel": 0.2}) == ""
    # several benign ones, or an answer that has more than half, are no reason
    assert opinions.undecided(prediction(("nv", "bkl"), share=0.4, bkl=0.3), {"nv": 1.0}) == ""
    assert opinions.undecided(prediction(("nv", "mel"), share=0.5, mel=0.5), {"nv": 1.0}) == ""


def test_past_cases_that_say_something_else_are_a_reason():
    said = opinions.undecided(prediction(), {"mel": 0.6, "nv": 0.4})
    assert (
        "The classifier says Melanocytic naevus, the past cases most like it say Melanoma" in said
    )
    assert "cannot be excluded" not in said


def test_benign_and_malignant_ones_that_cannot_be_excluded_are_a_reason():
    found = prediction(("nv", "bkl", "mel"), share=0.4, bkl=0.3, mel=0.3)
    said = opinions.undecided(found, {"nv": 1.0})
    assert (
        "Melanocytic naevus, Benign keratosis-like lesion and Melanoma cannot be excluded" in said
    )
    assert f"{found.entropy:.1f} bits" in said


def test_a_vote_is_told_from_the_likeliest_on():
    line = opinions.vote_line({"nv": 0.2, "mel": 0.79, "df": 0.01})
    assert line.index("Melanoma") < line.index("Melanocytic naevus")
    assert "Dermatofibroma" not in line
