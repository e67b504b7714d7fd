"""`dermsim calibrate`: fit a checkpoint's prediction sets and operating points anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dermsim.cli.command import Command, load_engine, open_data
from dermsim.cli.terminal import show
from dermsim.core.refused import RefusedFileNotFoundError


@dataclass(frozen=True, kw_only=True)
class Calibrate(Command):
    """Fit a checkpoint's prediction sets, operating points and malignancy curve again."""

    model: Positional[Path]
    """Checkpoint folder, whose calibration.json is replaced. No probability changes."""
    data: str
    """The data it was trained on, whose validation split it was calibrated with: a Hub id, a folder
    in any known layout, or "synthetic"."""

    def run(self) -> int:
        """Fit to validation, compare, and write."""
        if not self.model.is_dir():
            raise RefusedFileNotFoundError("cli_atlas.no_checkpoint", model=self.model)
        opened = open_data(self.data)
        from dermsim.core.labels import CODES
        from dermsim.data.splits import grouped_splits, without
        from dermsim.engine.load import FACTS_CALIBRATION
        from dermsim.training.recalibration import recalibrate

        engine = load_engine(str(self.model))
        unknown = set(CODES).difference(engine.known)
        validation = without(grouped_splits(opened.load(more=False))["validation"], unknown)
        alone, informed = recalibrate(engine, validation)
        changed = (alone, informed) != (engine.calibration, engine.calibration_facts)
        alone.save(self.model / "calibration.json")
        if informed is not None:
            informed.save(self.model / FACTS_CALIBRATION)
        curve, fit = alone.malignancy_curve, alone.cross_fit
        assert curve is not None and fit is not None  # every fit has both
        answer = {
            "output": str(self.model / "calibration.json"),
            "changed": changed,
            "thresholds": len(curve.thresholds),
            "malignant": curve.malignant,
            "benign": curve.benign,
            "lesions": fit.lesions,
        }
        readable = (
            f"{answer['output']} holds {answer['thresholds']} operating points, measured on "
            f"{curve.malignant} malignant and {curve.benign} benign images of "
            f"{sum(fit.lesions.values())} lesions"
        )
        figures = self.model / "evaluation.json"
        if changed and figures.is_file():
            readable += (
                f"\n{figures} was measured before: measure again with "
                f"dermsim evaluate {self.model} --data {self.data} --output {figures}"
            )
        show(answer, readable, as_json=self.json)
        return 0
