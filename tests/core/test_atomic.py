"""Whole or not at all, one writer at a time, and what a killed writer leaves behind."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from refusals import refuses

from dermsim.core import atomic
from dermsim.core.atomic import (
    atomic_path,
    exchange,
    exclusive,
    full_disk,
    leftovers,
    read_steadily,
    recover,
)
from dermsim.core.storage import load_json, save_arrays, save_json

POSIX = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")


@pytest.fixture
def no_exchange(monkeypatch):
    """A system that cannot exchange two folders in one step."""
    monkeypatch.setattr(atomic, "_renameat2", lambda: None)


def killed(script: str, folder: Path) -> None:
    """Run a script whose process kills itself with SIGKILL; `folder` is its first argument."""
    start = "import os, signal, sys\nfrom pathlib import Path\nfolder = Path(sys.argv[1])\n"
    die = "def die(*_, **__):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    command = [sys.executable, "-c", start + die + textwrap.dedent(script), str(folder)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def write_folder(folder: Path, word: str) -> None:
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        for name in ("one", "two"):
            (fresh / name).write_text(word)


def test_atomic_path_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "new folder" / "a.json"
    save_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="disk"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk")
    assert load_json(path, keys={"a"}) == {"a": 1}
    assert os.listdir(path.parent) == ["a.json"]


def test_atomic_path_replaces_a_folder_as_a_whole(tmp_path):
    folder = tmp_path / "gallery"
    folder.mkdir()
    (folder / "old").write_text("old")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    assert os.listdir(folder) == ["new"]
    assert os.listdir(tmp_path) == ["gallery"]


@pytest.mark.usefixtures("no_exchange")
def test_atomic_path_puts_the_old_folder_back_when_the_move_fails(tmp_path, monkeypatch):
    folder = tmp_path / "gallery"
    folder.mkdir()
    (folder / "old").write_text("old")
    replace = os.replace

    def fail_on_the_new_one(source, target):
        if target == folder and source.name == "gallery":
            raise OSError("no space")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_the_new_one)
    with pytest.raises(OSError, match="no space"), atomic_path(folder) as temporary:
        temporary.mkdir()
    assert (folder / "old").read_text() == "old"
    assert os.listdir(tmp_path) == ["gallery"]


def test_atomic_path_does_not_write_a_file_over_a_folder(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "inside").write_text("still here")
    with (
        refuses("atomic.is_folder", IsADirectoryError, target=tmp_path / "kept"),
        atomic_path(tmp_path / "kept") as fresh,
    ):
        fresh.write_text("a file")
    assert (tmp_path / "kept" / "inside").read_text() == "still here"


# --- one writer at a time ------------------------------------------------------------------------


def test_a_second_writer_is_told_who_is_in_the_way(tmp_path):
    target = tmp_path / "bank.safetensors"
    held, done = threading.Event(), threading.Event()

    def write():
        with atomic_path(target) as fresh:
            held.set()
            done.wait(10)
            fresh.write_text("first")

    other = threading.Thread(target=write)
    other.start()
    try:
        assert held.wait(10)
        with refuses("atomic.busy", TimeoutError, target=target), exclusive(target, patience=0):
            pytest.fail("two writers at once")
    finally:
        done.set()
        other.join()
    with exclusive(target, patience=0), exclusive(target, patience=0):  # its own thread may
        assert target.read_text() == "first"
    assert os.listdir(tmp_path) == ["bank.safetensors"]


def test_many_writers_of_one_path_come_one_after_the_other(tmp_path):
    target, inside, most = tmp_path / "count.json", [], []
    save_json(target, {"n": 0})

    def add():
        with exclusive(target):
            inside.append(1)
            most.append(len(inside))
            save_json(target, {"n": load_json(target, keys={"n"})["n"] + 1})
            inside.pop()

    threads = [threading.Thread(target=add) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load_json(target, keys={"n"}) == {"n": 12}
    assert max(most) == 1
    assert os.listdir(tmp_path) == ["count.json"]


@POSIX
def test_the_lock_of_a_killed_writer_is_nobody_s(tmp_path):
    killed(
        """
        from dermsim.core.atomic import exclusive
        with exclusive(folder / "a.json"):
            die()
        """,
        tmp_path,
    )
    assert os.listdir(tmp_path) == [".a.json.lock"]
    with exclusive(tmp_path / "a.json", patience=5):
        pass
    assert os.listdir(tmp_path) == []


# --- killed writers ------------------------------------------------------------------------------


@POSIX
def test_what_killed_writers_left_is_swept_by_the_next(tmp_path):
    save_json(tmp_path / "a.json", {"a": 1})
    (tmp_path / ".a.json.notours").mkdir()  # looks alike, and is not ours
    (tmp_path / ".a.json.b.abcdefgh.saving").mkdir()  # of another output
    for _ in range(2):
        killed(
            """
            from dermsim.core.atomic import atomic_path
            with atomic_path(folder / "a.json") as fresh:
                fresh.write_text("half")
                die()
            """,
            tmp_path,
        )
    # the second has swept what the first left
    assert len(leftovers(tmp_path / "a.json")) == 1
    save_json(tmp_path / "a.json", {"a": 2})
    assert leftovers(tmp_path / "a.json") == []
    assert sorted(os.listdir(tmp_path)) == [
        *(".a.json.b.abcdefgh.saving", ".a.json.notours", "a.json"),
    ]


MOVED_ASIDE = """
    from dermsim.core import atomic
    replace, atomic._renameat2 = os.replace, lambda: None
    def replace_once(*paths):
        replace(*paths)
        die()
    os.replace = replace_once
    with atomic.atomic_path(folder / "model") as fresh:
        fresh.mkdir()
        (fresh / "one").write_text("new")
