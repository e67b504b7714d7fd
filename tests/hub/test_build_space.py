"""The folder of a Space: what it holds, what the Hub reads of it, and what it asks pip for."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard
from loopback_hub.cards import check_card
from packaging.requirements import Requirement
from refusals import refuses

from dermsim.hub import space_repository
from dermsim.hub.space_repository import ZERO_GPU_TORCH, build_space, requirements

ROOT = Path(__file__).parents[2]
MODEL, GALLERY = "alice/derm", "alice/derm-gallery"


@pytest.fixture(scope="module")
def built(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "space"
    build_space(folder, checkpoint=checkpoint, model_id=MODEL, gallery_id=GALLERY)
    return folder


def test_it_holds_all_but_the_libraries(built, checkpoint):
    assert sorted(path.name for path in built.iterdir()) == [
        "README.md",
        "app.py",
        "checkpoint",
        "dermsim",
        "requirements.txt",
        "space.json",
    ]
    assert json.loads((built / "space.json").read_text()) == {"model": MODEL, "gallery": GALLERY}

    def files(folder):
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }

    assert files(built / "checkpoint") == files(checkpoint)
    assert files(built / "dermsim") == files(ROOT / "dermsim")
    assert not list(built.rglob("__pycache__"))
    compile((built / "app.py").read_text(), "app.py", "exec")


def test_the_hub_can_read_its_front_matter(built):
    text = (built / "README.md").read_text()
    assert check_card(text, kind="space") == ([], [])
    data = SpaceCard(text).data.to_dict()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert len(data.pop("short_description")) <= 60
    assert data.pop("emoji") and data.pop("tags")
    assert data == {
        "title": "dermsim",
        "colorFrom": "green",
        "colorTo": "gray",
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "python_version": here,
        "app_file": "app.py",
        "models": [MODEL],
        "datasets": [GALLERY],
        "license": "cc-by-nc-4.0",
        "suggested_hardware": "cpu-basic",
        "preload_from_hub": [MODEL],
    }
    assert f"https://huggingface.co/{MODEL}" in text


def test_a_private_one_is_not_preloaded(checkpoint, tmp_path):
    build_space(tmp_path / "s", checkpoint=checkpoint, model_id=MODEL, private=True)
    data = SpaceCard((tmp_path / "s" / "README.md").read_text()).data.to_dict()
    assert "preload_from_hub" not in data and "datasets" not in data


def test_requirements_are_what_is_installed_here():
    pins = [Requirement(line) for line in requirements("cpu-basic")]
    assert {"gradio", "torch", "torchvision", "timm", "transformers"} <= {pin.name for pin in pins}
    assert not {"tensorboard", "accelerate", "tyro"} & {pin.name for pin in pins}
    for pin in pins:
        assert str(pin.specifier) == "==" + version(pin.name).split("+")[0], pin


def test_zerogpu_gets_a_torch_that_it_has(checkpoint, tmp_path):
    pins = dict(line.split("==") for line in requirements("zero-a10g"))
    assert pins["torch"] == "2.11.0" == max(ZERO_GPU_TORCH, key=lambda v: int(v.split(".")[1]))
    assert pins["torchvision"] == ZERO_GPU_TORCH[pins["torch"]]
    build_space(tmp_path / "s", checkpoint=checkpoint, model_id=MODEL, hardware="zero-a10g")
    data = SpaceCard((tmp_path / "s" / "README.md").read_text()).data.to_dict()
    assert data["python_version"] == "3.12"
    assert "suggested_hardware" not in data
    assert "torch==2.11.0" in (tmp_path / "s" / "requirements.txt").read_text()


def test_a_torch_that_zerogpu_has_not_is_refused(monkeypatch):
    monkeypatch.setattr(space_repository, "ZERO_GPU_TORCH", {"2.1.0": "0.16.0"})
    with refuses("space_repository.torch", torch="torch>=2.8", zero_gpu_torch=["2.1.0"]):
        requirements("zero-a10g")


def test_what_is_not_installed_keeps_its_bound(monkeypatch):
    def missing(name):
        raise space_repository.PackageNotFoundError(name) if name == "timm" else KeyError(name)

    def installed(name):
        return missing(name) if name == "timm" else version(name)

    monkeypatch.setattr(space_repository, "version", installed)
    [line] = [line for line in requirements("cpu-basic") if line.startswith("timm")]
    assert re.fullmatch(r"timm>=[\d.]+", line)


def test_a_failed_build_leaves_the_old_one(built, checkpoint, tmp_path):
    target = tmp_path / "space"
    target.mkdir()
    (target / "kept.txt").write_text("old")
    with refuses("storage.no_file", FileNotFoundError):
        build_space(target, checkpoint=tmp_path / "nowhere", model_id=MODEL)
    with refuses("space_repository.hardware", hardware="cray"):
        build_space(target, checkpoint=checkpoint, model_id=MODEL, hardware="cray")
    assert [path.name for path in tmp_path.iterdir()] == ["space"]
    build_space(target, checkpoint=checkpoint, model_id=MODEL)
    assert not (target / "kept.txt").exists()


def test_the_script_builds_it(checkpoint, tmp_path):
    command = [sys.executable, str(ROOT / "spaces" / "build.py"), str(tmp_path / "s")]
    options = ["--checkpoint", str(checkpoint), "--model", MODEL, "--gallery", GALLERY]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "is a Space" in done.stdout
    assert json.loads((tmp_path / "s" / "space.json").read_text())["gallery"] == GALLERY
    done = subprocess.run(
        [*command, "--checkpoint", str(tmp_path / "none")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("build.py: there is no file")
    assert done.stderr.count("\n") == 1
