"""The `dermsim quality` commands: the gate in front of every label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from dermsim.cli.command import Command, load_engine, open_data
from dermsim.cli.terminal import show, table
from dermsim.core.refused import RefusedFileNotFoundError

quality_app = tyro.extras.SubcommandApp()


@quality_app.command(name="fit")
@dataclass(frozen=True, kw_only=True)
class QualityFit(Command):
    """Fit what tells pictures not to be judged, and put it into a checkpoint.

    Faulty pictures are made of training photographs; `dermsim protocol quality` measures it. No
    encoder is asked, so that it takes minutes.
    """

    model: Positional[Path]
    """Checkpoint folder, whose quality.safetensors is made or replaced."""
    data: str
    """What it was trained on: a Hub id, a folder in any known layout, or "synthetic"."""
    masks: str
    """Dermatologists' outlines: a folder of Parquet files or PNGs, or "synthetic"."""
    each: int = 600
    """Pictures to make of each fault."""
    seed: int = 0
    """Seed of all chance."""

    def run(self) -> int:
        """Fit and write; what was there stays if anything fails."""
        if not self.model.is_dir():
            raise RefusedFileNotFoundError("cli_quality.no_folder", model=self.model)
        opened = open_data(self.data)
        from dermsim.core.checkpoint import QUALITY
        from dermsim.data.outlines import load_masks
        from dermsim.data.splits import grouped_splits
        from dermsim.models.encoder import seen_side
        from dermsim.training.quality import fit_quality

        outlines = load_masks(self.masks)
        engine = load_engine(str(self.model))
        parts = grouped_splits(opened.load(more=False))
        gate = fit_quality(
            parts["train"],
            parts["validation"],
            outlines,
            side=seen_side(engine.processor),
            each=self.each,
            seed=self.seed,
        )
        gate.save(self.model / QUALITY)
        answer = {"output": str(self.model / QUALITY), **gate.provenance}
        show(answer, table([*answer], [[*answer.values()]]), as_json=self.json)
        return 0


@quality_app.command(name="info")
@dataclass(frozen=True, kw_only=True)
class QualityInfo(Command):
    """Say how a checkpoint's quality gate was fitted, and from where each reason counts."""

    model: Positional[str]
    """Checkpoint folder or Hub id."""

    def run(self) -> int:
        """Print provenance and thresholds."""
        from dermsim.core.checkpoint import QUALITY, local_folder
        from dermsim.tasks.detect import REASONS, QualityGate

        path = local_folder(self.model) / QUALITY
        if not path.is_file():
            raise RefusedFileNotFoundError("cli_quality.no_gate", model=self.model, quality=QUALITY)
        gate = QualityGate.load(path)
        thresholds = dict(zip(REASONS, gate.thresholds.tolist(), strict=True))
        answer = {"side": gate.side, "provenance": dict(gate.provenance), "thresholds": thresholds}
        rows = [[name, value] for name, value in thresholds.items()]
        fitted = ", ".join(f"{name} {value}" for name, value in gate.provenance.items())
        show(answer, f"{table(['reason', 'threshold'], rows)}\n\n{fitted}", as_json=self.json)
        return 0
