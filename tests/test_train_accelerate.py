"""The training script itself: a whole small run, an interrupted one, one on two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

import train_accelerate
from dermsim import DermSim
from dermsim.config import EncoderConfig, LossConfig, OptimConfig, TrainConfig, command_line
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import evaluate_checkpoint
from dermsim.report import Report
from dermsim.states import StateFolder

SCRIPT = Path(__file__).parents[1] / "train_accelerate.py"
SMALL = TrainConfig(
    data="synthetic",
    trackers=(),
    cpu=True,
    encoder=EncoderConfig(backbone="test_resnet", embed_dim=8, image_size=32, test_image_size=32),
    optim=OptimConfig(epochs=2, batch_size=32, mixed_precision="no"),
)
ARGUMENTS = [
    *("--preset", "smoke", "--cpu", "--encoder.image-size", "32"),
    *("--encoder.test-image-size", "32", "--encoder.embed-dim", "8", "--trackers"),
]


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """Accelerate keeps the precision of a process's first run; a test is a run of its own."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run in this process."""
    output = tmp_path_factory.mktemp("run")
    config = replace(SMALL, output=output, trackers=("tensorboard",))
    assert train_accelerate.main(config) == output / "checkpoint"
    return output


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint" / "model.safetensors")


def test_a_run_ends_in_a_checkpoint_that_answers(run):
    engine = DermSim.from_pretrained(run / "checkpoint")
    analysis = engine.analyze(draw_lesion("nv", seed=3))
    assert len(analysis.neighbors) == 5
    assert engine.model.config.image_size == 32


def test_the_checkpoint_records_its_making(run):
    record = json.loads((run / "checkpoint" / "training.json").read_text())
    assert record["command"] in (run / "checkpoint" / "README.md").read_text()
    assert record["hardware"] == "1 x cpu"
    report = json.loads((run / "checkpoint" / "evaluation.json").read_text())
    assert report["split"] == "test"
    assert report["dataset"] == "synthetic"


def test_the_drawn_shares_are_taken_off_the_classifier(run):
    state = StateFolder(run / "state").latest()
    (averaged,) = (
        values["module.classifier.bias"]
        for values in (
            torch.load(path, weights_only=True) for path in state.glob("custom_checkpoint_*.pkl")
        )
        if "module.classifier.bias" in values
    )
    labels = torch.tensor(grouped_splits(load_ham10000("synthetic"))["train"]["dx"])
    drawn = torch.bincount(labels).double().sqrt()
    expected = averaged - (drawn / drawn.sum()).log().float()
    found = weights(run)["classifier.bias"]
    torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-3)  # kept as halves


def test_the_curves_are_written(run):
    assert list(run.glob("dermsim/events.out.tfevents.*"))


def test_only_the_last_state_is_kept(run):
    assert [path.name for path in StateFolder(run / "state").complete()] == ["epoch-0002"]


def test_a_run_is_not_overwritten(run):
    with pytest.raises(FileExistsError, match="holds another run"):
        train_accelerate.main(replace(SMALL, output=run))


def test_nothing_to_resume_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no training state to resume"):
        train_accelerate.main(replace(SMALL, output=tmp_path, resume=True))


def test_a_tracker_that_is_not_installed_stops_the_run_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r'get it with pip install "dermsim\[wandb\]"'):
        train_accelerate.main(replace(SMALL, output=tmp_path, trackers=("wandb",)))
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, monkeypatch):
    broken = {"loss": torch.tensor(float("nan"), requires_grad=True)}
    monkeypatch.setattr(train_accelerate, "training_loss", lambda *_, **__: broken)
    with pytest.raises(FloatingPointError, match="The loss is nan at step 0"):
        train_accelerate.main(replace(SMALL, output=tmp_path))


def test_a_batch_that_cannot_be_filled_is_an_error(tmp_path):
    config = replace(SMALL, output=tmp_path, optim=replace(SMALL.optim, batch_size=5000))
    with pytest.raises(ValueError, match="do not fill one batch of 5000"):
        train_accelerate.main(config)


def test_pretrained_weights_without_network_say_what_to_do(tmp_path):
    config = replace(SMALL, output=tmp_path, encoder=EncoderConfig(pretrained=True))
    with pytest.raises(ConnectionError, match="could not be fetched from the Hub"):
        train_accelerate.main(config)


@pytest.mark.parametrize("contrastive", ["ntxent", "triplet"])
def test_other_losses_train_too(contrastive, tmp_path):
    config = replace(
        SMALL,
        output=tmp_path,
        loss=LossConfig(contrastive=contrastive, cross_entropy_weight=0.5),
        optim=replace(SMALL.optim, epochs=1, gradient_accumulation=3),
    )
    assert train_accelerate.main(config).is_dir()


def test_what_was_trained_in_half_precision_is_measured_as_it_will_be_used(tmp_path):
    config = replace(
        SMALL, output=tmp_path, optim=replace(SMALL.optim, epochs=1, mixed_precision="bf16")
    )
    folder = train_accelerate.main(config)
    again = evaluate_checkpoint(
        DermSim.from_pretrained(folder), load_ham10000("synthetic"), name="synthetic"
    )
    assert again.to_dict() == Report.load(folder / "evaluation.json").to_dict()


def test_the_command_line_starts_from_a_preset():
    config = train_accelerate.parse([*ARGUMENTS, "--optim.epochs", "3", "--data", "elsewhere"])
    assert config.encoder.backbone == "test_resnet"
    assert config.encoder.image_size == 32
    assert config.optim.epochs == 3
    assert config.data == "elsewhere"
    assert config.trackers == ()


def test_the_recorded_command_makes_the_same_run_again():
    config = replace(SMALL, encoder=replace(SMALL.encoder, pretrained=True), seed=3)
    words = command_line(config).split()
    assert words[:5] == ["accelerate", "launch", "train_accelerate.py", "--preset", "smoke"]
    again = train_accelerate.parse(words[3:])
    assert replace(again, output=config.output, trackers=(), cpu=True) == config


def start(output: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, *ARGUMENTS, "--output", output, *more],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    epochs = ("--optim.epochs", "4")
    whole = start(tmp_path / "whole", *epochs)
    assert whole.wait() == 0, whole.stdout.read()
    killed = start(tmp_path / "killed", *epochs)
    states = StateFolder(tmp_path / "killed" / "state")
    while not states.complete():
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    resumed = start(tmp_path / "killed", *epochs, "--resume")
    assert resumed.wait() == 0, resumed.stdout.read()
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, free_port):
    command = ["torchrun", "--nproc_per_node=2", f"--master_port={free_port}", SCRIPT, *ARGUMENTS]
    done = subprocess.run(
        [*command, "--output", tmp_path / "two", "--optim.epochs", "1"],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "two" / "checkpoint" / "training.json").read_text())
    assert record["hardware"] == "2 x cpu"
