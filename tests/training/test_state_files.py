"""A state is data: what was learned comes back to the last bit, and anything else is refused."""

import copy
import json
import random

import numpy as np
import pytest
import torch
from refusals import refuses
from transformers import get_cosine_schedule_with_warmup

from dermsim.core.refused import Phrase
from dermsim.training.state_files import Learning, Progress


def learning(seed: int, *, layers: int = 2, momentum: float = 0.9) -> Learning:
    """A small network with weights laid out as training lays them out, and its optimizer."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(seed)
        parts = [torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(layers)]
        model = torch.nn.Sequential(*parts, torch.nn.BatchNorm2d(3))
    model = model.to(memory_format=torch.channels_last)
    decayed, plain = list(model.parameters())[::2], list(model.parameters())[1::2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=0.01,
        betas=(momentum, 0.99),
        fused=True,
    )
    return Learning(
        model=model,
        average=copy.deepcopy(model),
        optimizer=optimizer,
        scheduler=get_cosine_schedule_with_warmup(optimizer, 2, 20),
        progress=Progress(),
        device=torch.device("cpu"),
    )


def learn(state: Learning, steps: int) -> None:
    """Take steps whose pictures come from the generator that a state keeps."""
    for _ in range(steps):
        pictures = torch.randn(4, 3, 6, 6) * random.random() * np.random.rand()
        state.model(pictures).square().mean().backward()
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.scheduler.step()
        with torch.no_grad():
            for mean, weight in zip(
                state.average.parameters(), state.model.parameters(), strict=True
            ):
                mean.lerp_(weight, 0.1)
        state.progress.step += 1


def tensors(state: Learning) -> dict[str, torch.Tensor]:
    moments = {
        f"{number}.{name}": value
        for number, values in state.optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    averaged = {f"average.{name}": value for name, value in state.average.state_dict().items()}
    return {**state.model.state_dict(), **averaged, **moments}


@pytest.fixture
def kept(tmp_path):
    """A state after five steps, and what it becomes after four more."""
    first = learning(0)
    learn(first, 5)
    first.progress.epoch, first.progress.seconds = 1, 1.5
    first.save(tmp_path)
    first.save_generators(tmp_path, 0)
    learn(first, 4)
    return tmp_path, first


def test_what_goes_on_goes_on_bit_for_bit(kept):
    folder, first = kept
    again = learning(1)
    torch.randn(9), random.random(), np.random.rand()
    again.load(folder)
    again.load_generators(folder, 0)
    assert again.progress == Progress(epoch=1, step=5, seconds=1.5)
    learn(again, 4)
    expected, found = tensors(first), tensors(again)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert again.scheduler.get_last_lr() == first.scheduler.get_last_lr()


def test_moments_lie_in_memory_as_the_weights_do(kept):
    folder, _ = kept
    again = learning(1)
    again.load(folder)
    weight = again.model[0].weight
    moments = again.optimizer.state[weight]
    assert not weight.is_contiguous()
    assert moments["exp_avg"].stride() == moments["exp_avg_sq"].stride() == weight.stride()


def test_a_process_that_was_not_there_keeps_its_own_numbers(kept):
    folder, _ = kept
    before = torch.get_rng_state()
    learning(1).load_generators(folder, 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "name", ["custom_checkpoint_0.pkl", "optimizer.bin", "scheduler.bin", "model.safetensors.py"]
)
def test_what_no_run_writes_is_refused(kept, name):
    folder, _ = kept
    (folder / name).write_bytes(b"whatever it is")
    with refuses("state_files.foreign", name=name):
        learning(1).load(folder)


def test_a_link_is_refused(kept, tmp_path_factory):
    folder, _ = kept
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "model.safetensors"
    (folder / "model.safetensors").rename(elsewhere)
    (folder / "model.safetensors").symlink_to(elsewhere)
    with refuses("state_files.foreign", name="model.safetensors"):
        learning(1).load(folder)


DAMAGED = {"safetensors": "storage.not_safetensors", "json": "storage.not_json"}


@pytest.mark.parametrize(
    "name", ["model.safetensors", "average.safetensors", "optimizer.safetensors", "course.json"]
)
def test_damaged_and_missing_files_are_named(kept, name):
    folder, _ = kept
    (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    with refuses(DAMAGED[name.rpartition(".")[2]], name=name):
        learning(1).load(folder)
    (folder / name).unlink()
    with refuses("storage.no_file", FileNotFoundError, source=folder / name):
        learning(1).load(folder)


def test_a_state_of_another_network_is_refused(kept):
    folder, _ = kept
    with refuses("state_files.other_state"):
        learning(1, layers=3).load(folder)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("progress", "step"), "many", "state_files.progress"),
        (("progress", "epoch"), -1, "state_files.progress"),
        (("progress", "seconds"), None, "state_files.progress"),
        (("schedule", "step"), 1, Phrase("storage.keys", name="the schedule in course.json")),
        (("groups", 0), {}, Phrase("storage.keys", name="a group of weights in course.json")),
        (("groups",), [], "state_files.groups"),
        (("strange",), 1, Phrase("storage.keys", name="course.json")),
    ],
)
def test_a_course_that_no_run_takes_is_refused(kept, place, value, words):
    folder, _ = kept
    course = json.loads((folder / "course.json").read_text())
    within = course
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = value
    (folder / "course.json").write_text(json.dumps(course))
    with refuses(words):
        learning(1).load(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("99.exp_avg", "state_files.no_weight"),
        ("0.exp_avg", Phrase("state_files.shape", name="0.exp_avg", shape=[2])),
    ],
)
def test_moments_of_other_weights_are_refused(kept, name, words):
    from safetensors.torch import load_file, save_file

    folder, _ = kept
    moments = load_file(folder / "optimizer.safetensors")
    save_file({**moments, name: torch.zeros(2)}, folder / "optimizer.safetensors")
    with refuses(words):
        learning(1).load(folder)


@pytest.mark.parametrize(
    "change", [{"torch": [1, 2]}, {"torch": "x"}, {"numpy": {}}, {"python": {"version": 3}}]
)
def test_damaged_generators_are_named(kept, change):
    folder, _ = kept
    states = json.loads((folder / "generators-0.json").read_text())
    (folder / "generators-0.json").write_text(json.dumps({**states, **change}))
    with refuses("state_files.damaged", name="generators-0.json"):
        learning(1).load_generators(folder, 0)
