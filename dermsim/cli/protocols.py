"""The `dermsim protocol` commands: public protocols, each printed as a table with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from tyro.conf import Positional, UseAppendAction

from dermsim.cli.command import Command, load_engine, open_data
from dermsim.cli.terminal import check_output, show
from dermsim.core.refused import Refused
from dermsim.core.storage import save_json

if TYPE_CHECKING:
    from dermsim.evaluation.protocols.protocol_tables import Table

protocol_app = tyro.extras.SubcommandApp()


@dataclass(frozen=True, kw_only=True)
class ProtocolCommand(Command):
    """What every protocol's command has."""

    model: Positional[str]
    """Checkpoint folder or Hub id."""
    data: str
    """HAM10000: a Hub id, a folder in any known layout, or "synthetic"."""
    output: Path | None = None
    """JSON file to write what was found to."""

    def answer(self, *tables: Table) -> int:
        """Print what was found, and write it if asked to: of several tables, a list."""
        found = [table.to_dict() for table in tables]
        document = found[0] if len(found) == 1 else {"tables": found}
        if self.output is not None:
            save_json(self.output, document)
        readable = "\n".join(table.markdown() for table in tables)
        show(document, readable, as_json=self.json)
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
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        shift = open_data(self.shift) if self.shift else None
        from dermsim.evaluation.protocols.retrieval_protocol import evaluate_retrieval_protocol

        table = evaluate_retrieval_protocol(
            load_engine(self.model),
            data.load(more=False),
            split=self.split,
            shift=shift.load(more=False) if shift else None,
            shift_name=Path(self.shift).name if self.shift else "",
        )
        return self.answer(table)


@protocol_app.command(name="comparison")
@dataclass(frozen=True, kw_only=True)
class Comparison(ProtocolCommand):
    """Compare checkpoints on the same photographs: is the difference more than luck?

    Differences are to the first one, with intervals of their own; what all say together stands
    beside them.
    """

    against: UseAppendAction[tuple[str, ...]]
    """Checkpoint to compare with the first; may be repeated."""
    split: Literal["test", "validation", "all"] = "test"
    """Held-out lesions of the training source, validation while anything is still being chosen, or
    every photograph of another source."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        from dermsim.evaluation.protocols.comparison import compare

        sources = [self.model, *self.against]
        engines = {
            name: load_engine(source) for name, source in zip(_names(sources), sources, strict=True)
        }
        return self.answer(compare(engines, data.load(more=False), split=self.split))


def _names(sources: Sequence[str]) -> list[str]:
    """Name checkpoints by their folders, and by as much of the path as tells them apart.

    Raises:
        ValueError: If one comes twice.
    """
    parts = [Path(source).parts for source in sources]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise Refused("cli_protocols.compared_twice")


@protocol_app.command(name="few-shot")
@dataclass(frozen=True, kw_only=True)
class FewShot(ProtocolCommand):
    """Measure how well diagnoses never trained on are told apart by a few pictures of each.

    Two-way episodes with a checkpoint that was trained without some diagnoses; lesions shown and
    asked about are different ones.
    """

    classes: tuple[str, ...] = ()
    """Those diagnoses, such as akiec df vasc; all that the gallery lacks when left out."""
    shots: tuple[int, ...] = (1, 3, 5)
    """Numbers of pictures shown of each."""
    episodes: int = 600
    """Episodes for each number of pictures, at least."""
    seed: int = 0
    """Seed of the episodes."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        from dermsim.evaluation.protocols.few_shot import evaluate_few_shot

        table = evaluate_few_shot(
            load_engine(self.model),
            data.load(more=False),
            classes=self.classes,
            shots=self.shots,
            episodes=self.episodes,
            seed=self.seed,
        )
        return self.answer(table)


