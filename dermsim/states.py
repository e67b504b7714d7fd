"""The states of a training run on disk: what a run that was interrupted goes on from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import Accelerator


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

    def prepare(self, *, resume: bool) -> None:
        """Make the folder.

        Raises:
            FileExistsError: If it holds another run's states, which a new run would mix with.
            FileNotFoundError: If the run is to be resumed and there is nothing to resume.
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
        self.folder.mkdir(parents=True, exist_ok=True)

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
