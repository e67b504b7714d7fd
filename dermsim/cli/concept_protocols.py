"""`dermsim protocol concepts` and `captions`: are findings told, and are descriptions true?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tyro.conf import UseAppendAction

from dermsim.cli.command import load_engine, open_data
from dermsim.cli.concepts import names_of
from dermsim.cli.protocols import ProtocolCommand, protocol_app
from dermsim.cli.terminal import check_output

if TYPE_CHECKING:
    from datasets import Dataset

    from dermsim.engine import DermSim
    from dermsim.evaluation.protocols.concept_rows import ConceptRows


@dataclass(frozen=True, kw_only=True)
class ConceptProtocol(ProtocolCommand):
    """What both have."""

    data: str
    """Pictures with concepts: ISIC 2018 Task 2, derm7pt, PH2 and so on."""
    learned: UseAppendAction[tuple[str, ...]] = ()
    """Other data that the encoder was trained on: its pictures do not count; may be repeated."""

    def rows(self) -> tuple[DermSim, Dataset, ConceptRows]:
        """Ask the checkpoint about the data."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        opened = open_data(self.data)
        known = names_of(self.learned)
        from dermsim.evaluation.protocols.concept_rows import concept_rows

        engine = load_engine(self.model)
        rows = opened.load(keep_other=True)
        return engine, rows, concept_rows(engine, rows, learned=known)


@protocol_app.command(name="concepts")
@dataclass(frozen=True, kw_only=True)
class ConceptsProtocol(ConceptProtocol):
    """Measure concept heads: AUC, precision, recall and hallucinations, and melanoma from concepts.

    The data is one with concepts. Where the checkpoint's heads were fitted to it they are fitted
    again in folds; elsewhere they are asked as they are.
    """

    def run(self) -> int:
        """Measure and print."""
        from dermsim.evaluation.protocols.blur_protocol import measure_blur
        from dermsim.evaluation.protocols.concept_protocol import (
            measure_concepts,
            measure_melanoma,
            measured_regions,
        )

        engine, rows, asked = self.rows()
        tables = (
            measure_concepts(engine, asked),
            measure_melanoma(engine, asked),
            measured_regions(engine),
            measure_blur(engine, rows),
        )
        return self.answer(*(table for table in tables if table is not None))


@protocol_app.command(name="captions")
@dataclass(frozen=True, kw_only=True)
class CaptionsProtocol(ConceptProtocol):
    """Measure descriptions: facts, BLEU, ROUGE-L and CIDEr-D beside three other writers."""

    def run(self) -> int:
        """Measure and print."""
        from dermsim.evaluation.protocols.caption_protocol import measure_captions

        engine, _, asked = self.rows()
        return self.answer(measure_captions(engine, asked))
