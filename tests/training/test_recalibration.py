import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import concatenate_datasets

from dermsim.cli.main import main
from dermsim.data.splits import without
from dermsim.engine import DermSim
from dermsim.models.encode import encode
from dermsim.tasks.classify import Calibration
from dermsim.training.recalibration import complete, recalibrate

RELEASED = Path(__file__).parents[2] / "hub" / "dermsim-ham10000" / "calibration.json"


def strip(path, *names):
    """Make a calibration one of an older dermsim; return what it was."""
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in whole.items() if k not in names}))
    return whole


@pytest.fixture
def older(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "older")
    strip(folder / "calibration.json", "malignancy_curve", "levels")
    return folder


def test_what_an_older_checkpoint_lacks_is_added(engine, older, synthetic):
    loaded = DermSim.from_pretrained(older)
    assert loaded.calibration.malignancy_curve is None
    alone, informed = recalibrate(loaded, synthetic["validation"])
    assert alone == engine.calibration
    assert informed is None


def test_both_calibrations_of_an_encoder_that_takes_facts(informed_engine, synthetic):
    kept = informed_engine.calibration_facts
    older = replace(kept, malignancy_curve=None)
    engine = DermSim.__new__(DermSim)
    engine.__dict__ |= {**informed_engine.__dict__, "calibration_facts": older}
    alone, informed = recalibrate(engine, synthetic["validation"])
    assert (alone, informed) == (informed_engine.calibration, kept)


def test_an_ensemble_is_calibrated_on_logits_that_left_the_lesion_out(
    checkpoint, second_checkpoint, synthetic
):
    from dermsim.training.ensemble import build_ensemble

    parts = {name: synthetic[name] for name in ("train", "validation")}
    ensemble = build_ensemble([checkpoint, second_checkpoint], **parts, device="cpu")
    whole = ensemble.calibration
    ensemble.calibration = replace(whole, malignancy_curve=None)
    assert recalibrate(ensemble, synthetic["validation"])[0] == whole


def test_a_share_missed_other_than_usual_is_fitted_as_it_was(engine, synthetic):
    encoding = encode(engine.model, engine.processor, synthetic["validation"]["image"])
    whole = Calibration.fit(encoding.logits, synthetic["validation"]["dx"], alpha=0.2)
    loaded = DermSim.__new__(DermSim)
    older = replace(whole, malignancy_curve=None)
    loaded.__dict__ |= {**engine.__dict__, "calibration": older}
    assert recalibrate(loaded, synthetic["validation"])[0] == whole


def test_a_curve_that_is_kept_stays(engine):
    fitted = engine.calibration
    curve = fitted.malignancy_curve
    chosen = {point.threshold for point in fitted.operating_points.values()}
    points = (t if t in chosen else t * (1 - 1e-9) for t in curve.thresholds)
    shifted = replace(curve, thresholds=tuple(points))
    kept = replace(fitted, malignancy_curve=shifted)
    assert complete(kept, fitted).malignancy_curve == shifted != curve


def test_the_command_knows_what_a_checkpoint_was_trained_without(
    engine, synthetic, tmp_path, monkeypatch
):
    parts = {name: without(synthetic[name], ["nv"]) for name in ("train", "validation")}
    fitted = DermSim.fit(engine.model, engine.processor, **parts)
    fitted.save_pretrained(tmp_path / "partial")
    path = tmp_path / "partial" / "calibration.json"
    whole = strip(path, "malignancy_curve", "levels")
    everything = concatenate_datasets(list(synthetic.values()))
    monkeypatch.setattr("dermsim.data.ham10000.load_ham10000", lambda source: everything)
    assert main(["calibrate", str(tmp_path / "partial"), "--data", "synthetic"]) == 0
    assert json.loads(path.read_text()) == whole


def test_other_photographs_are_refused(engine, synthetic):
    with pytest.raises(ValueError, match="was not calibrated on these photographs"):
        recalibrate(engine, synthetic["test"])


def test_a_threshold_that_was_rounded_otherwise_stays_as_it_is_kept(engine):
    fitted = engine.calibration
    points = {
        name: replace(point, threshold=point.threshold + 1e-9)
        for name, point in fitted.operating_points.items()
    }
    kept = replace(fitted, operating_points=points, malignancy_curve=None)
    found = complete(kept, fitted)
    assert found.operating_points == points
    assert {p.threshold for p in points.values()} <= set(found.malignancy_curve.thresholds)
    assert found.malignancy_curve.caught == fitted.malignancy_curve.caught


def test_the_command_adds_the_curve_and_leaves_the_rest(older, checkpoint, capsys, monkeypatch):
    from dermsim.data.synthetic import synthetic_ham10000

    drawings = synthetic_ham10000(140, seed=0)
    monkeypatch.setattr("dermsim.data.ham10000.load_ham10000", lambda source: drawings)
    before = {p: p.read_bytes() for p in older.rglob("*") if p.is_file()}
    assert main(["calibrate", str(older), "--data", "synthetic", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    written = Calibration.load(older / "calibration.json")
    assert written == Calibration.load(checkpoint / "calibration.json")
    curve = written.malignancy_curve
    assert (answer["malignant"], answer["benign"]) == (curve.malignant, curve.benign)
    assert answer["thresholds"] == len(curve.thresholds)
    changed = {p.name for p, content in before.items() if p.read_bytes() != content}
    assert changed == {"calibration.json"}


def test_the_command_refuses_and_leaves_the_folder(older, capsys, tmp_path):
    before = (older / "calibration.json").read_bytes()
    # the data set of that name is another drawing of lesions
    assert main(["calibrate", str(older), "--data", "synthetic"]) == 2
    assert "was not calibrated on these photographs" in capsys.readouterr().err
    assert (older / "calibration.json").read_bytes() == before
    assert main(["calibrate", str(tmp_path / "nowhere"), "--data", "synthetic"]) == 2
    assert "no checkpoint folder at" in capsys.readouterr().err


def test_the_released_checkpoint_has_a_curve_with_its_points_on_it():
    calibration = Calibration.load(RELEASED)
    curve = calibration.malignancy_curve
    assert (curve.malignant, curve.benign) == (245, 1007)
    assert set(calibration.operating_points.values()) <= set(curve.points)
    assert calibration.operating_points == curve.chosen()
