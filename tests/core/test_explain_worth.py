"""What heatmaps are worth: verdicts, the default method, and the file that keeps both."""

import json

import pytest
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.core.explain_methods import METHODS, UNMEASURED
from dermsim.core.explain_worth import WORTH, ExplanationWorth, MethodWorth, Worth


def interval(value, half=0.02):
    return Interval(value, value - half, value + half, 50)


def measured(method="gradcam", energy=0.1, road=0.1, layer=-1):
    return MethodWorth(
        method, layer, interval(0.5), interval(energy), interval(0.2), interval(road)
    )


def kept(*methods):
    return ExplanationWorth("f" * 16, "HAM10000", "validation", methods, 0.2)


@pytest.mark.parametrize(
    ("energy", "road", "verdict"),
    [
        (0.1, 0.1, "better"),
        (0.1, 0.0, "partly_better"),
        (0.0, 0.1, "partly_better"),
        (0.1, -0.1, "mixed"),
        (0.01, -0.01, "no_better"),
        (-0.1, 0.0, "worse"),
        (-0.1, -0.1, "worse"),
    ],
)
def test_verdicts(energy, road, verdict):
    assert measured(energy=energy, road=road).verdict == verdict


def test_the_default_is_the_best_of_those_that_answer_anything_at_once():
    found = kept(
        measured("gradcam", 0.1, 0.0),
        measured("layercam", 0.05, 0.05),
        measured("hirescam", 0.06, 0.05),
        measured("eigencam", 0.4, 0.4),  # the same whatever is asked
        measured("scorecam", 0.4, 0.4),  # slow
        measured("finercam", 0.4, 0.4),  # diagnoses only
    )
    assert found.default == "hirescam"
    assert kept(measured("eigencam")).default == UNMEASURED
    for name in ("eigencam", "scorecam", "finercam", "occlusion", "ablationcam", "fem"):
        assert not METHODS[name].may_be_default


def test_a_sure_gain_counts_more_than_a_large_one():
    sure, large = measured("gradcam", 0.03, 0.03), measured("layercam", 0.5, 0.0)
    assert kept(sure, large).default == "gradcam"


def test_what_may_be_said_of_a_map():
    found = kept(measured("gradcam", layer=-2))
    options = {"other_layer": False, "smooth": False, "likeness": False}
    shown = found.shown("gradcam", **options)
    assert shown == Worth(found.methods[0], "HAM10000", "validation", None)
    assert shown.to_dict()["verdict"] == "better"
    assert found.layer("gradcam") == -2 and found.layer("layercam") is None
    for why in options:
        other = found.shown("gradcam", **{**options, why: True})
        assert (other.figures, other.why) == (None, why)
        assert other.to_dict() == {"verdict": None, "not_measured": why}
    assert found.shown("layercam", **options).why == "not_measured"


def test_the_file_comes_back_and_is_nothing_for_another_encoder(tmp_path):
    found = kept(measured(), measured("layercam", layer=None))
    path = tmp_path / WORTH
    assert ExplanationWorth.load(path, fingerprint="f" * 16) is None
    found.save(path)
    assert ExplanationWorth.load(path, fingerprint="f" * 16).to_dict() == found.to_dict()
    assert ExplanationWorth.load(path, fingerprint="0" * 16) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("spread"),
        lambda d: d.update(methods={}),
        lambda d: d.update(methods="gradcam"),
        lambda d: d["methods"][0].update(method="magic"),
        lambda d: d["methods"][0].update(layer="x"),
        lambda d: d["methods"][0].update(layer=True),
        lambda d: d["methods"][0].pop("road"),
        lambda d: d["methods"][0]["road"].pop("low"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change):
    document = kept(measured()).to_dict()
    change(document)
    path = tmp_path / WORTH
    path.write_text(json.dumps(document))
    keys = ("storage.keys", "explain_worth.methods", "explain_worth.method", "explain_worth.layer")
    with refuses(keys):
        ExplanationWorth.load(path, fingerprint="f" * 16)
