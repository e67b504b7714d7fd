"""The gate is fitted to pictures made of drawings, put into a checkpoint, and measured."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from refusals import refuses

from dermsim import DermSim
from dermsim.cli.main import main
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.outlines import load_masks
from dermsim.data.synthetic import draw_lesion
from dermsim.evaluation.protocols.quality import evaluate_quality
from dermsim.tasks.detect import REASONS
from dermsim.training.quality import fit_quality


@pytest.fixture(scope="module")
def outlines():
    return load_masks("synthetic")


@pytest.fixture(scope="module")
def gate(synthetic, outlines):
    return fit_quality(
        synthetic["train"], synthetic["validation"], outlines, side=64, each=30, seed=0
    )


@pytest.fixture(scope="module")
def gated(checkpoint, gate, tmp_path_factory):
    """The tiny checkpoint with a gate of its own, loaded as a user would."""
    folder = tmp_path_factory.mktemp("gated") / "checkpoint"
    shutil.copytree(checkpoint, folder)
    gate.save(folder / "quality.safetensors")
    return folder


def test_the_fit_says_what_it_was_made_of(gate, synthetic):
    assert gate.provenance["photographs"] == len(synthetic["train"])
    assert gate.provenance["validation"] == len(synthetic["validation"])
    assert gate.provenance["stopped of validation"] <= 0.2
    assert len(gate.thresholds) == len(REASONS)


def test_a_checkpoint_with_a_gate_withholds_verdicts_and_says_why(gated):
    engine = DermSim.from_pretrained(gated)
    lesion = draw_lesion("nv", seed=2)
    black = Image.new("RGB", (90, 90), (3, 2, 2))
    grey = lesion.convert("L").convert("RGB")
    for picture, reason in ((black, "too_dark"), (grey, "greyscale")):
        (found,) = engine.predict(picture)
        assert reason in found.quality
        assert found.verdict == "withheld"
        assert engine.analyze(picture, explain=None).prediction.quality == found.quality
        ((voted, _),) = engine.predict_and_vote([picture])
        assert voted.quality == found.quality
    assert set(engine.predict(lesion)[0].probabilities) == set(CODES)


def test_the_gate_travels_with_the_checkpoint(gated, tmp_path):
    engine = DermSim.from_pretrained(gated)
    engine.save_pretrained(tmp_path / "again")
    again = DermSim.from_pretrained(tmp_path / "again")
    assert np.array_equal(again.quality.thresholds, engine.quality.thresholds)
    assert again.quality.provenance == engine.quality.provenance


def test_a_checkpoint_without_a_gate_says_nothing_of_quality(engine):
    assert engine.quality is None
    assert engine.predict(Image.new("RGB", (90, 90)))[0].quality == ()


def test_a_gate_of_other_pixels_is_refused(gated, gate, tmp_path):
    from dataclasses import replace

    folder = tmp_path / "other"
    shutil.copytree(gated, folder)
    replace(gate, side=160).save(folder / "quality.safetensors")
    with refuses("load.unusable", error=Phrase("detect_quality.other_size", own=160)):
        DermSim.from_pretrained(folder)


def test_the_protocol_measures_every_fault_and_what_is_stopped_of_good_ones(
    gated, synthetic, outlines
):
    from datasets import concatenate_datasets

    whole = concatenate_datasets([synthetic[part] for part in ("train", "validation", "test")])
    engine = DermSim.from_pretrained(gated)
    far = {"noise": [Image.effect_noise((64, 64), 80).convert("RGB")] * 3}
    table = evaluate_quality(engine, whole, outlines, far=far, resamples=50)
    rows = {row.keys["pictures"]: row for row in table.rows}
    assert set(REASONS) <= set(rows) and "drawn skin of all tones" in rows
    assert rows["too_dark"].figures["stopped"].value > 0.9
    assert rows["greyscale"].figures["named"].value > 0.8
    assert rows["good, all"].figures["stopped"].n == len(synthetic["test"])
    assert rows["good, nv"].figures["stopped"].n < len(synthetic["test"])
    assert rows["noise"].figures["stopped"].n == 3
    with refuses("incremental.split", split="train"):
        evaluate_quality(engine, whole, outlines, split="train")
    engine.quality = None
    with refuses("protocols_quality.no_gate"):
        evaluate_quality(engine, whole, outlines)


def test_a_photograph_without_an_outline_is_refused(synthetic):
    with refuses("spoiled.no_outline", name="SYN_0000006"):
        fit_quality(synthetic["train"], synthetic["validation"], {}, side=64, each=2)


def test_the_command_says_what_a_gate_is_and_where_there_is_none(gated, checkpoint, capsys):
    assert main(["quality", "info", str(gated), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["thresholds"]) == set(REASONS) and answer["side"] == 64
    assert main(["quality", "info", str(checkpoint)]) == 2
    assert "make one with dermsim quality fit" in capsys.readouterr().err
