"""`dermsim calibrate`: the fit after training, once more, and what it may change."""

import json
import shutil
from dataclasses import replace

import pytest
from datasets import concatenate_datasets
from opened import opens
from refusals import refuses

from dermsim.cli.main import main
from dermsim.data.splits import without
from dermsim.engine import DermSim
from dermsim.models.encode import encode
from dermsim.tasks.classify import Calibration
from dermsim.training.ensemble import average_weights, build_ensemble
from dermsim.training.recalibration import recalibrate, with_temperature_of


def strip(path, *names):
    """Take parts out of a calibration; return what it was."""
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in whole.items() if k not in names}))
    return whole


def with_calibration(engine, **parts):
    """The same engine with other calibrations."""
    other = DermSim.__new__(DermSim)
    other.__dict__ |= {**engine.__dict__, **parts}
    return other


@pytest.fixture
def older(checkpoint, tmp_path):
    """Sets and points of a fit to lesions that it knew."""
    folder = shutil.copytree(checkpoint, tmp_path / "older")
    path = folder / "calibration.json"
    whole = strip(path, "malignancy_curve", "levels", "cross_fit")
    del whole["malignancy_curve"], whole["levels"], whole["cross_fit"]
    whole["set_thresholds"]["mel"] = 0.5
    path.write_text(json.dumps(whole))
    return folder


def test_the_fit_after_training_comes_out_again(engine, older, synthetic):
    loaded = DermSim.from_pretrained(older)
    assert loaded.calibration.malignancy_curve is None
    alone, informed = recalibrate(loaded, synthetic["validation"])
    assert alone == engine.calibration
    assert informed is None


def test_both_calibrations_of_an_encoder_that_takes_facts(informed_engine, synthetic):
    kept = informed_engine.calibration_facts
    other = with_calibration(
        informed_engine, calibration_facts=replace(kept, malignancy_curve=None)
    )
    alone, informed = recalibrate(other, synthetic["validation"])
    assert (alone, informed) == (informed_engine.calibration, kept)


def test_a_saved_ensemble_is_calibrated_on_logits_that_left_the_lesion_out(
    checkpoint, second_checkpoint, synthetic, tmp_path
):
    parts = {name: synthetic[name] for name in ("train", "validation")}
    built = build_ensemble([checkpoint, second_checkpoint], **parts, device="cpu")
    built.save_pretrained(tmp_path / "ensemble")
    loaded = DermSim.from_pretrained(tmp_path / "ensemble", device="cpu")
    assert recalibrate(loaded, synthetic["validation"])[0] == built.calibration


def test_a_class_bias_is_fitted_anew_without_the_lesion(
    checkpoint, sibling_checkpoint, synthetic, tmp_path
):
    parts = {name: synthetic[name] for name in ("train", "validation")}
    averaged = average_weights([checkpoint, sibling_checkpoint], **parts, device="cpu")
    averaged.save_pretrained(tmp_path / "averaged")
    loaded = DermSim.from_pretrained(tmp_path / "averaged", device="cpu")
    again = recalibrate(loaded, synthetic["validation"])[0]
    kept = averaged.calibration
    assert again.cross_fit == kept.cross_fit and kept.cross_fit.class_bias is not None
    assert again.temperature == kept.temperature
    assert again.set_thresholds == pytest.approx(kept.set_thresholds, abs=1e-4)


def test_a_share_missed_other_than_usual_is_fitted_as_it_was(engine, synthetic):
    rows = synthetic["validation"]
    logits = encode(engine.model, engine.processor, rows["image"]).logits
    whole = Calibration.fit(logits, rows["dx"], list(rows["lesion_id"]), alpha=0.2)
    other = with_calibration(engine, calibration=replace(whole, malignancy_curve=None))
    assert recalibrate(other, rows)[0] == whole


