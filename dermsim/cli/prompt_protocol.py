"""`dermsim protocol prompts`: how well names alone tell the diagnoses apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dermsim.cli.command import load_engine, open_data
from dermsim.cli.explanation_protocol import protocol_app
from dermsim.cli.protocols import ProtocolCommand
from dermsim.cli.terminal import check_output

__all__ = ["PromptsProtocol", "protocol_app"]


@protocol_app.command(name="prompts")
@dataclass(frozen=True, kw_only=True)
class PromptsProtocol(ProtocolCommand):
    """Measure a text-image encoder by the names of the diagnoses, with the spread over templates.

    Nothing is fitted, and whatever calibration and bias the checkpoint has are left out.
    """

    split: Literal["test", "validation", "all"] = "test"
    """Whose lesions: test, validation while wording is being chosen, or every photograph."""
    prompts: Path | None = None
    """TOML file with other templates, and other names of the seven."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        opened = open_data(self.data)
        from dermsim.evaluation.protocols.prompt_protocol import measure_prompts
        from dermsim.tasks.prompt import read_wording

        wording = None if self.prompts is None else read_wording(self.prompts)
        engine = load_engine(self.model)
        rows = opened.load(more=False)
        return self.answer(measure_prompts(engine, rows, split=self.split, wording=wording))
