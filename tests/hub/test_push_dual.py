"""A text-image encoder on the loopback Hub: sent whole, and loaded with its words."""

import json
import shutil

import pytest
from hub_client import MODEL, command, embed

from dermsim.core.checkpoint import TEXT_FILES
from dermsim.data.synthetic import draw_lesion


@pytest.fixture(scope="module")
def finished(dual_engine, photographs, tmp_path_factory):
    """Its checkpoint with figures of the test split; tests must not write to it."""
    from dermsim.evaluation.card import measured_files
    from dermsim.evaluation.checkpoint import evaluate_checkpoint

    folder = tmp_path_factory.mktemp("dual") / "checkpoint"
    report = evaluate_checkpoint(dual_engine, photographs, name="synthetic")
    record = {"command": "dermsim convert"}
    files = measured_files(report, training=record, calibration=dual_engine.calibration)
    dual_engine.save_pretrained(folder, training=record, extra=files)
    return folder


@pytest.fixture
def push(hub, hub_token, online, raw):
    def run(folder, *options):
        line = ["push", folder, "--to", MODEL, "--data", raw, "--sample", 20, *options]
        return online.run(command, *line, environment={"HF_TOKEN": hub_token}).unwrap()

    return run


def searched(name, text):
    """Search in words with a model of the Hub."""
    from dermsim import DermSim

    engine = DermSim.from_pretrained(name)
    return [case.image_id for case in engine.search(text, 3)[0]]


def test_it_is_sent_whole_and_loaded_with_its_words(hub, online, push, finished, dual_engine):
    status, _, err = push(finished, "--no-dry-run")
    assert status == 0, err
    sent = set(hub.repository(MODEL).head.files)
    assert sent >= {*TEXT_FILES, "prompts.json", "prompts.safetensors", "SOURCE.json"}
    assert "modeling_dermsim_dual.py" in sent
    lesion = draw_lesion("mel", seed=5)
    there = online.run(embed, MODEL, [lesion]).unwrap()
    assert there.tobytes() == dual_engine.embed(lesion).tobytes()
    found = online.run(searched, MODEL, "a mole on the skin").unwrap()
    (here,) = dual_engine.search("a mole on the skin", 3)
    assert found == [case.image_id for case in here]


def test_weights_without_derivatives_stay_here(hub, push, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "checkpoint")
    values = json.loads((folder / "SOURCE.json").read_text())
    (folder / "SOURCE.json").write_text(json.dumps({**values, "licence": "cc-by-nc-nd-4.0"}))
    for options in ([], ["--no-dry-run"]):
        status, out, err = push(folder, *options)
        assert (status, out) == (2, "") and "cc-by-nc-nd-4.0" in err and err.count("\n") == 1
    assert not [note for note in hub.requests if note.method in ("POST", "PUT")]
