"""`dermsim protocol explanations`: are heatmaps better than a blob in the middle?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff, UseAppendAction

from dermsim.cli.command import load_engine, open_data
from dermsim.cli.concept_protocols import protocol_app
from dermsim.cli.protocols import ProtocolCommand
from dermsim.cli.terminal import check_output
from dermsim.core.explain_methods import MethodName
from dermsim.core.refused import Refused, RefusedFileNotFoundError

__all__ = ["ExplanationsProtocol", "protocol_app"]


@protocol_app.command(name="explanations")
@dataclass(frozen=True, kw_only=True)
class ExplanationsProtocol(ProtocolCommand):
    """Measure whether heatmaps are better than a blob in the middle, method by method.

    With --into the checkpoint keeps the figures: it says them wherever it shows a heatmap, and
    draws with the method that did best unless it is asked for another.
    """

    masks: str
    """Dermatologists' outlines: a folder of Parquet files or PNGs, or "synthetic"."""
    split: Literal["validation", "test"] = "validation"
    """Whose lesions: validation, as a method is chosen by the figures, or test."""
    methods: UseAppendAction[tuple[MethodName, ...]] = ()
    """Only this way of making heatmaps; may be repeated."""
    photographs: int = 24
    """Of each diagnosis at most, for how much of a map lies on the lesion."""
    removed: int = 8
    """Of each diagnosis at most, for what taking pixels away does; it is slow."""
    choosing: int = 8
    """Of each diagnosis at most, further ones to choose layers on."""
    into: FlagCreatePairsOff[bool] = False
    """Write the figures into the checkpoint folder, as its explanations.json."""

    def run(self) -> int:
        """Measure, print, and keep the figures if asked to."""
        from dermsim.core.explain_worth import WORTH

        if self.output is not None:
            check_output(self.output, ending=".json")
        if self.into and not Path(self.model).is_dir():
            raise RefusedFileNotFoundError("cli_protocols.no_folder", model=self.model, file=WORTH)
        if self.into and self.split != "validation":
            raise Refused("cli_protocols.into_test")
        opened = open_data(self.data)
        from dermsim.data.outlines import load_masks
        from dermsim.evaluation.explanations.worth import Counts
        from dermsim.evaluation.protocols.explanation_protocol import evaluate_explanations

        counts = Counts(self.choosing, self.photographs, self.removed)
        found, table = evaluate_explanations(
            load_engine(self.model),
            opened.load(more=False),
            load_masks(self.masks),
            dataset_name=opened.name,
            split=self.split,
            counts=counts,
            methods=self.methods,
        )
        if self.into:
            found.save(Path(self.model) / WORTH)
        return self.answer(table)
