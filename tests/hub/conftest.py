"""A checkpoint that could be released: measured on the test split of photographs that lie here."""

from pathlib import Path

import pytest
from datasets import concatenate_datasets
from hub_client import write_raw


@pytest.fixture(scope="session")
def photographs(synthetic):
    """All rows behind the tiny checkpoint, in the order of their ids."""
    return concatenate_datasets(list(synthetic.values())).sort("image_id")


@pytest.fixture(scope="session")
def raw(photographs, tmp_path_factory) -> Path:
    """Those rows as a raw HAM10000 folder; tests must not write to it."""
    return write_raw(photographs, tmp_path_factory.mktemp("raw") / "ham10000")


@pytest.fixture(scope="session")
def released(engine, photographs, made_once) -> Path:
    """A finished checkpoint folder; tests must not write to it."""
    from dermsim.evaluation.card import measured_files
    from dermsim.evaluation.checkpoint import evaluate_checkpoint

    def make(folder):
        report = evaluate_checkpoint(engine, photographs, name="synthetic")
        record = {"command": "python train.py"}
        files = measured_files(report, training=record, calibration=engine.calibration)
        engine.save_pretrained(folder, training=record, extra=files)

    return made_once("released", make)