@protocol_app.command(name="incremental")
@dataclass(frozen=True, kw_only=True)
class Incremental(ProtocolCommand):
    """Measure what is forgotten while diagnoses never trained on are enrolled one by one."""

    classes: tuple[str, ...] = ()
    """Those diagnoses in the order to enrol them; all that the gallery lacks when left out."""
    shots: tuple[int, ...] = (5, 20)
    """Numbers of pictures of each."""
    draws: int = 20
    """How often the pictures are drawn."""
    split: Literal["test", "validation"] = "test"
    """Whose lesions are asked about: test, or validation while anything is still being chosen."""
    seed: int = 0
    """Seed of the draws."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        from dermsim.evaluation.protocols.incremental import evaluate_incremental

        table = evaluate_incremental(
            load_engine(self.model),
            data.load(more=False),
            classes=self.classes,
            shots=self.shots,
            draws=self.draws,
            split=self.split,
            seed=self.seed,
        )
        return self.answer(table)


@protocol_app.command(name="unfamiliar")
@dataclass(frozen=True, kw_only=True)
class Unfamiliar(ProtocolCommand):
    """Measure how well every score tells unfamiliar pictures: near, shifted and far.

    Near are the diagnoses that a checkpoint was trained without: name one such checkpoint for each
    diagnosis with --also. Shift and far pictures are asked of the first checkpoint.
    """

    also: UseAppendAction[tuple[str, ...]] = ()
    """Checkpoint trained without some diagnoses, to be asked about them; may be repeated."""
    shift: str | None = None
    """Photographs of another origin, such as ISIC 2017, given as the data."""
    far: UseAppendAction[tuple[Path, ...]] = ()
    """Folder of pictures of anything else; may be repeated. Noise is always asked about."""
    split: Literal["test", "validation"] = "test"
    """Whose lesions are the familiar ones: test, or validation to choose a score by."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        shift = open_data(self.shift) if self.shift else None
        from dermsim.evaluation.protocols.unfamiliar import (
            DRAWN,
            evaluate_unfamiliar,
            load_pictures,
        )

        names = [DRAWN, *(folder.name for folder in self.far)]
        if repeated := [name for name in names[1:] if names.count(name) > 1]:
            raise Refused("cli_protocols.far_twice", name=repeated[0], drawn=DRAWN)
        table = evaluate_unfamiliar(
            [load_engine(model) for model in (self.model, *self.also)],
            data.load(more=False),
            split=self.split,
            shift=shift.load(more=False) if shift else None,
            shift_name=Path(self.shift).name if self.shift else "",
            far={folder.name: load_pictures(folder) for folder in self.far},
        )
        return self.answer(table)


@protocol_app.command(name="ambiguity")
@dataclass(frozen=True, kw_only=True)
class Ambiguity(ProtocolCommand):
    """Measure whether prediction sets keep their promise, and what warns of a wrong answer."""

    split: Literal["test", "all"] = "test"
    """Held-out lesions of the training source, or every photograph of another source."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        from dermsim.evaluation.protocols.ambiguity import evaluate_ambiguity

        tables = evaluate_ambiguity(
            load_engine(self.model), data.load(more=False), split=self.split
        )
        return self.answer(*tables)


@protocol_app.command(name="quality")
@dataclass(frozen=True, kw_only=True)
class Quality(ProtocolCommand):
    """Measure which faulty pictures the quality gate catches, and which good ones it stops."""

    masks: str
    """Dermatologists' outlines: a folder of Parquet files or PNGs, or "synthetic"."""
    shift: str | None = None
    """Photographs of other clinics, such as ISIC 2017, given as the data."""
    far: UseAppendAction[tuple[Path, ...]] = ()
    """Folder of pictures of anything else; may be repeated."""
    split: Literal["test", "validation"] = "test"
    """Whose lesions: test, or validation while anything is still being chosen."""

    def run(self) -> int:
        """Measure and print."""
        if self.output is not None:
            check_output(self.output, ending=".json")
        data = open_data(self.data)
        shift = open_data(self.shift) if self.shift else None
        from dermsim.data.outlines import load_masks
        from dermsim.evaluation.protocols.quality import evaluate_quality
        from dermsim.evaluation.protocols.unfamiliar import load_pictures

        table = evaluate_quality(
            load_engine(self.model),
            data.load(more=False),
            load_masks(self.masks),
            split=self.split,
            shift=shift.load(more=False) if shift else None,
            shift_name=Path(self.shift).name if self.shift else "",
            far={folder.name: load_pictures(folder) for folder in self.far},
        )
        return self.answer(table)
