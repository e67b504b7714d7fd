"""`dermsim calibrate`: add to a checkpoint's calibration what an older dermsim did not keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dermsim.cli.command import Command, load_engine
from dermsim.cli.terminal import show


@dataclass(frozen=True, kw_only=True)
class Calibrate(Command):
    """Fit a checkpoint's calibration again, and add what it lacks, such as the malignancy curve."""

    model: Positional[Path]
    """Checkpoint folder, whose calibration.json is replaced. What it holds stays as it is."""
    data: str
    """The data it was trained on, whose validation split it was calibrated with: a Hub id, a folder
    in any known layout, or "synthetic"."""

    def run(self) -> int:
        """Fit to validation, compare, and write."""
        from dermsim.core.labels import CODES
        from dermsim.data.ham10000 import load_ham10000
        from dermsim.data.splits import grouped_splits, without
        from dermsim.engine.load import FACTS_CALIBRATION
        from dermsim.training.recalibration import recalibrate

        if not self.model.is_dir():
            raise FileNotFoundError(f"no checkpoint folder at {self.model}: check the path")
        engine = load_engine(str(self.model))
        unknown = set(CODES).difference(engine.class_bank().names)
        validation = without(grouped_splits(load_ham10000(self.data))["validation"], unknown)
        alone, informed = recalibrate(engine, validation)
        alone.save(self.model / "calibration.json")
        if informed is not None:
            informed.save(self.model / FACTS_CALIBRATION)
        curve = alone.malignancy_curve
        assert curve is not None  # every fit has one
        answer = {
            "output": str(self.model / "calibration.json"),
            "thresholds": len(curve.thresholds),
            "malignant": curve.malignant,
            "benign": curve.benign,
        }
        readable = (
            f"{answer['output']} holds {answer['thresholds']} operating points, measured on "
            f"{curve.malignant} malignant and {curve.benign} benign images"
        )
        show(answer, readable, as_json=self.json)
        return 0
