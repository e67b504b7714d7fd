"""What every `dermsim` command has, and the checkpoint most of them load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import FlagCreatePairsOff

if TYPE_CHECKING:  # it brings torch, and `--help` must not wait for that
    from dermsim.engine import DermSim

HUB_MODEL = "dermsim/dermsim-ham10000"
"""The released checkpoint on the Hub, for installations without a checkout."""


def default_model() -> str:
    """Return the checkpoint folder beside the package in a checkout, or the released one's id."""
    folder = Path(__file__).resolve().parents[2] / "hub" / "dermsim-ham10000"
    return str(folder) if (folder / "config.json").is_file() else HUB_MODEL


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


def load_engine(model: str) -> DermSim:
    """Load the checkpoint in a folder or on the Hub."""
    from dermsim.engine import DermSim

    return DermSim.from_pretrained(model)
