"""Builds a Space: a folder that runs the page as it is, on a CPU or on ZeroGPU.

It holds everything but the libraries: the package's own source, and a copy of the checkpoint to
fall back on. Model and gallery are pulled from the Hub when it starts (`dermsim.serve.space`).
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from dermsim.core.atomic import atomic_path
from dermsim.core.labels import DISCLAIMER
from dermsim.core.refused import Refused
from dermsim.core.storage import save_json
from dermsim.evaluation.card import licence as licence_of
from dermsim.evaluation.report import Report
from dermsim.hub.licences import licence_with, read_source

Hardware = Literal["cpu-basic", "zero-a10g"]

ZERO_GPU_TORCH = {"2.8.0": "0.23.0", "2.9.1": "0.24.1", "2.10.0": "0.25.0", "2.11.0": "0.26.0"}
"""Versions of torch that ZeroGPU runs (Hub documentation, August 2026), with their torchvision."""

ZERO_GPU_PYTHON = "3.12"
"""The Python of ZeroGPU that dermsim runs on."""

NOT_ON_A_PAGE = {"accelerate", "tensorboard", "tyro"}
"""Requirements of training and of the command line, which a page has no use for."""

BUNDLED = "checkpoint"
"""Folder of the checkpoint that comes along."""

SETTINGS = "space.json"
"""What the page is to pull from the Hub."""

APP = '''\
"""The Space's entry: what it does is in dermsim/serve/space.py beside it."""

from pathlib import Path

from dermsim.serve.space import main

if __name__ == "__main__":
    main(Path(__file__).parent)
'''


def build_space(
    folder: str | Path,
    *,
    checkpoint: str | Path,
    model_id: str,
    gallery_id: str | None = None,
    private: bool = False,
    hardware: Hardware = "cpu-basic",
) -> None:
    """Write the folder of a Space, whole or not at all; an older one is replaced.

    Args:
        folder: Where to.
        checkpoint: Checkpoint folder that comes along, for when the Hub cannot be asked.
        model_id: The model on the Hub that the page runs.
        gallery_id: Data set on the Hub with the past cases, or None for those of the model.
        private: Whether those repositories are: then the Hub cannot fetch them while it builds, and
            the Space needs a token among its secrets.
        hardware: What the Space is to run on.

    Raises:
        FileNotFoundError: If the checkpoint is not there, or lacks its evaluation.
        ValueError: If the hardware is unknown, or no version of torch fits it.
    """
    if hardware not in ("cpu-basic", "zero-a10g"):
        raise Refused("space_repository.hardware", hardware=hardware)
    source = Path(checkpoint)
    report = Report.load(source / "evaluation.json")
    pins = requirements(hardware)
    package = Path(__file__).resolve().parents[1]
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        junk = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(package, fresh / package.name, ignore=junk)
        shutil.copytree(source, fresh / BUNDLED, ignore=junk)
        (fresh / "app.py").write_text(APP, encoding="utf-8")
        (fresh / "requirements.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
        card = space_card(
            licence=licence_with(read_source(source), licence_of(report.dataset)),
            model_id=model_id,
            gallery_id=gallery_id,
            private=private,
            hardware=hardware,
        )
        (fresh / "README.md").write_text(card, encoding="utf-8")
        save_json(fresh / SETTINGS, {"model": model_id, "gallery": gallery_id})


def space_card(
    *,
    licence: str,
    model_id: str,
    gallery_id: str | None,
    private: bool,
    hardware: Hardware,
) -> str:
    """Write the README.md of a Space, whose front matter tells the Hub how to build and run it."""
    from huggingface_hub import SpaceCard, SpaceCardData

    zero = hardware == "zero-a10g"
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    data = SpaceCardData(
        title="dermsim",
        emoji="🔬",
        colorFrom="green",
        colorTo="gray",
        sdk="gradio",
        sdk_version=version("gradio"),
        python_version=ZERO_GPU_PYTHON if zero else here,
        app_file="app.py",
        short_description="Look into dermatoscopic photographs; research only",
        models=[model_id],
        datasets=[gallery_id] if gallery_id else None,
        tags=["dermatoscopy", "explainability", "image-retrieval"],
        license=licence,
        # ZeroGPU is chosen in the Space's settings; it is not among what may be suggested
        suggested_hardware=None if zero else hardware,
        preload_from_hub=None if private else [model_id],
    )
    model = f"[{model_id}](https://huggingface.co/{model_id})"
    body = f"\n# dermsim\n\n{DISCLAIMER}\n\nThe page of {model}.\n"
    return str(SpaceCard(f"---\n{data.to_yaml()}\n---\n{body}"))


def requirements(hardware: Hardware) -> list[str]:
    """Pin what the page needs to the versions installed here, torch to those of the hardware.

    What is not installed here keeps the bound that dermsim gives.

    Raises:
        ValueError: If ZeroGPU has no version of torch that dermsim admits.
    """
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires("dermsim") or []]
    plain = {item.name: item for item in wanted if item.marker is None}
    pins = {}
    for name, item in plain.items():
        if name in NOT_ON_A_PAGE:
            continue
        try:
            pins[name] = f"{name}=={re.sub(r'[+].*', '', version(name))}"
        except PackageNotFoundError:
            pins[name] = str(item)
    if hardware == "zero-a10g":
        fitting = [v for v in ZERO_GPU_TORCH if plain["torch"].specifier.contains(v)]
        if not fitting:
            raise Refused(
                "space_repository.torch", torch=plain["torch"], zero_gpu_torch=list(ZERO_GPU_TORCH)
            )
        pins["torch"] = f"torch=={fitting[-1]}"
        pins["torchvision"] = f"torchvision=={ZERO_GPU_TORCH[fitting[-1]]}"
    return sorted(pins.values())
