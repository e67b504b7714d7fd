"""The `dermsim evaluate` command: a checkpoint measured on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction

from dermsim.cli.command import Command, DataOptions, load_engine
from dermsim.cli.terminal import (
    check_output,
    show,
)
from dermsim.core.explain_methods import MethodName
from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.evaluation.explanations.settings import Asked


@dataclass(frozen=True, kw_only=True)
class Evaluate(Command, DataOptions):
    """Recompute a checkpoint's evaluation on a data set."""

    model: Positional[str]
    """Checkpoint folder or Hub id."""
    data: str
    """The photographs: a Hub id, a folder in any known layout, or "synthetic"."""
    split: Literal["test", "validation", "all"] = "test"
    """Held-out lesions of the training source, or every photograph of another source."""
    corruptions: FlagCreatePairsOff[bool] = False
    """Measure the same photographs blurred, badly lit, covered with hair and the like, too."""
    shift: str | None = None
    """Photographs of another origin to measure as well, such as ISIC 2017, given as the data."""
    explanations: bool = False
    """Measure heatmaps, too: whether they lie on the lesion and whether the model cares. This takes
    most of an hour on two cores; --masks says where the outlines are."""
    masks: str | None = None
    """Dermatologists' outlines for --explanations: a folder of Parquet files or PNGs; drawn data
    bring their own."""
    methods: UseAppendAction[tuple[MethodName, ...]] = ()
    """Only this way of making heatmaps, for --explanations; may be repeated."""
    photographs: int | None = None
    """Of each diagnosis at most, for a quick look with --explanations."""
    add_to: UseAppendAction[tuple[Path, ...]] = ()
    """JSON file of figures of the same checkpoint and photographs, measured before with --output:
    what it has besides, such as corruptions, is kept; may be repeated."""
    output: Path | None = None
    """JSON file to write the figures to."""

    def run(self) -> int:
        """Evaluate, print, and write the figures if asked to."""
        from dermsim.data.dataset import open_source

        if self.output is not None:
            check_output(self.output, ending=".json")
        opened = self.open(self.data)  # what is wrong there is said before torch is imported
        elsewhere = open_source(self.shift) if self.shift else None
        from dermsim.evaluation.checkpoint import evaluate_checkpoint, origin_name
        from dermsim.evaluation.evaluate import Report, join_reports

        explanations = self._explanations()
        earlier = [Report.load(path) for path in self.add_to]
        engine = load_engine(self.model)
        name = Path(self.data).name if self.split == "all" else opened.name
        asked = {"fingerprint": engine.fingerprint, "dataset": name, "split": self.split}
        for path, kept in zip(self.add_to, earlier, strict=True):
            for what, value in asked.items():  # now, and not after an hour
                if getattr(kept, what) != value:
                    raise Refused(
                        "cli_evaluate.other_figures",
                        path=path,
                        what=what,
                        theirs=getattr(kept, what),
                        ours=value,
                    )
        report = evaluate_checkpoint(
            engine,
            opened.load(),
            split=self.split,
            name=name,
            corruptions=self.corruptions,
            shift=elsewhere.load() if elsewhere else None,
            shift_name=origin_name(self.shift or ""),
            explanations=explanations,
        )
        if self.output is not None:
            report.save(self.output)  # kept even if nothing can be added to
        for kept in earlier:
            report = join_reports(kept, report)
        if self.output is not None and earlier:
            report.save(self.output)
        show(report.to_dict(), report.markdown(), as_json=self.json)
        return 0

    def _explanations(self) -> Asked | None:
        if not self.explanations:
            if self.masks is not None or self.methods or self.photographs is not None:
                raise Refused("cli_evaluate.needs_explanations")
            return None
        source = self.masks or ("synthetic" if self.data == "synthetic" else None)
        if source is None:
            raise Refused("cli_evaluate.needs_masks")
        from dermsim.data.outlines import load_masks
        from dermsim.evaluation.explanations.settings import Asked, Sizes

        sizes = Sizes() if self.photographs is None else Sizes().at_most(self.photographs)
        return Asked(load_masks(source), self.methods or None, sizes)
