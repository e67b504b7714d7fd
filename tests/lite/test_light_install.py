"""The light installation as the tutorial says it, in a fresh environment."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGEST = 500e6


@pytest.mark.slow
def test_a_fresh_environment_without_torch_classifies(exported, synthetic, tmp_path):
    sources = tmp_path / "dermsim"
    shutil.copytree(ROOT / "dermsim", sources / "dermsim")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "light"], check=True)
    python = tmp_path / "light" / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install = [python, "-m", "pip", "install", "-q"]
    done = subprocess.run(
        [*install, *project["optional-dependencies"]["lite"]], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the packages cannot be fetched here: {done.stderr.splitlines()[-1]}")
    subprocess.run([*install, "--no-deps", sources], check=True, capture_output=True)
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True).stdout
    assert not re.search(r"^(torch|transformers|gradio|datasets|pandas|scipy) ", listed, re.M)
    bytes_held = sum(path.lstat().st_size for path in (tmp_path / "light").rglob("*"))
    assert bytes_held <= LARGEST
    synthetic["test"][0]["image"].save(tmp_path / "case.png")
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for asked in (["classify"], ["similar", "-k", "2"]):
        command = [tmp_path / "light" / "bin" / "dermsim", asked[0], tmp_path / "case.png"]
        said = subprocess.run(
            [*command, *asked[1:], "--model", exported],
            capture_output=True,
            text=True,
            env=plain,
            cwd=tmp_path,
        )
        assert said.returncode == 0 and "case.png" in said.stdout, said.stderr
