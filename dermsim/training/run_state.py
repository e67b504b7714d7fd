"""The states of a training run on disk: what a run that was interrupted goes on from."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermsim.core.atomic import atomic_path, exclusive, one_sentence, sync
from dermsim.core.refused import (
    Phrase,
    Refused,
    RefusedFileExistsError,
    RefusedFileNotFoundError,
    RefusedOSError,
)
from dermsim.training.presets import flatten

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

    from dermsim.data.opened_source import OpenedSource
    from dermsim.training.config import TrainConfig
    from dermsim.training.state_files import Learning

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


class StateFolder:
    """A folder of training states. Only whole ones have a name: a kill never leaves half a one.

    One run at a time has it: from `prepare` to `release`, or to the end of its process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = ExitStack()

    def __enter__(self) -> StateFolder:
        """Return the folder itself, which is released at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let other runs have the folder."""
        self._held.close()

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
            OSError: If the folder cannot be written, or another run is writing it.
            ValueError: If the run to be resumed was begun with other choices; they are named.
        """
        if resume and not self.complete():
            raise RefusedFileNotFoundError("run_state.no_state", folder=self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            self._held.enter_context(exclusive(self.folder, patience=0))
        except TimeoutError:  # another run has it, and the sentence says so
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise RefusedOSError(
                "run_state.not_writable", folder=self.folder, reason=reason
            ) from error
        try:
            self._begin(resume=resume, choices=choices)
        except BaseException:
            self.release()
            raise

    def _begin(self, *, resume: bool, choices: Mapping[str, Any]) -> None:
        """Compare with the run that is there, or keep what this one is begun with."""
        if resume:
            self._refuse_other(choices)
            return
        if self.complete():
            raise RefusedFileExistsError("run_state.other_run", parent=self.folder.parent)
        with atomic_path(self.folder / CHOICES) as temporary:
            temporary.write_text(json.dumps(choices, indent=1), encoding="utf-8")

    def _refuse_other(self, choices: Mapping[str, Any]) -> None:
        """Compare the choices of a resumed run with those that it was begun with."""
        record = self.folder / CHOICES
        if not record.is_file():
            raise RefusedFileNotFoundError("run_state.no_record", record=record)
        begun = json.loads(record.read_text(encoding="utf-8"))
        other = [
            Phrase("run_state.choice", name=name, was=begun.get(name), now=choices.get(name))
            for name in {**begun, **choices}
            if begun.get(name) != choices.get(name)
        ]
        if other:
            raise Refused("run_state.other_choices", parent=self.folder.parent, other=other)

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
            raise RefusedOSError(
                "run_state.disk", folder=self.folder, free=free / 2**20, needed=needed / 2**20
            )

    def latest(self) -> Path:
        """The newest whole state."""
        return self.complete()[-1]

    def save(self, accelerator: Accelerator, learning: Learning) -> None:
        """Write a state beside the others, name it when it is whole, and drop older ones.

        Args:
            accelerator: Says which process this is; every process must call this.
            learning: What is kept.

        Raises:
            OSError: If it cannot be written; the state before stays.
        """
        partial = self.folder / "partial"
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        accelerator.wait_for_everyone()
        with one_sentence(partial):
            learning.save_generators(partial, accelerator.process_index)
            if accelerator.is_main_process:
                learning.save(partial)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            sync(partial)
            partial.rename(self.folder / f"epoch-{learning.progress.epoch:04d}")
            sync(self.folder, contents=False)
            for old in self.complete()[:-1]:
                shutil.rmtree(old)

    def load(self, accelerator: Accelerator, learning: Learning) -> None:
        """Go on from the newest whole state.

        Args:
            accelerator: Says which process this is; every process must call this.
            learning: What is overwritten, of the same shape as when it was kept.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is damaged or of another run, or the state holds any other.
        """
        learning.load(self.latest())
        learning.load_generators(self.latest(), accelerator.process_index)
