"""What the package imports, its pyproject.toml names; and its types are there for others to use."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = (
    *("dicom", "excel", "heic", "jxl", "lite", "litert", "mcp", "mlflow", "onnx", "openvino"),
    "wandb",
)
SCRIPTS = [ROOT / "app.py", ROOT / "train_accelerate.py"]
HOST = {"spaces"}
"""What a ZeroGPU Space brings along, and no other machine needs."""


def imported(path):
    """The top names of all that a file imports, at its top or later."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def plain(name):
    return name.lower().replace("_", "-")


def test_what_is_imported_is_declared():
    project = PYPROJECT["project"]
    extras = [project["optional-dependencies"][name] for name in EXTRAS]
    listed = [Requirement(line) for line in sum(extras, project["dependencies"])]
    declared = {plain(item.name) for item in listed}
    files = [*(ROOT / "dermsim").rglob("*.py"), *SCRIPTS]
    names = set().union(*map(imported, files)) - set(sys.stdlib_module_names) - HOST
    homes = packages_distributions()
    undeclared = {
        name
        for name in names - {"dermsim", "train_accelerate"}
        if not declared & set(map(plain, homes.get(name, [name])))
    }
    assert undeclared == set()


def test_the_types_are_shipped():
    assert (ROOT / "dermsim" / "py.typed").is_file()
    assert "py.typed" in PYPROJECT["tool"]["setuptools"]["package-data"]["dermsim"]


def test_every_file_of_words_is_shipped():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["dermsim"]
    shipped = {path for pattern in patterns for path in (ROOT / "dermsim").glob(pattern)}
    words = set((ROOT / "dermsim").rglob("*.toml"))
    assert {path.name for path in words} >= {"en.toml", "es.toml"}
    assert words <= shipped


def test_it_is_said_what_each_dependency_is_for():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = text.split("\n## What the package stands on\n")[1]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    project = PYPROJECT["project"]
    named = {Requirement(line).name for line in project["dependencies"]}
    assert told == named | set(project["optional-dependencies"])


def test_ci_asks_for_known_vulnerabilities_and_lists_what_is_there():
    workflow = (ROOT / ".github/workflows/dependencies.yml").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, command in (("audit", "pip-audit"), ("sbom", "cyclonedx-py environment")):
        assert f"make {target}" in workflow
        rule = re.search(rf"^{target}:.*\n\t(.*)$", makefile, re.MULTILINE)
        assert rule and rule[1].startswith(command)
    tools = {
        Requirement(line).name for line in PYPROJECT["project"]["optional-dependencies"]["dev"]
    }
    assert {"pip-audit", "cyclonedx-bom"} <= tools
