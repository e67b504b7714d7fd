"""Where a run's states go, and what is refused before the first epoch."""

import shutil
from collections import namedtuple

import pytest
import torch

from dermsim.training.run_state import CHECKPOINT_EXTRAS, Progress, StateFolder

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def model() -> torch.nn.Module:
    return torch.nn.Linear(1000, 1000)


def with_free(monkeypatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))


def test_a_disk_without_room_is_refused(tmp_path, model, monkeypatch):
    states = StateFolder(tmp_path / "state")
    states.prepare(resume=False)
    with_free(monkeypatch, 10 * 2**20)
    with pytest.raises(OSError, match="has 10 MiB left, but the run needs 98 MiB: free some"):
        states.check_room(model)


def test_room_for_two_states_is_enough(tmp_path, model, monkeypatch):
    states = StateFolder(tmp_path / "state")
    states.prepare(resume=False)
    states.check_room(model)
    weights = 4 * 1001 * 1000
    with_free(monkeypatch, 9 * weights + CHECKPOINT_EXTRAS)
    states.check_room(model)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file/state cannot be written: Not a directory"):
        StateFolder(tmp_path / "file" / "state").prepare(resume=False)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def read_only(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(OSError, match="state cannot be written: Permission denied"):
        StateFolder(tmp_path / "state").prepare(resume=False)


def test_progress_survives_a_state():
    progress = Progress(epoch=3, step=40, seconds=1.5)
    again = Progress()
    again.load_state_dict(progress.state_dict())
    assert again == progress
