"""Every command and snippet of README.md and of the site: it runs, or at least it exists."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from dicom_files import as_file, elements
from pages import PAGES, README, ROOT, blocks, commands, is_open, name_of, words

from dermsim.cli.main import app, main
from dermsim.data.synthetic import draw_lesion

DOCS = ROOT / "docs"
QUICK = [README, DOCS / "quickstart.md"]
SLOW = [
    *sorted((DOCS / "tutorials").glob("*.md")),
    *sorted((DOCS / "how-to").glob("*.md")),
]
PAGES_WITH_PYTHON = [page for page in [*QUICK[1:], *SLOW] if blocks(page, "python")]
NOT_RUN = {"serve", "push"}
"""Commands that end only when they are told to, or need what the reader has."""

SHOWN = [
    pytest.param(command, id=f"{name_of(page)}: {command[:60]}")
    for page in PAGES
    for command in dict.fromkeys(commands(page, "bash", "sh", ""))
    if command.split()[0] == "dermsim"
]
TRAINED = [
    pytest.param(command, id=f"{name_of(page)}: {command[:60]}")
    for page in PAGES
    for command in dict.fromkeys(commands(page, "bash", "sh", ""))
    if command.split()[:3] == ["accelerate", "launch", "train_accelerate.py"]
]


@pytest.mark.parametrize("command", SHOWN)
def test_a_shown_command_has_these_options(command):
    try:
        app.cli(prog="dermsim", args=words(command)[1:])
    except SystemExit as stop:
        pytest.fail(f"{command} ends with status {stop.code}")


@pytest.mark.parametrize("command", TRAINED)
def test_a_shown_training_has_these_options(command):
    import train_accelerate

    try:
        train_accelerate.parse(words(command)[3:])
    except SystemExit as stop:
        pytest.fail(f"{command} ends with status {stop.code}")


def test_every_command_has_its_place_in_how_to(capsys):
    index = (DOCS / "how-to" / "index.md").read_text(encoding="utf-8")
    pages = "".join(page.read_text(encoding="utf-8") for page in SLOW)
    with pytest.raises(SystemExit):
        main(["--help"])
    names = re.search(r"\{([\w,-]+)\}", capsys.readouterr().out)[1].split(",")
    assert len(names) > 20
    for name in names:
        assert f"| `dermsim {name}` |" in index, name
        assert f"\n## dermsim {name}\n" in pages, name


@pytest.fixture
def here(tmp_path, monkeypatch):
    """What the pages speak of: a photograph, another, folders of them, DICOM, the checkpoint."""
    monkeypatch.chdir(tmp_path)
    Path("hub").symlink_to(ROOT / "hub")
    draw_lesion("vasc", seed=3).save("lesion.png")
    draw_lesion("vasc", seed=4).save("other.png")
    folders = {"melanoma": "mel", "nevus": "nv", "scar": "df"}
    for name, dx in {
        **{f"own/{word}": dx for word, dx in folders.items()},
        "ulcers": "bcc",
    }.items():
        Path(name).mkdir(parents=True)
        for seed in range(5):
            draw_lesion(dx, seed=seed, size=(160, 120)).save(f"{name}/{dx}{seed}.png")
    Path("photographs").mkdir()
    for seed in range(3):
        draw_lesion("nv", seed=seed, size=(160, 120)).save(f"photographs/{seed}.png")
    pixels = np.asarray(draw_lesion("mel", seed=1, size=(64, 48)))
    Path("study").mkdir()
    for name in ("clinic.dcm", "study/IM000001"):
        Path(name).write_bytes(as_file(elements(pixels, PatientAge="045Y")))
    return tmp_path


def run(command: str) -> None:
    """Run a command of a page in this process."""
    name, *rest = words(command)
    if name == "accelerate":
        import train_accelerate

        train_accelerate.main(train_accelerate.parse([*rest[2:], "--cpu", "--trackers"]))
    elif rest[0] not in NOT_RUN:
        assert main(rest) == 0, command


@pytest.mark.parametrize(
    "page",
    [*QUICK, *(pytest.param(page, marks=pytest.mark.slow) for page in SLOW)],
    ids=name_of,
)
def test_its_commands_run_in_order(page, here):
    """What trains for longer than a page may, other tests train."""
    for command in commands(page, "bash"):
        trains = command.startswith("accelerate") and "--optim.epochs" not in command
        if command.split()[0] in ("dermsim", "accelerate") and not is_open(command) and not trains:
            run(command)
        else:
            assert is_open(command) or command.split()[0] in (
                "accelerate",
                "python",
                "pip",
                "pytest",
            )


@pytest.mark.parametrize(
    "page",
    [README, *(pytest.param(page, marks=pytest.mark.slow) for page in PAGES_WITH_PYTHON)],
    ids=name_of,
)
def test_its_python_prints_what_it_says(page, here):
    script = "\n".join(blocks(page, "python"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == "".join(blocks(page, "text")).splitlines()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_headings_go_down_by_one(page):
    levels = [
        len(line.split()[0])
        for line in _without_code(page).splitlines()
        if line.startswith("#") and line.lstrip("#").startswith(" ")
    ]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def _without_code(page: Path) -> str:
    return "".join(page.read_text(encoding="utf-8").split("```")[::2])
