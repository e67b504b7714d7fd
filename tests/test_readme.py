"""What README.md and docs/results.md say of the checkpoint is what its files say; README is short.

What the README shows is run by `test_pages`.
"""

import re
import shlex
import shutil
import subprocess
from dataclasses import replace

import pytest
from pages import README, ROOT, blocks, commands
from readme import END, PARTS, SIX, START, hub_card, readme_part, results_part, with_part

from dermsim.evaluation.report import Report

CHECKPOINT = ROOT / "hub" / "dermsim-ham10000"
TEXT = README.read_text(encoding="utf-8")
TRAINING = ROOT / "docs" / "how-to" / "train.md"


def test_it_is_read_in_three_minutes():
    assert len(TEXT.encode("utf-8")) <= 9_000


def test_its_order():
    told = [
        "![The app",
        "**Not a medical device.**",
        "## Two commands",
        "**What it costs.**",
        "## Six lines of Python",
        "**What a doctor must know:**",
        "## Your own data in three commands",
        "## Train",
        "## The flow",
        "## Limits",
        "## Licence and citation",
    ]
    places = [TEXT.index(part) for part in told]
    assert places == sorted(places)


def test_the_two_commands_are_there():
    lines = "".join(blocks(README, "bash")).splitlines()
    assert "pip install -e . && python app.py" in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


def test_python_of_six_lines():
    (code,) = blocks(README, "python")
    assert len([line for line in code.splitlines() if line]) <= 6


def test_training_commands_name_real_options():
    import train_accelerate
    from dermsim.training.presets import PRESETS

    shown = commands(README, "bash") + commands(TRAINING, "bash")
    for command in shown:
        words = shlex.split(command)
        if words[:2] == ["accelerate", "launch"]:
            assert (ROOT / words[2]).is_file()
            config = train_accelerate.parse(words[3:])
            preset = PRESETS["smoke" if "smoke" in words else "release"]
            # Where the pictures lie, and which encoder it begins with, is the reader's own affair.
            start = replace(config.encoder, start=preset.encoder.start)
            own = {"data": preset.data, "unlabelled": (), "shift": "", "encoder": start}
            assert replace(config, **own) == preset, "the weights are not the preset's"
    assert f"python app.py --model {PRESETS['smoke'].output}/checkpoint" in shown


@pytest.mark.parametrize("name", PARTS)
def test_the_figures_are_the_checkpoints_own(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert with_part(text, PARTS[name](CHECKPOINT)) == text, "run python hub/readme.py"


def test_six_figures_are_on_the_readme_and_all_in_the_results():
    report = Report.load(CHECKPOINT / "evaluation.json")
    assert len(SIX) == 6
    assert [line.count("|") for line in readme_part(CHECKPOINT).splitlines()][-6:] == [5] * 6
    assert report.digest().strip() in results_part(CHECKPOINT)
    assert report.markdown().strip() in (CHECKPOINT / "README.md").read_text(encoding="utf-8")


def test_a_doctor_reads_of_missed_melanomas_and_other_clinics():
    report = Report.load(CHECKPOINT / "evaluation.json")
    (told,) = [line for line in TEXT.splitlines() if line.startswith("**What a doctor must know")]
    recall = report.metrics["recall_mel"]
    assert f"misses {100 - round(100 * recall.value)} % of them" in told
    assert f"{report.metrics['shift_melanoma_auc'].value:.3f}" in told


def test_figures_without_other_clinics_are_refused(tmp_path):
    report = Report.load(CHECKPOINT / "evaluation.json")
    replace(report, shift=None).save(tmp_path / "evaluation.json")
    with pytest.raises(ValueError, match="another origin"):
        readme_part(tmp_path)


def test_the_card_is_the_one_that_a_push_would_send():
    assert (CHECKPOINT / "README.md").read_text(encoding="utf-8") == hub_card(CHECKPOINT)


@pytest.mark.parametrize("mark", [START, END])
def test_a_page_without_marks_is_refused(mark):
    with pytest.raises(ValueError, match="lacks the marks"):
        with_part(TEXT.replace(mark, ""), "part")


def test_the_checkpoint_is_small_and_whole():
    files = [path for path in CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40e6  # the exported encoder with it
    kinds = {path.suffix for path in files}
    assert kinds <= {".json", ".safetensors", ".parquet", ".md", ".onnx", ".py"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_no_photograph_of_a_patient_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    assert not re.findall(r"ISIC_\d{7}.*\.(?:jpe?g|png)", tracked, flags=re.IGNORECASE)
