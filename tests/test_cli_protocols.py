"""The `dermsim protocol` commands on a real tiny checkpoint and drawn lesions."""

import json

import pytest

from dermsim import cli


@pytest.fixture
def run(capsys):
    """Run the command; return status, stdout and stderr."""

    def command(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def data(synthetic, monkeypatch):
    """All rows of the splits that the checkpoint was made with."""
    from datasets import concatenate_datasets

    rows = concatenate_datasets(list(synthetic.values()))
    monkeypatch.setattr("dermsim.data.ham10000.load_ham10000", lambda source: rows)


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
