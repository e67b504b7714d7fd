"""The `dermsim protocol` commands: public protocols, each printed as a table with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional

from dermsim.command import Command, load_engine
from dermsim.terminal import check_output, show

if TYPE_CHECKING:
    from dermsim.protocols.tables import Table

protocol_app = tyro.extras.SubcommandApp()


@dataclass(frozen=True, kw_only=True)
class ProtocolCommand(Command):
    """What every protocol's command has."""

    model: Positional[str]
    """Checkpoint folder or Hub id."""
    data: str
    """HAM10000: a Hub id, a folder in any known layout, or "synthetic"."""
    output: Path | None = None
    """JSON file to write the table to."""

    def answer(self, table: Table) -> int:
        """Print the table, and write it if asked to."""
        if self.output is not None:
            table.save(self.output)
        show(table.to_dict(), table.markdown(), as_json=self.json)
        return 0


@protocol_app.command(name="retrieval")
@dataclass(frozen=True, kw_only=True)
class Retrieval(ProtocolCommand):
    """Measure whether cases that look alike have the same diagnosis.

    Held-out lesions query the gallery; with --shift photographs of another origin do, too; and of
    a checkpoint trained without some diagnoses these are asked about as well.
    """

    split: Literal["test", "validation"] = "test"
    """Whose lesions query: test, or validation while anything is still being chosen."""
    shift: str | None = None
    """Photographs of another origin to query with, such as ISIC 2017, given as the data."""

    def run(self) -> int:
        """Measure and print."""
        from dermsim.data.ham10000 import load_ham10000
        from dermsim.protocols.retrieval import evaluate_retrieval_protocol

        if self.output is not None:
            check_output(self.output)
        table = evaluate_retrieval_protocol(
            load_engine(self.model),
            load_ham10000(self.data),
            split=self.split,
            shift=load_ham10000(self.shift) if self.shift else None,
            shift_name=Path(self.shift).name if self.shift else "",
        )
        return self.answer(table)
