"""The states of a training run on disk: what a run that was interrupted goes on from."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.atomic import atomic_path
from dermsim.training.presets import flatten

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

    from dermsim.data.opened_source import OpenedSource
    from dermsim.training.config import TrainConfig

CHECKPOINT_EXTRAS = 64 * 2**20
"""Bytes allowed for what lies beside the weights: gallery, atlas, detector, curves."""


MAY_CHANGE = frozenset(
    (
        *("optim.epochs", "output", "resume", "cpu", "trackers"),
        *("split", "corruptions", "shift"),
    )
)
"""Options of a run that may be others when it is resumed: how long it goes on, where it runs and
goes, and what is measured at its end. All others have shaped what was learned so far."""

CHOICES = "choices.json"
"""File beside the states that says what a run was begun with."""


def run_choices(config: TrainConfig, data: OpenedSource) -> dict[str, Any]:
    """Return what a run may not be resumed without.

    Args:
        config: Of the run.
        data: Its photographs: which they are, of which lesions and diagnoses, decides which of them
            are held out.

    Returns:
        Options by name, but for `MAY_CHANGE`; ``"photographs"`` names the rows of the data.
    """
    chosen = {name: value for name, value in flatten(config).items() if name not in MAY_CHANGE}
    if Path(config.data).exists():
        chosen["data"] = str(Path(config.data).resolve())
    rows = [
        [data.facts[row][column] for column in ("image_id", "lesion_id", "patient_id", "dx")]
        for row in data.kept
    ]
    digest = hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()
    return {**chosen, "photographs": f"{len(rows)} ({digest})"}


@dataclass
class Progress:
    """How far a run is; Accelerate keeps it beside the weights.

    Attributes:
        epoch: Epochs finished.
        step: Updates of the weights made.
        seconds: Time spent, over all the parts of an interrupted run.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What Accelerate stores."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What Accelerate gives back."""
        vars(self).update(state)


class StateFolder:
    """A folder of training states. Only whole ones have a name: a kill never leaves half a one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def complete(self) -> list[Path]:
        """All whole states, oldest first."""
        return sorted(self.folder.glob("epoch-*"))

    def prepare(self, *, resume: bool, choices: Mapping[str, Any]) -> None:
        """Make the folder, and keep what the run is begun with.

        Args:
            resume: Whether to go on with a run.
            choices: What `run_choices` returns.

        Raises:
            FileExistsError: If it holds another run's states, which a new run would mix with.
            FileNotFoundError: If the run is to be resumed and there is nothing to resume.
            OSError: If the folder cannot be written.
            ValueError: If the run to be resumed was begun with other choices; they are named.
        """
        if self.complete() and not resume:
            raise FileExistsError(
                f"{self.folder.parent} holds another run; go on with it (--resume), or choose "
                "another --output."
            )
        if resume and not self.complete():
            raise FileNotFoundError(
                f"{self.folder} holds no training state to resume; start without --resume."
            )
        if resume:
            self._refuse_other(choices)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            if not resume:
                with atomic_path(self.folder / CHOICES) as temporary:
                    temporary.write_text(json.dumps(choices, indent=1), encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(f"{self.folder} cannot be written: {reason}.") from error

    def _refuse_other(self, choices: Mapping[str, Any]) -> None:
        """Compare the choices of a resumed run with those that it was begun with."""
        record = self.folder / CHOICES
        if not record.is_file():
            raise FileNotFoundError(
                f"{record} is missing, which says what the run was begun with; begin anew with "
                "another --output."
            )
        begun = json.loads(record.read_text(encoding="utf-8"))
        other = [
            f"{name} was {begun.get(name)!r} and is {choices.get(name)!r}"
            for name in {**begun, **choices}
            if begun.get(name) != choices.get(name)
        ]
        if other:
            raise ValueError(
                f"{self.folder.parent} was begun with other choices: {'; '.join(other)}. Resume it "
                "with those, or begin anew with another --output."
            )

    def check_room(self, model: nn.Module) -> None:
        """See whether the disk has room for a run: two states side by side, and its checkpoint.

        Args:
            model: What will be trained. A state holds its weights, their running mean and two
                moments of AdamW, all in single precision.

        Raises:
            OSError: If it does not.
        """
        weights = 4 * sum(tensor.numel() for tensor in model.state_dict().values())
        needed = 2 * 4 * weights + weights + CHECKPOINT_EXTRAS
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(
                f"The disk of {self.folder} has {free / 2**20:,.0f} MiB left, but the run needs "
                f"{needed / 2**20:,.0f} MiB: free some, or choose another --output."
            )

    def latest(self) -> Path:
        """The newest whole state."""
        return self.complete()[-1]

    def save(self, accelerator: Accelerator, *, epoch: int) -> None:
        """Write a state beside the others, name it when it is whole, and drop older ones.

        Args:
            accelerator: Whose objects are saved; every process must call this.
            epoch: Epochs finished.
        """
        partial = self.folder / "partial"
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            partial.rename(self.folder / f"epoch-{epoch:04d}")
            for old in self.complete()[:-1]:
                shutil.rmtree(old)
