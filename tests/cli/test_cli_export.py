"""`dermsim export`, and which commands take what it writes."""

import csv
import json
import shutil

import pytest
from refusals import refuses

from dermsim import engine as engine_package
from dermsim.cli import command
from dermsim.cli.classify import Classify
from dermsim.cli.export import Export
from dermsim.cli.main import main
from dermsim.lite import LightDermSim


@pytest.fixture
def folder(synthetic, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for row in synthetic["test"].select(range(5)):
        row["image"].save(pictures / f"{row['image_id']}.png")
    return pictures


def test_it_writes_into_the_checkpoint(checkpoint, folder, tmp_path, capsys):
    model = shutil.copytree(checkpoint, tmp_path / "model")
    assert main(["export", str(model), "--photographs", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["output"] == str(model / "onnx") and said["fp32"]["labels"] == 5
    assert LightDermSim.from_pretrained(model).encoder.metadata["licence"] == "apache-2.0"


def test_it_compares_on_held_out_lesions(checkpoint, synthetic, tmp_path, monkeypatch, capsys):
    class Opened:
        name = "drawings"

        def load(self, more=True):
            from datasets import concatenate_datasets

            return concatenate_datasets([*synthetic.values()])

    monkeypatch.setattr(Export, "open", lambda self, source: Opened())
    asked = ["export", str(checkpoint), str(tmp_path / "out"), "--data", "drawings"]
    assert main(asked) == 0
    assert f" {len(synthetic['test'])} " in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert report["photographs"] == "held-out lesions of drawings"
    assert report["fp32"]["accuracy"]["lost"] == 0


def test_what_it_refuses(checkpoint, folder, tmp_path):
    with refuses("cli_export.what_on"):
        Export(model=checkpoint).run()
    with refuses("cli_export.what_on"):
        Export(model=checkpoint, photographs=(folder,), data="synthetic").run()
    with refuses("cli_export.int8_data"):
        Export(model=checkpoint, photographs=(folder,), int8=True).run()
    with refuses("cli_atlas.no_checkpoint", FileNotFoundError):
        Export(model=tmp_path / "none", photographs=(folder,)).run()


def test_auto_takes_an_export_where_there_is_one(
    exported, checkpoint, informed_checkpoint, monkeypatch
):
    def kind(folder, **options):
        facts = options.pop("facts", False)
        return type(Classify(pictures=(), model=str(folder), **options).quick_engine(facts=facts))

    full = engine_package.DermSim
    assert kind(exported) is LightDermSim
    assert kind(exported, backend="torch") is full
    assert kind(checkpoint) is full
    assert kind(exported, facts=True) is full
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "onnxruntime" else name)
    assert kind(exported) is full
    monkeypatch.undo()
    with refuses("lite.no_file", FileNotFoundError):
        kind(checkpoint, backend="onnx")
    with refuses("lite.no_file", FileNotFoundError):
        kind(exported, backend="onnx-int8")


def test_without_torch_it_is_said_what_to_install(checkpoint, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with refuses("lite.needs_torch", ImportError):
        Classify(pictures=(), model=str(checkpoint)).quick_engine()


def test_the_rows_are_the_same_but_for_rounding(exported, folder, tmp_path, capsys):
    (folder / "no picture.png").write_bytes(b"nothing")
    found = []
    for backend in ("torch", "onnx"):
        output = tmp_path / f"{backend}.csv"
        asked = ["classify", str(folder), "--model", str(exported), "-o", str(output)]
        assert main([*asked, "--backend", backend]) == 2
        with output.open(encoding="utf-8", newline="") as stream:
            found.append(list(csv.DictReader(stream)))
    assert len(found[0]) == 6
    for one, other in zip(*found, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            try:
                assert float(value) == pytest.approx(float(other[name]), abs=2e-4, rel=1e-4), name
            except ValueError:
                assert value == other[name], name
