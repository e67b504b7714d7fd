"""`dermsim audit` and `dermsim detector`."""

import csv
import json
import shutil
from typing import get_args

import numpy as np
import pytest
from opened import opens

from dermsim import engine
from dermsim.cli import audit as cli_audit
from dermsim.cli.main import main
from dermsim.evaluation import audit
from dermsim.evaluation.audit import DUPLICATE_COLUMNS, LABEL_COLUMNS
from dermsim.tasks.detect.scores import SCORES


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def assert_refused(answer, *words):
    status, out, err = answer
    assert (status, out) == (2, "")
    assert err.startswith("dermsim: ") and err.count("\n") == 1
    for word in words:
        assert word in err


class TestAudit:
    @pytest.fixture
    def found(self, monkeypatch):
        """Replaces the search by one that has found a little; remembers what was asked."""
        errors = [dict.fromkeys(LABEL_COLUMNS, f"e{i}") for i in range(12)]
        pairs = [dict.fromkeys(DUPLICATE_COLUMNS, f"p{i}") for i in range(2)]
        asked = {}

        def audit_dataset(loaded, dataset, **options):
            asked.update(engine=loaded, dataset=dataset, **options)
            return audit.AuditReport(tuple(errors), tuple(pairs), 1200, 34)

        monkeypatch.setattr(audit, "audit_dataset", audit_dataset)
        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: f"<{source}>"))
        monkeypatch.setattr(engine.DermSim, "from_pretrained", lambda name: f"[{name}]")
        return asked

    def test_says_what_was_found_and_writes_it(self, run, found, tmp_path):
        folder = tmp_path / "audit"
        status, out, err = run("audit", "--data", "here", "-o", folder, "--model", "m")
        assert (status, err) == (0, "")
        assert found == {"engine": "[m]", "dataset": "<here>", "split": "all"}
        assert "1,200 photographs looked at, 34 of unknown diagnoses passed over." in out
        assert "On 12 the model disagrees with the data" in out and "2 near-duplicates" in out
        assert " e9 " in out and " e10 " not in out and " p1 " in out
        with (folder / "disagreements.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 12

    def test_json_holds_everything(self, run, found, tmp_path):
        arguments = ("--data", "here", "-o", tmp_path / "a", "--split", "test", "--json")
        answer = json.loads(run("audit", *arguments)[1])
        assert len(answer["disagreements"]) == 12 and answer["unknown"] == 34
        assert found["split"] == "test"

    def test_says_how_many_could_not_be_judged(self, run, found, tmp_path, monkeypatch):
        some = audit.AuditReport((), (), 1200, 0, unjudged=3)
        monkeypatch.setattr(audit, "audit_dataset", lambda *_, **__: some)
        out = run("audit", "--data", "here", "-o", tmp_path / "audit", "--model", "m")[1]
        assert "1,200 photographs looked at; 3 learned ones not judged, since" in out

    def test_an_output_that_is_taken_is_refused(self, run, found, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        answer = run("audit", "--data", "here", "-o", tmp_path / "notes.txt")
        assert_refused(answer, "notes.txt is a file: name a folder")
        assert found == {}
        assert_refused(run("audit", "--data", "here", "-o", tmp_path), "holds other things")
        assert found == {}  # before any work
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


class TestDetector:
    @pytest.fixture
    def folder(self, checkpoint, tmp_path):
        return shutil.copytree(checkpoint, tmp_path / "checkpoint")

    @pytest.fixture
    def data(self, synthetic, monkeypatch):
        """All rows of the splits that the checkpoint was made with."""
        from datasets import concatenate_datasets

        rows = concatenate_datasets(list(synthetic.values()))
        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))

    def test_methods_are_those_of_the_scores(self):
        assert get_args(cli_audit.Method) == tuple(SCORES)

    def test_another_is_fitted_and_put_in_place(self, run, folder, data, synthetic):
        answer = json.loads(run("detector", "info", folder, "--json")[1])
        assert answer["method"] == "embedding-mahalanobis"
        arguments = ("--data", "here", "--method", "mahalanobis")
        status, out, _ = run("detector", "fit", folder, *arguments)
        assert status == 0
        assert "by mahalanobis, before by embedding-mahalanobis" in out
        loaded = engine.DermSim.from_pretrained(folder)
        assert loaded.detector.method == "mahalanobis"
        images = list(synthetic["validation"]["image"])
        share = np.mean([p.is_outlier for p in loaded.predict(images)])
        assert share <= 0.06

    def test_a_fit_that_fails_leaves_the_old_one(self, run, folder, data):
        before = (folder / "detector.safetensors").read_bytes()
        arguments = ("--data", "here", "--method", "vim", "--accept", 2)
        assert_refused(run("detector", "fit", folder, *arguments), "accept must be strictly")
        assert (folder / "detector.safetensors").read_bytes() == before

    def test_a_folder_that_is_not_there(self, run, tmp_path):
        arguments = (tmp_path / "none", "--data", "x", "--method", "vim")
        assert_refused(run("detector", "fit", *arguments), "there is no folder")

    def test_info_of_a_file_that_names_no_method_is_refused(self, run, folder):
        from dermsim.core.storage import save_arrays

        arrays = {"whitening": np.eye(3, dtype="f4"), "means": np.ones((2, 3), "f4")}
        save_arrays(folder / "detector.safetensors", arrays, facts={"threshold": 2.5})
        assert_refused(run("detector", "info", folder, "--json"), "detector.safetensors")
