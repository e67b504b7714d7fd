"""What is wrong with a table is said before a checkpoint is loaded, by every command."""

import sys

import pytest

from dermsim.cli import command
from dermsim.cli.main import main
from dermsim.data.synthetic import draw_lesion

COMMANDS = {
    "evaluate": ["evaluate", "{model}", "--data", "{data}"],
    "audit": ["audit", "--data", "{data}", "-o", "{out}"],
    "detect": ["detector", "fit", "{model}", "--data", "{data}", "--method", "energy"],
    "calibrate": ["calibrate", "{model}", "--data", "{data}"],
    "atlas info": ["atlas", "info", "--data", "{data}"],
    "atlas export": ["atlas", "export", "--pictures", "{data}", "-o", "{out}.parquet"],
    "atlas draw": ["atlas", "draw", "{model}", "--data", "{data}"],
    "ensemble": ["ensemble", "{model}", "{model}", "--data", "{data}", "-o", "{out}"],
    "retrieval": ["protocol", "retrieval", "{model}", "--data", "{data}"],
    "few-shot": ["protocol", "few-shot", "{model}", "--data", "{data}"],
    "ambiguity": ["protocol", "ambiguity", "{model}", "--data", "{data}"],
    "shift": ["protocol", "retrieval", "{model}", "--data", "synthetic", "--shift", "{data}"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_bad_data_is_refused_before_a_checkpoint_is_loaded(words, tmp_path, monkeypatch, capsys):
    data = tmp_path / "own"
    data.mkdir()
    draw_lesion("nv", seed=1, size=(40, 30)).save(data / "a.png")
    (data / "table.csv").write_text("image_id;dx;age\na;nv;430\n")
    (tmp_path / "model").mkdir()

    def loaded(*_, **__):
        raise AssertionError("a checkpoint was loaded first")

    monkeypatch.setattr(command, "load_engine", loaded)
    monkeypatch.setattr("dermsim.engine.DermSim.from_pretrained", loaded)
    for name, module in list(sys.modules.items()):
        if name.startswith("dermsim.cli") and hasattr(module, "load_engine"):
            monkeypatch.setattr(module, "load_engine", loaded)
    places = {"data": data, "model": tmp_path / "model", "out": tmp_path / "out"}
    assert main([word.format(**places) for word in words]) == 2
    assert "age is 430, but must be" in capsys.readouterr().err
