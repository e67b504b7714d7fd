"""What the README shows is run here: its Python and what it prints, its commands, its table."""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from readme import END, START, hub_card, with_figures

from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion
from dermsim.evaluation.report import Report

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHECKPOINT = ROOT / "hub" / "dermsim-ham10000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_prints_what_the_readme_says():
    script = "\n".join(blocks("python"))
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == "".join(blocks("text")).splitlines()


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]


def test_the_two_commands_are_there():
    assert "pip install -e . && python app.py" in COMMANDS
    assert 'pip install -e ".[dev]" && pytest' in COMMANDS


def test_the_command_lines_run_in_order(tmp_path, capsys):
    from dermsim.cli.main import main

    draw_lesion("vasc", seed=3).save(tmp_path / "lesion.png")
    draw_lesion("vasc", seed=4).save(tmp_path / "other.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for command in COMMANDS:
            words = shlex.split(command)
            if words[0] == "dermsim" and "<source>" not in words:
                assert main(words[1:]) == 0, f"{command}: {capsys.readouterr().err}"
    assert (tmp_path / "heatmap.png").is_file() and (tmp_path / "alike.png").is_file()
    assert (tmp_path / "bank.safetensors").is_file()


def test_training_commands_name_real_options():
    import train_accelerate
    from dermsim.training.presets import PRESETS

    for command in COMMANDS:
        words = shlex.split(command)
        if words[:2] == ["accelerate", "launch"]:
            assert (ROOT / words[2]).is_file()
            config = train_accelerate.parse(words[3:])
            preset = PRESETS["smoke" if "smoke" in words else "release"]
            # Where the pictures lie, and which encoder it begins with, is the reader's own affair.
            start = replace(config.encoder, start=preset.encoder.start)
            own = {"data": preset.data, "unlabelled": (), "shift": "", "encoder": start}
            assert replace(config, **own) == preset, "the weights are not the preset's"
    assert f"python app.py --model {PRESETS['smoke'].output}/checkpoint" in COMMANDS


def test_the_figures_are_the_checkpoints_own():
    assert with_figures(README, CHECKPOINT) == README
    report = Report.load(CHECKPOINT / "evaluation.json")
    assert report.digest().strip() in README
    assert report.markdown().strip() in (CHECKPOINT / "README.md").read_text(encoding="utf-8")


def test_the_card_is_the_one_that_a_push_would_send():
    assert (CHECKPOINT / "README.md").read_text(encoding="utf-8") == hub_card(CHECKPOINT)


@pytest.mark.parametrize("mark", [START, END])
def test_a_readme_without_marks_is_refused(mark):
    with pytest.raises(ValueError, match="lacks the marks"):
        with_figures(README.replace(mark, ""), CHECKPOINT)


def test_the_diagnoses_in_the_output_are_the_labels():
    assert f"{[*CODES, 'ulcer']}" in README


def test_links_within_the_project_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_checkpoint_is_small_and_whole():
    files = [path for path in CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 35 * 2**20
    kinds = {path.suffix for path in files}
    assert kinds <= {".json", ".safetensors", ".parquet", ".md", ".py"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_no_photograph_of_a_patient_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    assert not re.findall(r"ISIC_\d{7}.*\.(?:jpe?g|png)", tracked, flags=re.IGNORECASE)
