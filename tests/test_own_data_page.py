"""Every command of docs/your-own-data.md, run in its order on drawn lesions."""

import csv
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dermsim.cli.main import main
from dermsim.data.synthetic import draw_lesion

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
COMMANDS = [c for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S) for c in block.splitlines()]
CLASSES = {"melanoma": "mel", "Nevus": "nv", "benign mole": "nv", "scar": "df"}


def command(start: str) -> list[str]:
    """The only command of the page that begins so, as words."""
    begun = start.split()
    (found,) = [words for c in COMMANDS if (words := shlex.split(c))[: len(begun)] == begun]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the page speaks of: own/, own-table/, and the released checkpoint."""
    root = tmp_path_factory.mktemp("page")
    for number, (name, dx) in enumerate(CLASSES.items()):
        (root / "own" / name).mkdir(parents=True)
        for seed in range(5 if name == "scar" else 16):
            image = draw_lesion(dx, seed=100 * number + seed, size=(80, 60))
            image.save(root / "own" / name / f"{number}{seed:02d}.png")
    shutil.copytree(root / "own", root / "own-table" / "pictures")
    rows = [
        {"filename": path.name, "diagnosis": dx, "patient_id": f"P{path.stem[:2]}", "sex": "f"}
        for name, dx in CLASSES.items()
        for path in sorted((root / "own" / name).iterdir())
    ]
    with (root / "own-table" / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    (root / "hub").symlink_to(ROOT / "hub")
    return root


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """The run of the page, in this process."""
    import train_accelerate

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = command("accelerate launch train_accelerate.py")
        return train_accelerate.main(train_accelerate.parse([*words[3:], "--cpu", "--trackers"]))


def test_every_command_is_tested():
    tested = ("explore own ", "explore own-table", "evaluate runs", "evaluate hub", "enroll")
    for line in COMMANDS:
        known = [f"dermsim {start}" for start in (*tested, "classify")]
        known += ["accelerate launch", "python app.py"]
        assert sum(line.startswith(start) for start in known) == 1, line


def test_a_look_at_a_folder_per_class(here, capsys):
    assert main(command("dermsim explore own")[1:]) == 0
    printed = capsys.readouterr()
    (said,) = re.findall(r"```text\n(.*?)```", PAGE, re.S)
    lines = printed.err.splitlines()
    assert [line for line in lines if " is read as " in line] == said.splitlines()
    assert "own: 48 photographs of 48 lesions" in printed.out
    assert any("5 photographs of other diagnoses are left out: scar (5)" in line for line in lines)


def test_a_look_at_a_table(here, capsys):
    assert main(command("dermsim explore own-table")[1:]) == 0
    assert "own-table: 53 photographs" in capsys.readouterr().out
    assert (here / "own.html").stat().st_size > 10_000


def test_training_makes_a_checkpoint_of_these_classes(trained):
    assert trained == Path("runs/smoke/checkpoint")


def test_evaluating_what_was_held_out(trained, here, capsys):
    assert main(command("dermsim evaluate runs/smoke/checkpoint")[1:]) == 0
    out = capsys.readouterr().out
    assert out.startswith("own, test:") and "mel" in out


def test_evaluating_on_all(here, capsys):
    assert main(command("dermsim evaluate hub/dermsim-ham10000")[1:]) == 0
    assert "own, all: 48 images" in capsys.readouterr().out


def test_teaching_and_classifying(here, capsys):
    assert main(command("dermsim enroll")[1:]) == 0
    assert "own.safetensors now holds scar (" in capsys.readouterr().out
    assert main(command("dermsim classify own/scar")[1:]) == 0
    with (here / "scars.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5


def test_the_app_takes_them(monkeypatch):
    import app

    asked = {}
    monkeypatch.setattr("dermsim.serve.page_server.serve_page", lambda *_, **o: asked.update(o))
    app.main(command("python app.py")[2:])
    assert asked["dataset"] == "own"
    assert asked["mapping"] == {"benign mole": "nv", "scar": "other"}


def test_the_python(here):
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=here)
    assert done.returncode == 0, done.stderr
    assert "'original_label'" in done.stdout and "validation: Dataset" in done.stdout