"""


@POSIX
def test_a_folder_between_two_renames_is_put_back_by_the_reader(tmp_path):
    write_folder(tmp_path / "model", "old")
    killed(MOVED_ASIDE, tmp_path)
    assert not (tmp_path / "model").exists()
    recover(tmp_path / "model")
    assert (tmp_path / "model" / "two").read_text() == "old"


@POSIX
def test_a_folder_between_two_renames_is_not_swept_by_the_next_writer(tmp_path):
    write_folder(tmp_path / "model", "old")
    killed(MOVED_ASIDE, tmp_path)
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "model"):
        raise RuntimeError
    assert (tmp_path / "model" / "two").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_nothing_is_recovered_where_nothing_was_moved(tmp_path):
    recover(tmp_path / "nowhere" / "model")
    recover(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# --- in one step ---------------------------------------------------------------------------------


@LINUX
def test_two_folders_change_places(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert os.listdir(tmp_path / "a") == ["b"]
    assert os.listdir(tmp_path / "b") == ["a"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")


@LINUX
def test_a_replaced_folder_is_never_away(tmp_path, monkeypatch):
    write_folder(tmp_path / "model", "old")
    monkeypatch.setattr(os, "replace", lambda *_: pytest.fail("it was moved in two steps"))
    write_folder(tmp_path / "model", "new")
    assert (tmp_path / "model" / "one").read_text() == "new"


@pytest.mark.usefixtures("no_exchange")
def test_where_nothing_can_be_exchanged_folders_are_replaced_all_the_same(tmp_path):
    write_folder(tmp_path / "model", "old")
    write_folder(tmp_path / "model", "new")
    assert (tmp_path / "model" / "one").read_text() == "new"
    assert os.listdir(tmp_path) == ["model"]


def test_a_kernel_without_the_call_is_no_error(tmp_path, monkeypatch):
    def call(*_):
        atomic.ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(atomic, "_renameat2", lambda: call)
    assert not exchange(tmp_path, tmp_path)


# --- the disk ------------------------------------------------------------------------------------


@POSIX
def test_the_disk_has_file_and_names_before_and_after_the_move(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace

    def note(descriptor):
        events.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        fsync(descriptor)

    def move(source, target):
        events.append("moved")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", move)
    save_json(tmp_path / "a.json", {"a": 1})
    assert events == ["a.json", "moved", tmp_path.name]
    events.clear()
    write_folder(tmp_path / "model", "old")
    assert sorted(events[:3]) == ["model", "one", "two"]
    assert events[3:] == ["moved", tmp_path.name]


class LibraryError(Exception):
    """Like safetensors', an error that is no OSError."""


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/somewhere/else"),
        OSError(errno.EDQUOT, "over"),
        LibraryError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_sentence_that_names_the_output(tmp_path, error):
    save_json(tmp_path / "a.json", {"a": 1})
    reason = os.strerror(getattr(error, "errno", errno.ENOSPC))
    target = tmp_path / "a.json"
    refusal = refuses("atomic.not_writable", OSError, target=target, reason=reason)
    with refusal, atomic_path(target) as fresh:
        (fresh.parent / "b").mkdir()
        with atomic_path(fresh.parent / "b" / "part"):  # a part of it meets the end of the disk
            raise error
    assert load_json(tmp_path / "a.json", keys={"a"}) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_other_errors_are_not_of_a_full_disk():
    assert full_disk(ValueError("a")) is None
    assert full_disk(PermissionError(errno.EACCES, "no")) is None


def test_safetensors_that_cannot_be_written_are_an_oserror(tmp_path, monkeypatch):
    import numpy as np
    import safetensors.numpy

    def save_file(*_):
        raise safetensors.SafetensorError("Error while serializing: I/O error: Input/output error")

    monkeypatch.setattr(safetensors.numpy, "save_file", save_file)
    with refuses(
        "storage.not_writable",
        OSError,
        path=tmp_path / "a.safetensors",
        error="Error while serializing: I/O error: Input/output error",
    ):
        save_arrays(tmp_path / "a.safetensors", {"x": np.zeros(1)}, facts={})


# --- readers -------------------------------------------------------------------------------------


def test_what_is_replaced_while_it_is_read_is_read_again(tmp_path):
    folder, seen = tmp_path / "model", []
    write_folder(folder, "old")

    def read():
        one = (folder / "one").read_text()
        if not seen:
            write_folder(folder, "new")
        seen.append(one)
        return one, (folder / "two").read_text()

    assert read_steadily(folder, read) == ("new", "new")
    assert seen == ["old", "new"]


def test_an_error_of_a_folder_that_stays_is_raised_at_once(tmp_path):
    calls = []

    def read():
        calls.append(1)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        read_steadily(tmp_path, read)
    assert len(calls) == 1


def test_a_folder_that_is_always_replaced_is_read_under_its_lock(tmp_path):
    folder, calls = tmp_path / "model", []
    write_folder(folder, "0")

    def read():
        calls.append(1)
        if len(calls) <= atomic.ATTEMPTS:
            write_folder(folder, str(len(calls)))
        elif (tmp_path / ".model.lock").exists():
            return (folder / "one").read_text()
        return "mixed"

    assert read_steadily(folder, read) == str(atomic.ATTEMPTS)