def test_no_probability_changes_where_another_processor_rounds_otherwise(engine):
    kept = replace(engine.calibration, temperature=engine.calibration.temperature * (1 + 1e-6))
    found = with_temperature_of(kept, engine.calibration)
    assert found.temperature == kept.temperature
    assert replace(found, temperature=engine.calibration.temperature) == engine.calibration


def test_another_number_of_photographs_is_refused(engine):
    curve = engine.calibration.malignancy_curve
    fewer = replace(engine.calibration, malignancy_curve=replace(curve, benign=curve.benign + 1))
    with refuses("recalibration.other_data", name="number of benign photographs"):
        with_temperature_of(engine.calibration, fewer)


def test_the_command_knows_what_a_checkpoint_was_trained_without(
    engine, synthetic, tmp_path, monkeypatch
):
    parts = {name: without(synthetic[name], ["nv"]) for name in ("train", "validation")}
    fitted = DermSim.fit(engine.model, engine.processor, **parts)
    fitted.save_pretrained(tmp_path / "partial")
    path = tmp_path / "partial" / "calibration.json"
    whole = strip(path, "malignancy_curve", "levels")
    everything = concatenate_datasets(list(synthetic.values()))
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: everything))
    assert main(["calibrate", str(tmp_path / "partial"), "--data", "synthetic"]) == 0
    assert json.loads(path.read_text()) == whole


def test_fewer_photographs_are_refused(engine, synthetic):
    rows = synthetic["validation"]
    with refuses("recalibration.other_data", name="number of benign photographs"):
        recalibrate(engine, without(rows, ["nv"]))


def test_another_encoder_is_refused(engine, synthetic):
    kept = engine.calibration
    other = replace(kept, temperature=kept.temperature * 1.01, malignancy_curve=None)
    with refuses("recalibration.other_data", name="temperature"):
        recalibrate(with_calibration(engine, calibration=other), synthetic["validation"])


def test_the_command_fits_sets_and_points_anew(older, checkpoint, capsys, monkeypatch):
    from dermsim.data.synthetic import synthetic_ham10000

    drawings = synthetic_ham10000(140, seed=0)
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: drawings))
    before = {p: p.read_bytes() for p in older.rglob("*") if p.is_file()}
    assert main(["calibrate", str(older), "--data", "synthetic", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    written = Calibration.load(older / "calibration.json")
    assert written == Calibration.load(checkpoint / "calibration.json")
    curve = written.malignancy_curve
    assert (answer["malignant"], answer["benign"]) == (curve.malignant, curve.benign)
    assert answer["thresholds"] == len(curve.thresholds)
    assert answer["lesions"] == written.cross_fit.lesions
    assert answer["changed"] is True
    changed = {p.name for p, content in before.items() if p.read_bytes() != content}
    assert changed == {"calibration.json"}
    assert main(["calibrate", str(older), "--data", "synthetic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False


def test_the_command_says_that_an_evaluation_is_of_before(older, capsys, monkeypatch):
    from dermsim.data.synthetic import synthetic_ham10000

    drawings = synthetic_ham10000(140, seed=0)
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: drawings))
    (older / "evaluation.json").write_text("{}")
    assert main(["calibrate", str(older), "--data", "synthetic"]) == 0
    assert "evaluation.json was measured before" in capsys.readouterr().out
    assert main(["calibrate", str(older), "--data", "synthetic"]) == 0
    assert "evaluation.json" not in capsys.readouterr().out


def test_the_command_refuses_and_leaves_the_folder(checkpoint, capsys, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "copy")
    before = (folder / "calibration.json").read_bytes()
    # the data set of that name is another drawing of lesions
    assert main(["calibrate", str(folder), "--data", "synthetic"]) == 2
    assert "was not calibrated on these photographs" in capsys.readouterr().err
    assert (folder / "calibration.json").read_bytes() == before
    assert main(["calibrate", str(tmp_path / "nowhere"), "--data", "synthetic"]) == 2
    assert "no checkpoint folder at" in capsys.readouterr().err
