"""What every `dermsim` command has, and the checkpoint most of them load."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import FlagCreatePairsOff, UseAppendAction

from dermsim.core.released import default_model

if TYPE_CHECKING:  # it brings torch, and `--help` must not wait for that
    from dermsim.data.label_mapping import LabelMapping
    from dermsim.data.opened_source import OpenedSource
    from dermsim.engine import DermSim
    from dermsim.tasks.enroll import ClassBank


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """What every command has."""

    json: FlagCreatePairsOff[bool] = False
    """Print one JSON document instead of a table."""

    @abstractmethod
    def run(self) -> int:
        """Do the work and return the exit status."""


@dataclass(frozen=True, kw_only=True)
class ModelCommand(Command):
    """A command that loads a checkpoint."""

    model: str = field(default_factory=default_model)
    """Checkpoint folder or Hub id."""

    def engine(self) -> DermSim:
        """Load the checkpoint."""
        return load_engine(self.model)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How the diagnoses of one's own data are called."""

    label_column: str | None = None
    """Column of the data that holds the diagnoses, if it is not called dx."""
    map: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """What words of the data mean: nevus=nv scc=other and so on, one of the seven codes or other.
    Names of the seven in five languages, and many more, are known."""

    @property
    def mapping(self) -> dict[str, str]:
        """What the words mean.

        Raises:
            ValueError: If a pair is not ``word=code``.
        """
        from dermsim.data.label_mapping import parse_mapping

        return parse_mapping([pair for pairs in self.map for pair in pairs])

    def open(self, source: str) -> OpenedSource:
        """Read the facts of a source, and print what its words were taken for.

        It takes a moment and comes before anything is loaded, so that whatever is wrong with a
        table or a folder is said at once.

        Raises:
            FileNotFoundError: As `dermsim.data.dataset.open_source`, as are the others.
            ConnectionError: Likewise.
            ValueError: Likewise.
        """
        from dermsim.data.dataset import open_source

        opened = open_source(source, label_column=self.label_column, mapping=self.mapping)
        show_mapping(opened.mapping)
        return opened


def show_mapping(mapping: LabelMapping) -> None:
    """Print what words were taken for on stderr, where a word is not the code itself."""
    if mapping.translates:
        for line in mapping.lines():
            print(f"dermsim: {line}", file=sys.stderr)


def open_data(source: str) -> OpenedSource:
    """Read the facts of a source, before torch is imported and anything is loaded.

    What is wrong with a table or a folder is said within a moment so. `OpenedSource.load` reads the
    pictures.

    Raises:
        FileNotFoundError: As `dermsim.data.dataset.open_source`, as are the others.
        ConnectionError: Likewise.
        ValueError: Likewise.
    """
    from dermsim.data.dataset import open_source

    return open_source(source)


def load_engine(model: str) -> DermSim:
    """Load the checkpoint in a folder or on the Hub."""
    from dermsim.models.compiler import import_without_compiler

    import_without_compiler("timm")
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(model)


def load_bank(file: Path | None, engine: DermSim) -> ClassBank | None:
    """Read a file of enrolled classes, where one is named.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or was made with another encoder.
    """
    if file is None:
        return None
    from dermsim.tasks.enroll import ClassBank

    return ClassBank.load(file, fingerprint=engine.fingerprint)
