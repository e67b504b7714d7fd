import pytest
from refusals import refuses

from dermsim.core.explain_methods import parse_layer, parse_target


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        (None, None),
        ("2", 2),
        ("-2", -2),
        ("layer3.0.conv1", "layer3.0.conv1"),
        ("blocks_1", "blocks_1"),
    ],
)
def test_a_layer_is_a_number_or_a_name(text, layer):
    assert parse_layer(text) == layer


@pytest.mark.parametrize("text", ["", "1.5", "--2", "layer 3", "a" * 200, "2000", "../x"])
def test_what_is_no_layer_is_refused(text):
    with refuses("explain_methods.layer"):
        parse_layer(text)


def test_a_target_is_a_diagnosis_malignancy_or_an_enrolled_class():
    assert parse_target(None) is None
    assert parse_target("malignancy") == "malignancy"
    assert parse_target("Melanoma") == parse_target("MEL", ["clover", "mel"]) == "mel"
    assert parse_target("clover", ["mel", "clover"]) == "clover"
    with refuses("labels.unknown_dx", text="clover"):
        parse_target("clover", ["mel"])
