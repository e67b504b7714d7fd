"""What every `dermsim` command has, and the checkpoint most of them load."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import FlagCreatePairsOff, UseAppendAction

from dermsim.core.refused import RefusedImportError
from dermsim.core.released import default_model

if TYPE_CHECKING:  # it brings torch, and `--help` must not wait for that
    from dermsim.data.label_mapping import LabelMapping
    from dermsim.data.opened_source import OpenedSource
    from dermsim.engine import DermSim
    from dermsim.engine.predicting import Predicting
    from dermsim.tasks.enroll import ClassBank


Backend = Literal["auto", "torch", "onnx", "onnx-int8"]


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
class QuickCommand(ModelCommand):
    """A command that an exported encoder can answer, too."""

    backend: Backend = "auto"
    """What runs the encoder: torch, or onnxruntime with what `dermsim export` wrote, in float32
    (onnx) or integers (onnx-int8). auto takes onnx where both are there, which starts several times
    faster and answers the same."""

    def quick_engine(self, *, facts: bool = False) -> Predicting:
        """Load the checkpoint, with torch only where it must be.

        Args:
            facts: Whether facts about patients will be told, which an exported encoder cannot heed.
        """
        if self.backend == "torch" or (facts and self.backend == "auto"):
            return self.engine()
        from dermsim.core.checkpoint import local_folder
        from dermsim.lite.encoder import FILES, FOLDER

        folder = local_folder(self.model)
        there = find_spec("onnxruntime") and (folder / FOLDER / FILES["fp32"]).is_file()
        if self.backend == "auto" and not there:
            return load_engine(str(folder))
        from dermsim.lite import LightDermSim

        precision = "int8" if self.backend == "onnx-int8" else "fp32"
        return LightDermSim.from_pretrained(folder, precision=precision)


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
    """Load the checkpoint in a folder or on the Hub.

    Raises:
        ImportError: If torch is not installed, as in a light installation.
    """
    if find_spec("torch") is None:
        raise RefusedImportError("lite.needs_torch")
    from dermsim.models.compiler import import_without_compiler

    import_without_compiler("timm")
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(model)


def load_bank(file: Path | None, engine: Predicting) -> ClassBank | None:
    """Read a file of enrolled classes, where one is named.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or was made with another encoder.
    """
    if file is None:
        return None
    from dermsim.tasks.enroll import ClassBank

    return ClassBank.load(file, fingerprint=engine.fingerprint)
