"""The `dermsim ensemble` command: several checkpoints made one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from dermsim.cli.command import Command, open_data
from dermsim.cli.terminal import (
    show,
)
from dermsim.core.refused import Refused, RefusedFileExistsError


@dataclass(frozen=True, kw_only=True)
class Ensemble(Command):
    """Join checkpoints to one that asks them all, or to the mean of their weights; measure it."""

    members: Positional[tuple[str, ...]]
    """Checkpoint folders or Hub ids, at least two, trained on the same split of the same data."""
    data: str
    """Those data: a Hub id, a folder in any known layout, or "synthetic"."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """New folder to write the checkpoint to."""
    average: FlagCreatePairsOff[bool] = False
    """Average the weights of encoders alike instead: one encoder, no slower than each of them. It
    sees pictures as the first does."""
    test_image_size: int | None = None
    """With --average, the side in pixels at which it sees them instead."""
    split: Literal["test", "validation"] = "test"
    """What to measure it on; the meta-learner of an ensemble has seen validation."""

    def run(self) -> int:
        """Build, evaluate, and write the folder with its card."""
        if self.output.exists():
            raise RefusedFileExistsError("cli_ensemble.output_exists", output=self.output)
        if self.test_image_size is not None and not self.average:
            raise Refused("cli_ensemble.size_without_average")
        opened = open_data(self.data)
        from dermsim.data.splits import grouped_splits
        from dermsim.evaluation.card import measured_files
        from dermsim.evaluation.checkpoint import evaluate_checkpoint
        from dermsim.training.ensemble import average_weights, build_ensemble, training_record

        dataset = opened.load(more=False)
        splits = grouped_splits(dataset)
        parts = {"train": splits["train"], "validation": splits["validation"]}
        if self.average:
            size = self.test_image_size
            engine = average_weights(self.members, **parts, test_image_size=size)
        else:
            engine = build_ensemble(self.members, **parts)
        name = "synthetic" if self.data == "synthetic" else "HAM10000"
        report = evaluate_checkpoint(engine, dataset, split=self.split, name=name)
        command = "ensemble --average" if self.average else "ensemble"
        if self.test_image_size is not None:
            command += f" --test-image-size {self.test_image_size}"
        record = training_record(engine, self.members, command=command)
        files = measured_files(report, training=record, calibration=engine.calibration)
        engine.save_pretrained(self.output, training=record, extra=files)
        answer = {"output": str(self.output), "members": list(self.members), **report.to_dict()}
        kind = "the mean of" if self.average else "an ensemble of"
        readable = f"{report.markdown()}\n{self.output} holds {kind} {len(self.members)} members"
        show(answer, readable, as_json=self.json)
        return 0
