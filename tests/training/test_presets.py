"""The named recipes, and a run as a command line."""

import json
from dataclasses import replace

import pytest

import train_accelerate
from dermsim.training.config import TrainConfig
from dermsim.training.config_dict import from_dict, to_dict
from dermsim.training.presets import PRESETS, command_line, flatten, run_record


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())
def test_every_preset_survives_json(preset):
    assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(preset)))) == preset


def test_runs_of_different_presets_do_not_collide():
    outputs = [preset.output for preset in PRESETS.values()]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize("name", PRESETS)
def test_the_recorded_command_makes_the_same_run_again(name):
    preset = PRESETS[name]
    config = replace(preset, seed=3, optim=replace(preset.optim, epochs=preset.optim.epochs + 2))
    words = command_line(config).split()
    assert words[:3] == ["accelerate", "launch", "train_accelerate.py"]
    again = train_accelerate.parse(words[3:])
    assert replace(again, data=config.data, output=config.output) == config


def test_switches_travel_in_both_directions():
    config = replace(PRESETS["xception"], cpu=True)
    config = replace(config, encoder=replace(config.encoder, pretrained="no", facts=True))
    again = train_accelerate.parse(command_line(config).split()[3:])
    assert again.encoder == config.encoder


def test_lists_and_plain_switches_travel_too():
    config = replace(PRESETS["supcon"], leave_out=("df", "vasc"), corruptions=False)
    line = command_line(config)
    assert line.endswith("--leave-out df vasc --no-corruptions")
    again = train_accelerate.parse(line.split()[3:])
    assert (again.leave_out, again.corruptions) == (("df", "vasc"), False)


def test_of_places_elsewhere_only_the_name_is_told():
    config = replace(
        PRESETS["supcon"],
        unlabelled=("/some/disk/isic2017", "owner/more"),
        teacher=("../ensemble", "owner/one"),
    )
    line = command_line(config)
    assert line.endswith("--unlabelled <isic2017> owner/more --teacher <ensemble> owner/one")


def test_every_option_has_a_name_and_a_plain_value():
    flat = flatten(PRESETS["smoke"])
    assert flat["optim.epochs"] == 8
    assert flat["data"] == "synthetic"
    assert {type(value) for value in flat.values()} <= {int, float, bool, str}


def test_a_record_tells_what_a_run_began_with(tmp_path):
    record = {"command": "accelerate launch before", "minutes": 7}
    (tmp_path / "training.json").write_text(json.dumps(record))
    config = PRESETS["supcon"]
    plain = run_record(config, seconds=150, hardware="1 x cpu", parameters=5)
    assert plain == {
        "command": command_line(config),
        "minutes": 2,
        "hardware": "1 x cpu",
        "parameters": 5,
    }
    for start, known in ((tmp_path, True), (tmp_path / "nowhere", False)):
        begun = replace(config, encoder=replace(config.encoder, start=str(start)))
        made = run_record(begun, seconds=0, hardware="1 x cpu", parameters=5)
        assert made.get("started from") == (
            "`accelerate launch before`, 7 minutes" if known else None
        )


def test_a_record_tells_where_what_it_began_with_came_from(tmp_path):
    """ImageNet's licence travels through every encoder that began with it."""
    config = replace(PRESETS["supcon"], also=("/some/disk/isic2019_84",))
    origin = {"origin": "a-package 0.1 on PyPI", "licence": "Apache-2.0"}
    first = run_record(config, seconds=60, hardware="1 x cpu", parameters=5, origin=origin)
    assert first["started from"] == "ImageNet, a-package 0.1 on PyPI (Apache-2.0)"
    assert first["also learned from"] == "isic2019_84"
    (tmp_path / "training.json").write_text(json.dumps(first))
    begun = replace(config, encoder=replace(config.encoder, start=str(tmp_path)))
    second = run_record(begun, seconds=60, hardware="1 x cpu", parameters=5)
    assert second["started from"].endswith(f"1 minutes, begun with {first['started from']}")
