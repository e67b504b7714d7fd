"""The training script itself: a whole small run, an interrupted one, one on two processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.state import AcceleratorState
from refusals import refuses
from safetensors.torch import load_file

import train_accelerate
from dermsim import DermSim
from dermsim.core.refused import Phrase
from dermsim.data.ham10000 import load_ham10000
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion, synthetic_outlines
from dermsim.evaluation.checkpoint import evaluate_checkpoint
from dermsim.evaluation.report import Report
from dermsim.models.encode import encode
from dermsim.tasks.classify import fit_class_bias
from dermsim.training.config import (
    EncoderConfig,
    FreezeConfig,
    LossConfig,
    OptimConfig,
    TrainConfig,
)
from dermsim.training.presets import PRESETS
from dermsim.training.run_state import StateFolder

SCRIPT = Path(__file__).parents[1] / "train_accelerate.py"
SMALL = TrainConfig(
    data="synthetic",
    trackers=(),
    cpu=True,
    corruptions=False,
    encoder=EncoderConfig(backbone="test_resnet", embed_dim=8, image_size=32, test_image_size=32),
    optim=OptimConfig(epochs=2, batch_size=32, mixed_precision="no"),
)
ARGUMENTS = [
    *("--preset", "smoke", "--cpu", "--encoder.image-size", "32"),
    *("--encoder.test-image-size", "32", "--encoder.embed-dim", "8", "--no-corruptions"),
    "--trackers",
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
    averaged = load_file(state / "average.safetensors")["classifier.bias"]
    labels = torch.tensor(grouped_splits(load_ham10000("synthetic"))["train"]["dx"])
    drawn = torch.bincount(labels).double().sqrt()
    expected = averaged - (drawn / drawn.sum()).log().float()
    found = weights(run)["classifier.bias"]
    torch.testing.assert_close(found.float(), expected, rtol=1e-3, atol=1e-3)  # kept as halves


def test_diagnoses_are_named_as_readily_as_validation_asks(run, tmp_path):
    fitted = replace(SMALL.loss, fit_bias=True)
    train_accelerate.main(replace(SMALL, loss=fitted, output=tmp_path))
    before, after = weights(run), weights(tmp_path)
    added = after.pop("classifier.bias") - before.pop("classifier.bias")
    assert all(torch.equal(before[name], after[name]) for name in after)
    engine = DermSim.from_pretrained(run / "checkpoint")
    held_out = grouped_splits(load_ham10000("synthetic"))["validation"]
    logits = encode(engine.model, engine.processor, held_out["image"]).logits
    expected = torch.from_numpy(fit_class_bias(logits, held_out["dx"]))
    assert expected.abs().max() > 0.005
    torch.testing.assert_close(added.float(), expected, rtol=0.01, atol=2e-3)  # kept as halves


def test_the_curves_are_written(run):
    assert list(run.glob("dermsim/events.out.tfevents.*"))


def test_only_the_last_state_is_kept(run):
    assert [path.name for path in StateFolder(run / "state").complete()] == ["epoch-0002"]


def test_a_run_is_not_overwritten(run):
    with refuses("run_state.other_run", FileExistsError):
        train_accelerate.main(replace(SMALL, output=run))


def test_a_state_holds_nothing_that_a_reader_would_run(run):
    names = {path.name for path in StateFolder(run / "state").latest().iterdir()}
    assert names == {
        *("average.safetensors", "model.safetensors", "optimizer.safetensors"),
        *("course.json", "generators-0.json"),
    }


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(run, tmp_path, monkeypatch):
    """In one process, with dropout and the momentum of batch norm, bit for bit."""
    save, kept = StateFolder.save, []

    def interrupt(states, accelerator, learning):
        save(states, accelerator, learning)
        kept.append(learning.progress.epoch)
        if len(kept) == 1:
            raise InterruptedError("the power is gone")

    monkeypatch.setattr(StateFolder, "save", interrupt)
    with pytest.raises(InterruptedError):
        train_accelerate.main(replace(SMALL, output=tmp_path))
    torch.rand(7)  # another process would be elsewhere, too
    train_accelerate.main(replace(SMALL, output=tmp_path, resume=True))
    assert kept == [1, 2]
    first, second = weights(run), weights(tmp_path)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_planted_file_is_refused_and_not_run(run, tmp_path):
    """What Accelerate would read without restriction, were it given the chance."""
    shutil.copytree(run / "state", tmp_path / "state")
    ran = tmp_path / "it was run"
    planted = StateFolder(tmp_path / "state").latest() / "custom_checkpoint_0.pkl"
    # the opcodes of "call builtins.open with this name and 'w'": harmless, and seen if done
    planted.write_bytes(b"cbuiltins\nopen\n(V" + os.fsencode(ran) + b"\nVw\ntR.")
    with refuses("state_files.foreign", name="custom_checkpoint_0.pkl"):
        train_accelerate.main(replace(SMALL, output=tmp_path, resume=True))
    assert not ran.exists()


def test_two_runs_do_not_write_one_output(tmp_path):
    with StateFolder(tmp_path / "state") as states:
        states.prepare(resume=False, choices={})
        done = subprocess.run(
            [sys.executable, SCRIPT, *ARGUMENTS, "--output", tmp_path],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert "state is being written by another process: wait until it has ended" in done.stderr


def test_nothing_to_resume_is_an_error(tmp_path):
    with refuses("run_state.no_state", FileNotFoundError):
        train_accelerate.main(replace(SMALL, output=tmp_path, resume=True))


def test_a_tracker_that_is_not_installed_stops_the_run_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with refuses("optional.not_installed", ImportError, extra="wandb"):
        train_accelerate.main(replace(SMALL, output=tmp_path, trackers=("wandb",)))
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, monkeypatch):
    broken = {"loss": torch.tensor(float("nan"), requires_grad=True)}
    monkeypatch.setattr(train_accelerate, "training_loss", lambda *_, **__: broken)
    with pytest.raises(FloatingPointError, match="The loss is nan at step 0") as raised:
        train_accelerate.main(replace(SMALL, output=tmp_path))
    names = str(raised.value).partition("The batch was ")[2].rstrip(".").split(", ")
    assert len(names) == SMALL.optim.batch_size
    assert set(names) <= set(load_ham10000("synthetic")["image_id"])


def test_a_batch_that_cannot_be_filled_is_an_error(tmp_path):
    config = replace(SMALL, output=tmp_path, optim=replace(SMALL.optim, batch_size=5000))
    with pytest.raises(ValueError, match="do not fill one batch of 5000"):
        train_accelerate.main(config)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"loss": PRESETS["simclr"].loss, "leave_out": ("df",)},
            Phrase("training_set.no_training", missing="df"),
        ),
        ({"leave_out": ("akiec", "bcc", "mel")}, "training_set.one_sided"),
    ],
)
def test_what_cannot_become_a_checkpoint_is_refused_at_once(tmp_path, changes, words):
    with refuses(words):
        train_accelerate.main(replace(SMALL, output=tmp_path, **changes))
    assert not StateFolder(tmp_path / "state").complete()


def test_processes_wait_for_the_one_that_evaluates(tmp_path, monkeypatch):
    def accelerator(*, kwargs_handlers, **options):
        hours = [h.timeout.total_seconds() / 3600 for h in kwargs_handlers if hasattr(h, "timeout")]
        raise InterruptedError(f"{hours}")

    monkeypatch.setattr(train_accelerate, "Accelerator", accelerator)
    with pytest.raises(InterruptedError, match=r"\[12.0\]"):
        train_accelerate.main(replace(SMALL, output=tmp_path))


def test_a_distilled_classifier_is_kept(run, tmp_path, monkeypatch):
    def fit_classifier(*_):
        raise AssertionError("the classifier that was distilled is lost")

    monkeypatch.setattr(train_accelerate, "fit_classifier", fit_classifier)
    config = replace(
        SMALL,
        output=tmp_path,
        teacher=(str(run / "checkpoint"),),
        loss=PRESETS["simclr"].loss,
        optim=replace(SMALL.optim, epochs=1),
    )
    assert config.loss.cross_entropy_weight == 0 < config.loss.distillation_weight
    assert train_accelerate.main(config).is_dir()


def test_pretrained_weights_without_network_say_what_to_do(tmp_path):
    config = replace(SMALL, output=tmp_path, encoder=EncoderConfig(pretrained="hub"))
    with refuses("imagenet.not_fetched", ConnectionError):
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


def test_a_full_disk_stops_the_run_before_its_first_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(
        StateFolder, "check_room", lambda *_: (_ for _ in ()).throw(OSError("no room"))
    )
    with pytest.raises(OSError, match="no room"):
        train_accelerate.main(replace(SMALL, output=tmp_path))
    assert not StateFolder(tmp_path / "state").complete()


TINY_BACKBONES = {
    "efficientnet_b4": "test_efficientnet",
    "legacy_xception": "test_resnet",
    "tf_efficientnet_lite0": "test_efficientnet",
}


@pytest.mark.parametrize("name", sorted(PRESETS.keys() - {"smoke"}))
def test_every_recipe_runs(name, run, tmp_path):
    preset = PRESETS[name]
    config = replace(
        preset,
        data="synthetic",
        output=tmp_path,
        trackers=(),
        cpu=True,
        corruptions=False,
        encoder=replace(
            preset.encoder,
            backbone=TINY_BACKBONES.get(preset.encoder.backbone, "test_resnet"),
            embed_dim=8,
            pretrained="no",
            start=str(run / "checkpoint") if name == "linear-probe" else "",
            image_size=32,
            test_image_size=32,
        ),
        optim=replace(preset.optim, epochs=2, batch_size=32, mixed_precision="no"),
        freeze=replace(
            preset.freeze,
            epochs=min(preset.freeze.epochs, 2 if name == "linear-probe" else 1),
            unfreeze_epochs=min(preset.freeze.unfreeze_epochs, 2),
            never=min(preset.freeze.never, 2),
        ),
    )
    engine = DermSim.from_pretrained(train_accelerate.main(config))
    assert (
        engine.predict(draw_lesion("nv", seed=3))[0].label_name in engine.calibration.set_thresholds
    )
    assert engine.model.config.malignancy_head == (name == "two-head")
    if name == "linear-probe":
        first, second = weights(run), weights(tmp_path)
        assert all(
            torch.equal(first[key], second[key])
            for key in first
            if not key.startswith("classifier.")
        )
        assert not torch.equal(first["classifier.weight"], second["classifier.weight"])


def test_without_diagnoses_more_pictures_help_and_a_classifier_is_fitted(tmp_path):
    preset = PRESETS["simclr"]
    config = replace(
        SMALL,
        output=tmp_path,
        unlabelled=("synthetic",),
        loss=preset.loss,
        optim=replace(SMALL.optim, epochs=1),
    )
    engine = DermSim.from_pretrained(train_accelerate.main(config))
    assert engine.model.classifier.weight.abs().max() > 1e-3


def test_a_teacher_facts_marks_and_mixed_pictures_train_too(run, tmp_path):
    config = replace(
        SMALL,
        output=tmp_path,
        teacher=(str(run / "checkpoint"), str(run / "checkpoint")),
        unlabelled=("synthetic",),
        augment=replace(SMALL.augment, mixup=0.4, cutmix=1.0, marks=0.2, cooldown=0.0),
        encoder=replace(SMALL.encoder, facts=True),
        optim=replace(SMALL.optim, epochs=1),
    )
    engine = DermSim.from_pretrained(train_accelerate.main(config))
    assert engine.model.config.facts_dim > 0


def test_diagnoses_left_out_stay_unknown(tmp_path):
    config = replace(
        SMALL,
        output=tmp_path,
        leave_out=("akiec", "vasc", "df"),
        split="validation",
        encoder=replace(SMALL.encoder, color_constancy="both"),
        optim=replace(SMALL.optim, epochs=1),
    )
    folder = train_accelerate.main(config)
    engine, report = DermSim.from_pretrained(folder), Report.load(folder / "evaluation.json")
    assert engine.class_bank().names == ("bcc", "bkl", "mel", "nv")
    assert {record["dx"] for record in engine.gallery.records} == {"bcc", "bkl", "mel", "nv"}
    assert engine.processor.do_color_constancy
    assert report.split == "validation"
    assert {code for code, count in report.class_counts.items() if count} == {
        *("bcc", "bkl", "mel", "nv")
    }


def test_whole_frames_other_skin_and_an_output_of_its_own(tmp_path):
    """The choices that need outlines and other sources, together in one run."""
    outlines, clinic = tmp_path / "outlines", tmp_path / "clinic"
    outlines.mkdir()
    clinic.mkdir()
    for name, outline in synthetic_outlines(14).items():
        outline.save(outlines / f"{name}_segmentation.png")
    words = ["nv", "mel", "scc", "scc", "wart"]
    for place in range(len(words)):
        draw_lesion("nv", seed=place).save(clinic / f"p{place}.png")
    table = "\n".join(f"p{place}.png,p{place},{word}" for place, word in enumerate(words))
    (clinic / "metadata.csv").write_text(f"file_name,image_id,dx\n{table}\n")
    config = replace(
        SMALL,
        output=tmp_path / "run",
        also=(str(clinic),),
        also_map=("scc=own", "wart=bkl"),
        outlines=str(outlines),
        split="validation",
        encoder=replace(SMALL.encoder, framing="whole", color_constancy="test"),
        augment=replace(SMALL.augment, backgrounds=0.5, lesion_crops=0.5, mixup=0.2),
        optim=replace(SMALL.optim, epochs=1),
    )
    folder = train_accelerate.main(config)
    engine = DermSim.from_pretrained(folder)
    assert engine.processor.size == {"longest_edge": 32}
    assert engine.processor.do_color_constancy
    lesion = draw_lesion("mel", seed=3)
    heatmap = engine.explain(lesion).values
    assert heatmap.shape == (150, 200) and heatmap[:, -20:].max() > 0
    state = StateFolder(config.output / "state").latest()
    assert len(load_file(state / "model.safetensors")["classifier.bias"]) == 8
    assert len(load_file(folder / "model.safetensors")["classifier.bias"]) == 7


def test_a_backbone_that_knows_nothing_and_never_learns_is_refused(tmp_path):
    config = replace(SMALL, output=tmp_path, freeze=FreezeConfig(epochs=2))
    with refuses("freezing.knows_nothing"):
        train_accelerate.main(config)


def test_the_same_seed_gives_the_same_weights(run, tmp_path):
    train_accelerate.main(replace(SMALL, output=tmp_path))
    first, second = weights(run), weights(tmp_path)
    assert all(torch.equal(first[name], second[name]) for name in first)


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


def torchrun(processes: int, port: int, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the script on several processes, which talk through gloo."""
    where = (f"--nproc_per_node={processes}", f"--master_port={port}")
    return subprocess.Popen(
        ["torchrun", *where, SCRIPT, *ARGUMENTS, *arguments],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill torchrun and what it started, which is in sessions of its own; the starter first."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in started:
        child.kill()
    psutil.wait_procs(started)
    process.communicate()


def finished(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


@pytest.mark.slow
def test_a_killed_run_of_two_processes_goes_on_bit_for_bit(tmp_path, free_port):
    """Each process has generators of its own, which dropout shows."""
    options = ("--optim.epochs", "3", "--encoder.drop-rate", "0.3", "--output")
    finished(torchrun(2, free_port, *options, tmp_path / "whole"))
    killed = torchrun(2, free_port, *options, tmp_path / "killed")
    states = StateFolder(tmp_path / "killed" / "state")
    while not states.complete():
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.05)
    kill_all(killed)
    names = {path.name for path in states.latest().iterdir()}
    assert {"generators-0.json", "generators-1.json"} <= names
    assert states.latest().name < "epoch-0003"
    finished(torchrun(2, free_port, *options, tmp_path / "killed", "--resume"))
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_two_processes_evaluate_each_picture_once(tmp_path, free_port):
    """The last batch is uneven: what Accelerate adds to it must not be counted."""
    batch = 7  # validation takes four times as many
    held_out = grouped_splits(load_ham10000("synthetic"))["validation"]
    assert len(held_out) % (2 * 4 * batch) not in (0, 4 * batch)  # one of the two runs dry
    # `ARGUMENTS` end in --trackers
    options = ("tensorboard", "--optim.epochs", "1", "--optim.batch-size", str(batch), "--output")

    def first_figures(processes: int) -> dict[str, float]:
        """What is measured before the first update, when both have the same weights."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        output = tmp_path / str(processes)
        finished(torchrun(processes, free_port, *options, output))
        curves = EventAccumulator(str(output / "dermsim"))
        curves.Reload()
        return {
            tag: curves.Scalars(tag)[0].value
            for tag in curves.Tags()["scalars"]
            if curves.Scalars(tag)[0].step == 0
        }

    alone, together = first_figures(1), first_figures(2)
    assert alone and alone.keys() == together.keys()
    assert together == pytest.approx(alone, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path, free_port):
    """Batch norm and dropout, which each process has of its own, are left out."""
    still = ("--encoder.backbone", "test_vit", "--encoder.drop-rate", "0", "--optim.epochs", "1")

    def train(processes: int, seed: int) -> Path:
        output = tmp_path / f"{processes}-{seed}"
        where = (f"--nproc_per_node={processes}", f"--master_port={free_port}")
        batch = ("--optim.batch-size", str(32 // processes), "--seed", str(seed))
        done = subprocess.run(
            ["torchrun", *where, SCRIPT, *ARGUMENTS, *still, *batch, "--output", output],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return output

    def distance(first: Path, second: Path) -> float:
        ours, theirs = weights(first), weights(second)
        return max((ours[name] - theirs[name]).float().abs().mean().item() for name in ours)

    one, two, other = train(1, 0), train(2, 0), train(2, 1)
    record = json.loads((two / "checkpoint" / "training.json").read_text())
    assert record["hardware"] == "2 x cpu"
    assert distance(one, two) < 2e-4 < 2e-2 < distance(two, other)
