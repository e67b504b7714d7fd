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
    named = [Path(name).parent.name or name for name in config.teacher]
    return replace(
        config,
        output=Path(),
        split="test",
        corruptions=True,
        shift="",
        data="",
        encoder=replace(config.encoder, start=bool(config.encoder.start)),
        teacher=tuple(named),
        unlabelled=bool(config.unlabelled),
    )


def test_five_runs_each_after_what_it_needs_and_their_mean(run):
    done, calls = run("ham", "isic", "runs")
    assert done.returncode == 0, done.stderr
    *training, mean = calls
    made = []
    for words in training:
        config = configuration(words)
        assert {Path(name).parent.name for name in config.teacher} <= set(made)
        assert config.encoder.start in (("runs/B/checkpoint",) if made else (None, ""))
        made.append(config.output.name)
    assert made == ["B", "C", "D", "E", "F"]
    members = [f"runs/{name}/checkpoint" for name in "EBCDF"]
    average = ["dermsim", "ensemble", "--average", "--test-image-size", "160"]
    assert mean == [*average, *members, "--data", "ham", "--output", "runs/G"]


def test_the_commands_are_those_that_made_the_released_weights(run):
    _, (*training, _) = run("ham", "isic", "runs")
    ours = {configuration(words).output.name: recipe(configuration(words)) for words in training}
    record = json.loads(RECORD.read_text())
    for number, name in enumerate("EBCDF", start=1):
        command = re.search("`(.*)`", record[f"member {number}"]).group(1)
        assert recipe(configuration(shlex.split(command))) == ours[name], name


def test_what_is_there_is_not_trained_again(run):
    run("ham", "isic", "runs")
    done, calls = run("ham", "isic", "runs")
    assert done.returncode == 0
    assert [words[0] for words in calls] == ["dermsim"]


@pytest.mark.parametrize("given", [(), ("ham",), ("ham", "isic")])
def test_without_its_folders_it_says_which(run, given):
    done, calls = run(*given)
    assert done.returncode != 0 and calls == []
    assert "name " in done.stderr
