"""What docs/how-to/serve.md and docs/api.md show to programs is run here, in its order."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def page(serve):
    return serve()


def examples(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path, lesion, other):
    (tmp_path / "lesion.png").write_bytes(lesion)
    (tmp_path / "other.png").write_bytes(other)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("name", ["docs/how-to/serve.md", "docs/api.md"])
def test_the_commands_answer(page, folder, name):
    (script,) = examples(name, "sh")
    assert script.count("curl ") == 2
    # fails at an answer of 400 or more, with no word of its own
    script = script.replace("curl ", "curl --fail -sS ").replace(ADDRESS, page)
    script = script.replace("python ", f"{sys.executable} ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '"results":[{"answer":{"label":"' in done.stdout
    if name == "docs/api.md":
        assert '"ulcer":' in done.stdout


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("docs/how-to/serve.md", r"\['\w+', '\w+', '\w+'\]\n(Loaded as API.*\n)?\w+\n"),
        ("docs/api.md", r"\w+ \(90, 120\) \d+\.?[-\de]*\n"),
    ],
)
def test_the_python_answers(page, folder, name, printed):
    (script,) = examples(name, "py")
    assert ADDRESS in script
    done = subprocess.run(
        [sys.executable, "-c", script.replace(ADDRESS, page)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(printed, done.stdout), done.stdout
