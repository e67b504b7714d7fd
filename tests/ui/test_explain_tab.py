"""The tab *Explain* as plain functions."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from refusals import refuses

from dermsim.core.bootstrap import Interval
from dermsim.core.explain_methods import CLEAR, DEFAULT, METHODS, VANISHED
from dermsim.core.explain_worth import ExplanationWorth, MethodWorth
from dermsim.core.labels import CODES, LABELS, diagnosis
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import answers
from dermsim.ui import explain_callbacks


@pytest.fixture(scope="module")
def lesion(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "lesion.png"
    draw_lesion("mel", seed=3, size=(200, 150)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def bank(engine):
    shown = [draw_lesion("vasc", seed=s) for s in range(2)]
    bank = engine.class_bank()
    return bank.enroll("clover", engine.embed(shown, space=bank.space.name))


def test_without_a_picture_the_tab_explains_itself(engine):
    kept, words = explain_callbacks.explain(engine, None)
    assert kept is None and "heatmap" in words
    assert explain_callbacks.blend(None, 0.5) is explain_callbacks.blend_pair(None, 0.5) is None
    assert explain_callbacks.compare(engine, None, None) == (None, "")
    assert explain_callbacks.case_choices(engine, None) == []


# --- menus ---------------------------------------------------------------------------------------


def test_the_menus_offer_what_there_is(engine, lesion, bank):
    targets = dict(explain_callbacks.target_choices(None))
    assert list(targets.values()) == ["", "malignancy", *CODES]
    assert all(item.name in targets for item in LABELS)
    assert explain_callbacks.target_choices(bank)[-1] == ("clover (yours)", "clover")
    methods, layers, cases = explain_callbacks.menus(engine, lesion)
    known = [m.name for m in METHODS.values() if not m.needs_attention]
    assert [name for _, name in methods] == [DEFAULT, *known]
    assert dict(methods)["Score-CAM (slow)"] == "scorecam"
    assert methods[0] == ("The usual one (Grad-CAM), not measured", DEFAULT)
    early = explain_callbacks.method_choices()  # what the page offers before the model is there
    assert methods[1:] == early[1:] and early[0] == ("The usual one", DEFAULT)
    assert layers[0] == explain_callbacks.layer_choices()[0] == ("The usual one for the method", "")
    assert layers[1:3] == [("After layer4", "-1"), ("After layer3", "-2")]
    found = engine.search([lesion], 12)[0]
    assert [image_id for _, image_id in cases] == [case.image_id for case in found]
    assert cases[0][0].startswith(f"1. {diagnosis(found[0].dx).name}, more alike than ")


def test_the_menu_says_what_methods_are_worth(engine, monkeypatch):
    def figure(value):
        return Interval(value, value - 0.01, value + 0.01, 40)

    def worth(method, gain):
        return MethodWorth(method, -2, figure(0.5), figure(gain), figure(0.2), figure(gain))

    found = (worth("gradcam", -0.1), worth("layercam", 0.1))
    measured = ExplanationWorth(engine.fingerprint, "drawings", "validation", found, 0.2)
    monkeypatch.setattr(engine, "worth", measured)
    methods = {name: text for text, name in explain_callbacks.method_choices(engine)}
    assert methods[DEFAULT] == "The one that did best when measured (LayerCAM)"
    assert methods["layercam"] == "LayerCAM: better than a blob"
    assert methods["gradcam"] == "Grad-CAM: worse than a blob"
    assert methods["hirescam"] == "HiResCAM"


# --- one picture ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["", "malignancy", "clover", *CODES])
def test_any_target_can_be_explained(engine, lesion, bank, target):
    kept, words = explain_callbacks.explain(engine, lesion, bank, target)
    (heatmap,), (strength,) = kept.heatmaps, kept.strengths
    expected = target or engine.predict([lesion])[0].label_name
    assert heatmap.target == expected
    assert 0 <= strength <= 1
    before, after = explain_callbacks.blend(kept, 0.6)
    assert before.size == after.size == (900, 675)
    named = diagnosis(expected).name if expected in CODES else expected
    assert named in words and "Raw peak" in words


@pytest.mark.parametrize("method", ["gradcam++", "layercam", "eigencam", "scorecam"])
def test_methods_layers_and_smoothing_reach_the_engine(engine, lesion, method):
    kept, words = explain_callbacks.explain(
        engine, lesion, None, "nv", method, "-2", method != "scorecam"
    )
    expected = engine.explain(
        lesion, target="nv", method=method, layer=-2, smooth=method != "scorecam"
    )
    assert kept.heatmaps[0].peak == pytest.approx(expected.peak, rel=1e-4)
    np.testing.assert_allclose(kept.heatmaps[0].values, expected.values, atol=1e-3)
    assert METHODS[method].title in words


def test_strength_is_the_peak_over_the_peak_of_the_models_own_answer(engine, lesion):
    own = engine.explain(lesion)
    other = next(code for code in CODES if code != own.target)
    kept, _ = explain_callbacks.explain(engine, lesion, None, other)
    expected = min(engine.explain(lesion, target=other).peak / own.peak, 1) if own.peak > 0 else 0
    assert kept.strengths[0] == pytest.approx(expected, rel=1e-3)
    assert explain_callbacks.explain(engine, lesion, None, own.target)[0].strengths == (
        pytest.approx(float(own.peak > 0)),
    )


def test_little_is_kept_of_a_large_picture(engine, tmp_path):
    path = tmp_path / "large.png"
    draw_lesion("nv", seed=1, size=(200, 150)).resize((2000, 1500)).save(path)
    kept, _ = explain_callbacks.explain(engine, str(path))
    assert kept.heatmaps[0].values.shape == (225, 300)
    assert explain_callbacks.blend(kept, 0.6)[1].size == (900, 675)


def test_opacity_and_outline_redraw_without_the_model(engine, lesion):
    kept, _ = explain_callbacks.explain(engine, lesion, None, "", "eigencam")
    before, after = explain_callbacks.blend(kept, 0.6)
    original = ImageOps.contain(Image.open(lesion).convert("RGB"), (900, 900))
    assert np.array_equal(before, original)
    assert not np.array_equal(after, original)
    assert np.array_equal(explain_callbacks.blend(kept, 0)[1], original)
    assert not np.array_equal(explain_callbacks.blend(kept, 0, True)[1], original)


# --- two pictures --------------------------------------------------------------------------------


def test_a_likeness_is_painted_on_both_where_there_is_a_picture(engine, lesion, synthetic):
    case = engine.search([lesion], 1)[0][0]
    shown = {row["image_id"]: row["image"] for row in synthetic["train"]}
    kept, words = explain_callbacks.compare(engine, lesion, case.image_id, pictures=shown.get)
    first, second = engine.explain_likeness(lesion, shown[case.image_id])
    assert [m.peak for m in kept.heatmaps] == pytest.approx([first.peak, second.peak], rel=1e-4)
    expected = [min(m.peak / CLEAR, 1) if m.peak > VANISHED else 0 for m in (first, second)]
    assert kept.strengths == pytest.approx(expected, abs=1e-3)
    assert case.image_id in words and "--dataset" not in words
    assert explain_callbacks.blend_pair(kept, 0.6).size == (900 + 12 + 900, 675)


def test_without_one_it_is_painted_on_the_visitors(engine, lesion):
    case = engine.search([lesion], 3)[0][2]
    kept, words = explain_callbacks.compare(engine, lesion, case.image_id, "layercam", "-2")
    (heatmap,) = kept.heatmaps
    assert heatmap.score == pytest.approx(case.similarity, abs=1e-4)
    assert heatmap.method == "layercam"
    assert "--dataset" in words
    assert explain_callbacks.blend_pair(kept, 0.6, True).size == (900, 675)


# --- the endpoint --------------------------------------------------------------------------------


def test_the_endpoint_answers_with_picture_and_facts(engine, lesion):
    drawn, facts = explain_callbacks.explain_data(
        engine, lesion, "nv", 0.6, "layercam", "-2", True, True
    )
    assert drawn.size == (900, 675)
    assert (facts["target"], facts["method"]) == ("nv", "layercam")
    assert set(facts) == {"target", "method", "score", "peak", "strength", "worth", "answer"}
    assert facts["answer"] == engine.predict([lesion])[0].label_name


class TestRefusals:
    @pytest.mark.parametrize("opacity", [-0.1, 1.1, "half", None, float("nan")])
    def test_opacity(self, engine, lesion, opacity):
        kept, _ = explain_callbacks.explain(engine, lesion)
        for act in (
            lambda: explain_callbacks.blend(kept, opacity),
            lambda: explain_callbacks.blend_pair(kept, opacity),
            lambda: explain_callbacks.explain_data(engine, lesion, "", opacity),
        ):
            with refuses("heatmaps.opacity"):
                act()

    @pytest.mark.parametrize("target", ["clover", 4])
    def test_target(self, engine, lesion, target):
        with refuses("labels.unknown_dx", text=target):
            explain_callbacks.explain(engine, lesion, None, target)

    def test_a_long_name_is_a_target_as_everywhere_else(self, engine, lesion):
        found, _ = explain_callbacks.explain(engine, lesion, None, "melanoma")
        assert found.heatmaps[0].target == "mel"

    def test_method_layer_and_case(self, engine, lesion):
        with refuses(
            "explain_callbacks.method",
            method="magic",
        ):
            explain_callbacks.explain(engine, lesion, None, "", "magic")
        with refuses("opening.no_such_layer", layer="attic", kind="ResNet"):
            explain_callbacks.explain(engine, lesion, None, "", "gradcam", "attic")
        with refuses("explain_callbacks.no_past_case", name="ISIC_9"):
            explain_callbacks.compare(engine, lesion, "ISIC_9")
        with refuses("opening.no_attention"):
            explain_callbacks.explain(engine, lesion, None, "", "rollout", "-2")

    def test_no_picture(self, engine):
        with refuses("callbacks.no_picture"):
            explain_callbacks.explain_data(engine, None, "", 0.6)


def test_a_large_picture_is_explained_no_larger_than_it_is_needed(engine, monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (4000, 3900), "brown").save(stream, "PNG")
    seen, explain = [], answers.explain

    def spy(engine, picture, *, like=None, **options):
        seen.extend([picture, like])
        return explain(engine, picture, like=like, **options)

    monkeypatch.setattr(answers, "explain", spy)
    data = stream.getvalue()
    found = explain_callbacks.explained(engine, data, like=data)
    assert [picture.size for picture in seen] == [(2000, 1950)] * 2
    assert found.pictures == (data, data)
    assert explain_callbacks.explained(engine, data, target="mel").pictures == (data,)
