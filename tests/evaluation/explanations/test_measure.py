"""The measures together, on a real tiny checkpoint and drawn lesions whose outlines are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.explain_methods import methods_for
from dermsim.core.labels import CODES
from dermsim.core.metrics import macro_mean
from dermsim.data.outlines import Outlines
from dermsim.data.synthetic import synthetic_outlines
from dermsim.evaluation.explanations.baselines import centred_gaussian
from dermsim.evaluation.explanations.explanation_report import BASELINES, GAUSSIAN
from dermsim.evaluation.explanations.explanation_tables import (
    HOW_ALIKE,
    REGIONS,
    SHORTCUTS,
    WHERE,
    WHETHER,
)
from dermsim.evaluation.explanations.localization import energy, pointing
from dermsim.evaluation.explanations.measure import examine_explanations
from dermsim.evaluation.explanations.settings import Asked, Settings, Sizes
from dermsim.evaluation.explanations.subject import Photographs, Subject
from dermsim.evaluation.explanations.untrained import untrained
from dermsim.evaluation.report import Report
from dermsim.tasks.explain import Plan

SMALL = Sizes(validation=1, removal=1, slow=1, shortcuts=2)
METHODS = ("gradcam", "layercam", "scorecam")


@pytest.fixture(scope="module")
def outlines():
    """Of the data that `synthetic` is split from."""
    return Outlines({name: drawn.copy for name, drawn in synthetic_outlines(140, seed=0).items()})


@pytest.fixture(scope="module")
def rows(synthetic):
    """Two photographs of each diagnosis, of one lesion each."""
    labels = np.array(synthetic["test"]["dx"])
    return synthetic["test"].select(
        np.concatenate([np.flatnonzero(labels == label)[:2] for label in range(len(CODES))])
    )


@pytest.fixture(scope="module")
def found(engine, rows, synthetic, outlines):
    return examine_explanations(
        engine,
        rows,
        synthetic["validation"],
        Asked(outlines, METHODS, SMALL),
        resamples=20,
    )


def test_every_measure_of_every_kind_of_maps(found):
    methods = ["gradcam", "gradcam smooth", "scorecam", "layercam", "layercam smooth"]
    assert list(found.maps) == [*methods, *BASELINES]
    every = {*WHERE, *WHETHER, *HOW_ALIKE}
    for name in methods:
        assert set(found.maps[name].figures) == every, name
    for name in BASELINES:
        missing = {"sanity"} | ({"energy_gain", "road_gain"} if name == GAUSSIAN else set())
        assert set(found.maps[name].figures) == every - missing, name
    assert set(found.shortcuts) == set(found.shortcuts_by_class) == set(SHORTCUTS)
    assert set(found.regions) == set(found.regions_by_class) == set(REGIONS)
    assert found.maps["scorecam"].place == "layer4"
    assert found.maps["gradcam"].place in ("layer2", "layer3", "layer4")
    assert found.per_class == {"validation": 1, "removal": 1, "slow": 1, "shortcuts": 2}


def test_cheap_measures_are_of_every_photograph_and_costly_ones_of_a_part(found, rows):
    assert found.maps["gradcam"].figures["energy"].n == len(rows) == 14
    assert found.maps["gradcam"].figures["road"].n == 7
    assert found.maps["scorecam"].figures["energy"].n == 7
    assert found.maps["gradcam"].by_class["energy"]["mel"].n == 2


def test_the_gaussian_is_measured_as_it_is(found, engine, rows, outlines):
    subject = Subject(engine)
    photographs = Photographs(rows, outlines, subject)
    blob = np.repeat(centred_gaussian(64, found.spread)[None], len(rows), axis=0)
    for measure in (energy, pointing):
        values = measure(blob, photographs.outlines)
        expected = macro_mean(values, photographs.labels, 7)
        figure = found.maps[GAUSSIAN].figures[measure.__name__]
        assert figure.value == pytest.approx(expected, abs=1e-3)


def test_gains_are_differences(found):
    for name in ("gradcam", "gradcam smooth"):
        own, blob = found.maps[name].figures, found.maps[GAUSSIAN].figures
        assert own["energy_gain"].value == pytest.approx(own["energy"].value - blob["energy"].value)
        assert own["road_gain"].value == pytest.approx(own["road"].value - blob["road"].value)
        road = own["road_least"].value - own["road_most"].value
        assert own["road"].value == pytest.approx(road)


def test_shortcuts_are_shares_of_a_probability(found, engine):
    parts = [found.shortcuts[f"rests_on_{part}"].value for part in ("lesion", "background")]
    assert -1 <= sum(parts) <= 1
    for name in ("background_flip", "lesion_flip", "paste_flip"):
        assert 0 <= found.shortcuts[name].value <= 1


def test_a_smooth_map_is_the_steadier(found):
    names = ("gradcam", "gradcam smooth", GAUSSIAN)
    plain, smooth, blob = (found.maps[name].figures["stability"].value for name in names)
    assert plain < smooth < blob
    assert blob == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_a_rerun_agrees_to_the_last_digit(found, engine, rows, synthetic, outlines):
    again = examine_explanations(
        engine,
        rows,
        synthetic["validation"],
        Asked(outlines, METHODS[:2], SMALL),
        resamples=20,
    )
    expected = found.to_dict()
    names = [name for name in expected["maps"] if not name.startswith("scorecam")]
    maps = again.to_dict()["maps"]
    assert list(maps) == names
    assert all(maps[name] == expected["maps"][name] for name in names)
    assert again.to_dict()["shortcuts"] == expected["shortcuts"]


def test_it_survives_the_disk_inside_a_report(found, checkpoint, tmp_path):
    report = replace(Report.load(checkpoint / "evaluation.json"), explanations=found)
    report.save(tmp_path / "evaluation.json")
    assert Report.load(tmp_path / "evaluation.json").markdown() == report.markdown()
    assert "**Shortcuts.**" in report.markdown()


# --- the photographs -----------------------------------------------------------------------------


def test_the_sample_is_fixed_balanced_and_of_different_lesions(engine, synthetic, outlines):
    subject = Subject(engine)
    photographs = Photographs(synthetic["train"], outlines, subject)
    chosen = photographs.sample(3)
    counts = np.bincount(photographs.labels[chosen], minlength=7)
    assert counts.tolist() == [3] * 7
    lesions = [photographs.lesion_ids[row] for row in chosen]
    assert len(set(lesions)) == len(lesions)
    assert set(photographs.sample(1)) <= set(chosen)
    backwards = synthetic["train"].select(range(len(synthetic["train"]) - 1, -1, -1))
    turned = Photographs(backwards, outlines, subject)
    names = {synthetic["train"][int(row)]["image_id"] for row in chosen}
    assert {backwards[int(row)]["image_id"] for row in turned.sample(3)} == names
    assert len(photographs.sample(10**6)) == len(set(synthetic["train"]["lesion_id"]))


def test_a_lesion_that_the_encoder_does_not_see_is_left_out(engine, rows):
    seen = np.zeros((150, 200), dtype=bool)
    seen[60:90, 80:120] = True
    beyond = np.zeros_like(seen)
    beyond[:, :20] = True
    from PIL import Image

    pictures = {name: (Image.fromarray(seen)).copy for name in rows["image_id"]}
    pictures[rows["image_id"][3]] = Image.fromarray(beyond).copy
    photographs = Photographs(rows, Outlines(pictures), Subject(engine))
    assert len(photographs) == len(rows) - 1
    assert photographs.outlines.shape == (13, 64, 64)
    assert photographs.outlines[0].mean() == pytest.approx(30 * 40 / 150**2, abs=0.01)
    kept = [label for i, label in enumerate(rows["dx"]) if i != 3]
    assert photographs.labels.tolist() == kept


def test_what_it_sees_is_what_the_encoder_sees(engine, rows, outlines):
    photographs = Photographs(rows, outlines, Subject(engine))
    pixels = photographs.pixels([0, 5])
    expected = engine.processor([rows[0]["image"], rows[5]["image"]], return_tensors="np")
    assert np.array_equal(pixels, expected.pixel_values)
    probabilities = Subject(engine).probabilities(pixels)
    known = engine.predict([rows[0]["image"], rows[5]["image"]])
    np.testing.assert_allclose(
        probabilities, [list(p.probabilities.values()) for p in known], atol=1e-5
    )


def test_maps_of_several_plans_are_those_of_each(engine, rows, outlines):
    subject, photographs = Subject(engine), Photographs(rows, outlines, Subject(engine))
    pixels, labels = photographs.pixels(range(5)), np.array([0, 3, 3, 6, 1])
    plans = [Plan("gradcam", -1), Plan("layercam", -1), Plan("layercam", -2, smooth=True)]
    together = subject.maps(pixels, labels, plans)
    assert list(together) == ["gradcam", "layercam", "layercam smooth"]
    for plan in plans:
        alone = subject.maps(pixels, labels, [plan])[plan.name]
        assert alone.shape == (5, 64, 64)
        assert np.array_equal(alone, together[plan.name])
    with refuses("plans.same_name", plans=["gradcam", "gradcam"]):
        subject.maps(pixels, labels, [Plan("gradcam", -1), Plan("gradcam", -2)])


def test_random_weights_are_of_the_same_shape_and_leave_chance_alone(engine):
    before = torch.random.get_rng_state()
    one, same, other = (untrained(engine.model, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not one.training and isinstance(one, type(engine.model))
    states = [model.state_dict() for model in (one, same, other, engine.model)]
    assert {k: v.shape for k, v in states[0].items()} == {k: v.shape for k, v in states[3].items()}
    name = (
        "backbone.conv1.0.weight"
        if "backbone.conv1.0.weight" in states[0]
        else next(key for key, value in states[0].items() if value.ndim == 4)
    )
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])
    assert not torch.equal(states[0][name], states[3][name])


# --- what is refused -----------------------------------------------------------------------------


def test_a_photograph_without_an_outline(engine, rows, synthetic, outlines):
    few = Outlines({name: lambda: None for name in rows["image_id"][1:]})
    with refuses("subject.no_outline", missing_count=1, image_ids_count=14, missing="SYN_0000210"):
        Photographs(rows, few, Subject(engine))


def test_a_method_of_another_kind_of_encoder(engine, rows, outlines):
    with refuses("measure.method", wrong="rollout") as caught:
        examine_explanations(engine, rows, rows, Asked(outlines, ["gradcam", "rollout"]))
    known = methods_for(has_attention=False)
    assert caught.value.values["possible"] == [method.name for method in known]


def test_sizes():
    with refuses("settings.at_least_one", name="shortcuts", size=0):
        Sizes(shortcuts=0)
    with refuses("settings.slow", slow=30, removal=24):
        Sizes(slow=30)
    with refuses("settings.removal", removal=24, cheap=10):
        Sizes(cheap=10)
    assert "cheap" not in Sizes().to_dict()
    assert Sizes().at_most(10) == Sizes(10, 10, 10, 8, 10)
    assert Sizes(cheap=30).at_most(100) == Sizes(cheap=30)
    with refuses("settings.photographs", count=0):
        Sizes().at_most(0)


def test_slow_plans_are_set_apart():
    plans = (Plan("gradcam", -1), Plan("scorecam", -1), Plan("rollout", None))
    settings = Settings(plans, {}, 0.2)
    assert settings.of(slow=True) == [plans[1]]
    assert settings.of(slow=False) == [plans[0], plans[2]]
