"""The command `dermsim export`: a checkpoint's encoder for runtimes without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction

from dermsim.cli.command import Command, DataOptions, load_engine
from dermsim.cli.terminal import find_pictures, show, table
from dermsim.core.refused import Refused, RefusedFileNotFoundError

if TYPE_CHECKING:
    from PIL import Image

    from dermsim.data.opened_source import OpenedSource
    from dermsim.engine import DermSim
    from dermsim.export.onnx_folder import Measured
    from dermsim.export.parity import Parity


@dataclass(frozen=True, kw_only=True)
class Export(Command, DataOptions):
    """Write a checkpoint's encoder in another format, and measure that it answers the same.

    It is compared with the checkpoint on photographs, and nothing is written where it answers
    otherwise. The folder holds the encoder with its heads and parity.json.
    """

    model: Positional[Path]
    """Checkpoint folder."""
    output: Positional[Path | None] = None
    """Folder to write to, which is replaced; by default one in the checkpoint, named after the
    format: there `dermsim classify` and `dermsim similar` find an encoder in ONNX."""
    format: Literal["onnx", "openvino", "litert"] = "onnx"
    """onnx takes photographs of any size, for onnxruntime and what else reads it. openvino (Intel)
    and litert (Android and iOS) take the square that is cut out of a photograph."""
    photographs: UseAppendAction[tuple[Path, ...]] = ()
    """Photograph to compare on, or a folder that is searched for some; may be repeated."""
    data: str | None = None
    """The data it was trained on, to compare on its held-out lesions: a Hub id, a folder in any
    known layout, or "synthetic"."""
    int8: FlagCreatePairsOff[bool] = False
    """Write a second file in integers of 8 bits, a third of the size: faster, and a little less
    exact. Its scales are fitted to the validation photographs of --data."""

    def run(self) -> int:
        """Export, compare, and print what was measured."""
        if not self.model.is_dir():
            raise RefusedFileNotFoundError("cli_atlas.no_checkpoint", model=self.model)
        if bool(self.photographs) == (self.data is not None):
            raise Refused("cli_export.what_on")
        if self.int8 and self.data is None:
            raise Refused("cli_export.int8_data")
        if self.int8 and self.format != "onnx":
            raise Refused("cli_export.int8_format", format=self.format)
        opened = None if self.data is None else self.open(self.data)
        from dermsim.evaluation.card import licence
        from dermsim.export.onnx_folder import export_onnx, export_squares

        engine = load_engine(str(self.model))
        on, validation = self._photographs(engine, opened)
        output = self.output or self.model / self.format
        terms = licence("synthetic" if engine.drawn else "HAM10000")
        if self.format == "onnx":
            found = export_onnx(engine, output, on=on, licence=terms, validation=validation)
        else:
            found = export_squares(engine, output, form=self.format, on=on, licence=terms)
        answer = {"output": str(output), **{name: one.to_dict() for name, one in found.items()}}
        show(answer, f"{_table(found)}\n\n{output} was written", as_json=self.json)
        return 0

    def _photographs(
        self, engine: DermSim, opened: OpenedSource | None
    ) -> tuple[Measured, list[Image.Image] | None]:
        from dermsim.export.onnx_folder import Measured
        from dermsim.export.photographs import Files, Rows, spread

        needed = engine.pixels_needed
        if opened is None:
            return Measured(Files(find_pictures(self.photographs), needed)), None
        from dermsim.data.splits import grouped_splits
        from dermsim.evaluation.held_out import refuse_learned

        splits = grouped_splits(opened.load(more=False))
        test = splits["test"]
        refuse_learned(engine.gallery, test)
        name = f"held-out lesions of {opened.name}"
        on = Measured(Rows(test, needed), list(test["dx"]), name)
        return on, list(Rows(spread(splits["validation"]), needed)) if self.int8 else None


def _table(found: dict[str, Parity]) -> str:
    header = ["precision", "photographs", "lowest cosine", "largest probability difference"]
    header += ["equal labels", "equal verdicts", "equal sets"]
    rows = [
        [
            name,
            one.photographs,
            f"{one.lowest_cosine:.6f}",
            f"{one.probabilities.largest:.2g}",
            one.labels,
            one.verdicts,
            one.sets,
        ]
        for name, one in found.items()
    ]
    return table(header, rows)
