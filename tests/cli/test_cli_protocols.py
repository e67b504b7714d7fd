"""The `dermsim protocol` commands on a real tiny checkpoint and drawn lesions."""

import json
import shutil

import pytest
from opened import opens
from PIL import Image

from dermsim.cli.main import main
from dermsim.core.bootstrap import Interval
from dermsim.evaluation.protocols.protocol_tables import Table, TableRow


@pytest.fixture
def run(capsys):
    """Run the command; return status, stdout and stderr."""

    def command(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def data(synthetic, monkeypatch):
    """All rows of the splits that the checkpoint was made with."""
    from datasets import concatenate_datasets

    rows = concatenate_datasets(list(synthetic.values()))
    monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: rows))


def test_retrieval(run, data, checkpoint, tmp_path):
    output = tmp_path / "retrieval.json"
    command = ("protocol", "retrieval", checkpoint, "--data", "synthetic")
    status, out, err = run(*command, "--output", output)
    assert (status, err) == (0, "")
    table, disclaimer = out.strip().rsplit("\n\n", 1)
    assert "medical" in disclaimer
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert lines[0].startswith("| queries | diagnosis | P@1 | P@5 | P@10 | mAP | mMV@5 |")
    assert "| held-out lesions (test) | the same by chance |" in table
    kept = json.loads(output.read_text())
    assert kept["protocol"] == "retrieval"
    assert len(kept["rows"]) == len(lines) - 2


def test_comparison(run, data, checkpoint, tmp_path):
    for name in ("one", "other"):
        shutil.copytree(checkpoint, tmp_path / name / "checkpoint")
    one, other = (tmp_path / name / "checkpoint" for name in ("one", "other"))
    command = ("protocol", "comparison", one, "--against", other, "--data", "synthetic", "--json")
    status, out, err = run(*command)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert set(found["facts"]["fingerprints"]) == {"one/checkpoint", "other/checkpoint"}
    for row in found["rows"]:
        assert row["other/checkpoint"] == row["one/checkpoint"]
        assert row["other/checkpoint − one/checkpoint"]["high"] == 0


def test_a_checkpoint_is_not_compared_with_itself(run, data, checkpoint):
    command = ("protocol", "comparison", checkpoint, "--against", checkpoint, "--data", "synthetic")
    status, out, err = run(*command)
    assert (status, out) == (2, "")
    assert "each comes once" in err


def test_a_shift_of_known_cases_is_refused(run, data, checkpoint, tmp_path):
    command = ("protocol", "retrieval", checkpoint, "--data", "x", "--shift", "y")
    status, out, err = run(*command, "--output", tmp_path / "retrieval.json")
    assert (status, out) == (2, "")
    assert "are in the checkpoint's gallery" in err
    assert not (tmp_path / "retrieval.json").exists()


def test_a_folder_is_no_output(run, tmp_path):
    status, _, err = run("protocol", "retrieval", "m", "--data", "x", "--output", tmp_path)
    assert status == 2
    assert "name the file to write" in err


