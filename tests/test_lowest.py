"""The lowest versions that dermsim admits are those CI installs; ZeroGPU's are among them."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from dermsim.hub.space_repository import ZERO_GPU_PYTHON, ZERO_GPU_TORCH

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDS = {item.name: item for item in map(Requirement, PROJECT["dependencies"])}


def lowest(item):
    """The pin of a requirement's lower bound, which it must have; it may have an upper one too."""
    (bound,) = (part for part in item.specifier if part.operator == ">=")
    return f"=={bound.version}"


def test_ci_installs_the_lower_bounds():
    lines = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    wanted = {name: [lowest(item)] for name, item in BOUNDS.items()}
    assert {pin.name: [str(part) for part in pin.specifier] for pin in pins} == wanted
    assert "-c .ci/lowest.txt" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_zerogpu_s_versions_are_admitted():
    for torch, torchvision in ZERO_GPU_TORCH.items():
        assert BOUNDS["torch"].specifier.contains(torch)
        assert BOUNDS["torchvision"].specifier.contains(torchvision)
    lowest = Version(PROJECT["requires-python"].removeprefix(">="))
    assert Version(ZERO_GPU_PYTHON) >= lowest
