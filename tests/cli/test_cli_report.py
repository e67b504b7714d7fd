"""`dermsim report` on a real tiny checkpoint."""

import json

import pytest

from dermsim.cli.main import main
from dermsim.data.synthetic import draw_lesion


@pytest.fixture
def run(capsys):
    def command(*arguments):
        status = main(["report", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture(scope="module")
def lesion(tmp_path_factory):
    path = tmp_path_factory.mktemp("lesion") / "lesion.png"
    draw_lesion("mel", seed=1).save(path)
    return path


def test_a_report_is_written_and_summed_up(run, checkpoint, lesion, tmp_path):
    output = tmp_path / "new" / "case.html"
    arguments = ("--model", checkpoint, "-o", output, "--language", "es", "-k", 3)
    status, out, err = run(lesion, *arguments, "--operating-point", "sensitivity_95", "--json")
    html, answer = output.read_text(encoding="utf-8"), json.loads(out)
    assert (status, err) == (0, "")
    assert '<html lang="es">' in html and "«más sensible»" in html
    assert "Los 3 más parecidos" in html
    assert answer["output"] == str(output) and answer["diagnosis"] in html
    # the checkpoint goes by its name, not by where it lies
    assert checkpoint.name in html and str(checkpoint.parent) not in html


def test_table(run, checkpoint, lesion, tmp_path):
    status, out, _ = run(lesion, "--model", checkpoint, "-o", tmp_path / "case.html")
    assert status == 0
    assert out.splitlines()[0].split()[:3] == ["picture", "warning", "verdict"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "case.pdf"), "must end in .html"),
        (("-k", "99"), "Asked for 99 similar cases: choose 1 to 24"),
        (("--layer", "nowhere"), "nowhere"),
        (("--method", "rollout"), "no global attention"),
    ],
)
def test_refusals_write_nothing(run, checkpoint, lesion, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(lesion, "--model", checkpoint, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("dermsim: ") and err.count("\n") == 1 and words in err
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_is_none_is_a_sentence(run, checkpoint, tmp_path):
    (tmp_path / "letter.png").write_text("Dear doctor")
    output = tmp_path / "case.html"
    for name, words in (("letter.png", "is not an image"), ("none.png", "no image at")):
        status, out, err = run(tmp_path / name, "--model", checkpoint, "-o", output)
        assert (status, out) == (2, "") and words in err
        assert not output.exists()