class TestWithoutAModel:
    """What the commands hand on, and what they do with the answer."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """Replaces data, checkpoints and protocols; remembers what was asked of which."""
        found = {}
        row = TableRow({"shots": 1}, {"accuracy": Interval(0.75, 0.5, 1.0, 8)})

        def protocol(name, count=1):
            def evaluate(engine, dataset, **options):
                found.update(protocol=name, engine=engine, dataset=dataset, **options)
                tables = tuple(Table(f"{name} {i}", "What was done.", (row,)) for i in range(count))
                return tables if count > 1 else tables[0]

            return evaluate

        monkeypatch.setattr("dermsim.data.dataset.open_source", opens(lambda source: f"<{source}>"))
        monkeypatch.setattr("dermsim.cli.protocols.load_engine", lambda model: f"[{model}]")
        for module in ("few_shot", "incremental", "unfamiliar"):
            target = f"dermsim.evaluation.protocols.{module}.evaluate_{module}"
            monkeypatch.setattr(target, protocol(module))
        monkeypatch.setattr(
            "dermsim.evaluation.protocols.ambiguity.evaluate_ambiguity", protocol("ambiguity", 2)
        )
        return found

    def test_few_shot(self, run, asked, tmp_path):
        output = tmp_path / "table.json"
        arguments = ("--classes", "vasc", "df", "--shots", 1, 5, "--episodes", 9, "--seed", 3)
        command = ("protocol", "few-shot", "m", "--data", "d", "--output", output)
        status, out, _ = run(*command, *arguments)
        assert status == 0
        assert asked == {
            "protocol": "few_shot",
            "engine": "[m]",
            "dataset": "<d>",
            "classes": ("vasc", "df"),
            "shots": (1, 5),
            "episodes": 9,
            "seed": 3,
        }
        assert "| 1 | 0.750 (0.500 to 1.000), 8 |" in out
        assert json.loads(output.read_text())["protocol"] == "few_shot 0"

    def test_incremental(self, run, asked):
        run("protocol", "incremental", "m", "--data", "d", "--draws", 2, "--split", "validation")
        assert asked == {
            "protocol": "incremental",
            "engine": "[m]",
            "dataset": "<d>",
            "classes": (),
            "shots": (5, 20),
            "draws": 2,
            "split": "validation",
            "seed": 0,
        }

    def test_unfamiliar(self, run, asked, tmp_path):
        cats = tmp_path / "cats"
        cats.mkdir()
        Image.new("RGB", (20, 20)).save(cats / "a.png")
        arguments = ("--also", "m2", "--also", "m3", "--shift", "there/isic2017", "--far", cats)
        status, _, err = run("protocol", "unfamiliar", "m", "--data", "d", *arguments)
        assert (status, err) == (0, "")
        assert asked["engine"] == ["[m]", "[m2]", "[m3]"]
        assert (asked["shift"], asked["shift_name"]) == ("<there/isic2017>", "isic2017")
        assert {name: list(found) for name, found in asked["far"].items()} == {
            "cats": [cats / "a.png"]
        }

    @pytest.mark.parametrize("folders", [("a/cats", "b/cats"), ("a/noise",)])
    def test_two_kinds_of_far_pictures_of_one_name_are_refused(self, run, asked, tmp_path, folders):
        arguments = []
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
            Image.new("RGB", (20, 20)).save(tmp_path / folder / "a.png")
            arguments += ["--far", tmp_path / folder]
        status, _, err = run("protocol", "unfamiliar", "m", "--data", "d", *arguments)
        assert (status, asked) == (2, {})
        name = folders[0].partition("/")[2]
        assert f"two kinds of pictures would be called '{name}'" in err

    def test_ambiguity_has_two_tables(self, run, asked, tmp_path):
        output = tmp_path / "tables.json"
        command = ("protocol", "ambiguity", "m", "--data", "d", "--output", output)
        _, out, _ = run(*command)
        assert out.count("What was done.") == 2
        _, out, _ = run(*command, "--json")
        printed = json.loads(out)
        del printed["disclaimer"]
        assert printed == json.loads(output.read_text())
        assert [t["protocol"] for t in printed["tables"]] == ["ambiguity 0", "ambiguity 1"]

    @pytest.mark.parametrize("name", ["few-shot", "incremental", "unfamiliar", "ambiguity"])
    def test_a_folder_is_no_output(self, run, asked, tmp_path, name):
        status, out, err = run("protocol", name, "m", "--data", "d", "--output", tmp_path)
        assert (status, out, asked) == (2, "", {})
        assert "name the file to write" in err


def test_an_encoder_of_all_seven_has_no_new_classes(run, data, checkpoint):
    for name in ("few-shot", "incremental"):
        status, out, err = run("protocol", name, checkpoint, "--data", "x")
        assert (status, out) == (2, "")
        assert "trained with all seven diagnoses" in err and err.count("\n") == 1


def test_coverage_on_a_real_checkpoint(run, data, checkpoint):
    status, out, _ = run("protocol", "ambiguity", checkpoint, "--data", "x", "--json")
    coverage, warning = json.loads(out)["tables"]
    assert status == 0
    assert len(coverage["rows"]) == 3 * 8
    assert {row["sign"] for row in warning["rows"]} == {
        "entropy",
        "neighbour disagreement",
        "strangeness",
    }
