"""`dermsim duplicates`."""

import json

import pytest

from dermsim.cli import main as cli
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def sources(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    for seed in range(4):
        draw_lesion("bkl", seed=seed, size=(200, 150)).save(one / f"p{seed}.png")
    draw_lesion("bkl", seed=2, size=(200, 150)).resize((120, 90)).save(other / "copy.png")
    draw_lesion("bkl", seed=3, size=(200, 150)).crop((60, 40, 200, 145)).save(other / "p3.png")
    return one, other


def test_hashes_alone_need_no_checkpoint(run, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(DermSim, "from_pretrained", None)
    status, out, err = run("duplicates", *sources, "--hashes-only", "-o", tmp_path / "out")
    assert (status, err) == (0, "")
    assert "6 photographs compared. 1 pairs are the same photograph" in out
    assert "1 pairs of different sources bear the same name; 0 of them were found" in out
    assert " copy " in out and "not a medical device" in out
    assert (tmp_path / "out" / "components.csv").is_file()


def test_embeddings_find_a_corner(run, sources, tmp_path, checkpoint):
    folder = tmp_path / "out"
    status, out, _ = run("duplicates", *sources, "-o", folder, "--model", checkpoint, "--json")
    answer = json.loads(out)
    assert status == 0 and answer["pairs"] == answer["components"] == 2
    assert answer["pictures"] == 6 and answer["pictures_in_components"] == 4
    assert (answer["shared_names"], answer["shared_names_found"]) == (1, 1)
    assert answer["between"] == [
        {"source": str(sources[0]), "other_source": str(sources[1]), "pairs": 2}
    ]
    assert answer["exam_copies"] == answer["unread"] == []


def test_what_cannot_be_read_is_said(run, sources, tmp_path):
    (sources[1] / "broken.png").write_bytes(b"nothing")
    status, out, err = run("duplicates", *sources, "--hashes-only", "-o", tmp_path / "out")
    assert status == 2 and "1 could not be read" in out
    assert err.startswith("dermsim: broken.png is not an image") and err.count("\n") == 1


def test_other_things_are_refused_before_any_work(run, sources, tmp_path, monkeypatch):
    monkeypatch.setattr("dermsim.data.duplicates.find_duplicates", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    status, out, err = run("duplicates", *sources, "-o", tmp_path / "out")
    assert (status, out) == (2, "") and "holds other things" in err
    status, _, err = run("duplicates", *sources, "-o", tmp_path / "out" / "letter.txt")
    assert status == 2 and "is a file" in err


def test_a_source_must_be_there(run, sources, tmp_path):
    status, _, err = run("duplicates", "--hashes-only", tmp_path / "no", "-o", tmp_path / "out")
    assert status == 2 and "check the path" in err and not (tmp_path / "out").exists()
