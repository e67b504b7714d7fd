"""Files and folders that are written whole or not at all, by one writer at a time.

A writer holds the lock of its output, writes beside it, makes sure that the disk has it, and then
moves it into place in one step. What a killed writer left is found by the next one, which holds the
lock and therefore knows that nobody is at work on it. Readers take no lock: `read_steadily` reads
again what was replaced meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from dermsim.core.refused import (
    RefusedIsADirectoryError,
    RefusedNotADirectoryError,
    RefusedOSError,
    RefusedTimeoutError,
)

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that a writer waits for another one of the same output."""

POLL = 0.01
"""Seconds after which a waiting writer looks again."""

ATTEMPTS = 5
"""How often something is read that others replace meanwhile, before they are made to wait."""

LOCK, SCRATCH = ".{}.lock", ".saving"
"""Name of the lock of an output, and what the name of a folder ends in where one is written."""

OLD = "old"
"""Name, in such a folder, of what is being replaced."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux


@contextmanager
def exclusive(path: str | Path, *, patience: float | None = None) -> Iterator[None]:
    """Keep other writers of an output waiting; a thread that has its lock may take it again.

    Args:
        path: The file or folder that is written. Its parent is made when missing; the lock is a
            file in there, which is removed again.
        patience: Seconds to wait for another writer; `PATIENCE` by default.

    Raises:
        TimeoutError: If another one holds the lock for longer.
        OSError: If the parent cannot be written.
    """
    from filelock import FileLock, Timeout

    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    place = target.parent / LOCK.format(target.name)
    # one object for each path, whose state is the thread's own: it can be taken again, and
    # threads exclude each other as processes do
    lock = FileLock(place, is_singleton=True)
    try:
        lock.acquire(timeout=PATIENCE if patience is None else patience, poll_interval=POLL)
    except Timeout:
        raise RefusedTimeoutError("atomic.busy", target=target) from None
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):  # who waits for it notices, and makes another
                place.unlink()
        lock.release()


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary sibling to write to, and move it over `path` only if the block succeeds.

    A failed write leaves what was there as it was. Another writer of the same path waits.

    Args:
        path: The file or folder to write. Its parent is made when missing; an old folder of that
            name is replaced as a whole, in one step where the system has one.

    Yields:
        The temporary path, with the name of `path`; nothing exists there yet.

    Raises:
        IsADirectoryError: If a file was written and `path` is a folder.
        NotADirectoryError: If a folder was written and `path` is a file.
        TimeoutError: As `exclusive`.
        OSError: If the disk is full; one sentence, whatever library met it.
    """
    target = Path(path)
    with one_sentence(target), exclusive(target):
        _clear_up(target)
        # on the same file system as the target, so that the move is a rename
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", suffix=SCRATCH
        ) as scratch:
            fresh = Path(scratch) / target.name
            yield fresh
            sync(fresh)
            _move_over(fresh, target)
            sync(target.parent, contents=False)


@contextmanager
def one_sentence(target: Path) -> Iterator[None]:
    """Say of a full disk what could not be written, whichever library met it.

    Raises:
        OSError: In place of any error that is of a full disk.
    """
    try:
        yield
    except Exception as error:
        if (reason := full_disk(error)) is not None:
            raise RefusedOSError("atomic.not_writable", target=target, reason=reason) from error
        raise


def full_disk(error: BaseException) -> str | None:
    """Return the reason in words where an error is of a full disk, whichever library raised it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return os.strerror(seen.errno)
        for number in _FULL:  # safetensors and Arrow have errors of their own
            if os.strerror(number) in str(seen):
                return os.strerror(number)
        seen = seen.__cause__
    return None


def sync(path: Path, *, contents: bool = True) -> None:
    """Make sure that the disk has a file or folder, so that a power cut leaves no empty file.

    Args:
        path: What was written.
        contents: Whether of a folder all that is in it, too, and not its list of names alone.
    """
    if os.name == "nt" or not path.exists():  # Windows opens no folder, and keeps names in order
        return
    inside = path.rglob("*") if contents and path.is_dir() else ()
    for place in (*inside, path):
        if place.is_symlink() or not (place.is_file() or place.is_dir()):
            continue
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move_over(fresh: Path, target: Path) -> None:
    """Put what was written in the place of what was there."""
    if target.is_dir() and not fresh.is_dir():
        raise RefusedIsADirectoryError("atomic.is_folder", target=target)
    if target.is_file() and fresh.is_dir():
        raise RefusedNotADirectoryError("atomic.is_file", target=target)
    if not target.is_dir():
        os.replace(fresh, target)
        return
    if exchange(fresh, target):
        return
    aside = fresh.parent / OLD  # a rename does not replace a folder that holds files
    os.replace(target, aside)
    try:
        os.replace(fresh, target)
    except OSError:
        os.replace(aside, target)
        raise


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one file system change places in one step, where the system can.

    Returns:
        Whether they did; False where there is no such call.

    Raises:
        OSError: If the system can, and did not.
    """
    if (call := _renameat2()) is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # an old kernel, a network folder
        return False
    raise OSError(number, os.strerror(number), str(other))


@cache
def _renameat2() -> Callable[..., int] | None:
    """Find the call in the C library, which Python does not offer."""
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = (
            *(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p),
            ctypes.c_uint,
        )
    return call


def leftovers(path: Path) -> list[Path]:
    """Return the folders in which an output is being written, or was by a writer that was killed.

    Args:
        path: The output.
    """
    if not path.parent.is_dir():
        return []
    own = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(SCRATCH)}")
    return [path.parent / name for name in os.listdir(path.parent) if own.fullmatch(name)]


def recover(path: str | Path) -> None:
    """Put back a folder that a killed writer had moved aside, where systems cannot exchange two.

    Args:
        path: What is about to be read; nothing is done if it is there, or nothing is aside.

    Raises:
        OSError: If it cannot be put back.
        TimeoutError: As `exclusive`.
    """
    target = Path(path)
    if target.exists() or not any((place / OLD).exists() for place in leftovers(target)):
        return
    with exclusive(target):
        _put_back(target)


def _put_back(target: Path) -> None:
    for place in leftovers(target):
        if not target.exists() and (place / OLD).exists():
            os.replace(place / OLD, target)


def _clear_up(target: Path) -> None:
    """Remove what killed writers left; whoever calls this holds the lock, so nobody is at work."""
    _put_back(target)
    for place in leftovers(target):
        shutil.rmtree(place, ignore_errors=True)


def read_steadily(folder: Path, read: Callable[[], T]) -> T:
    """Read a folder whose files belong together, and read it again if it was replaced meanwhile.

    Args:
        folder: The folder, which others may replace by `atomic_path`.
        read: Reads it.

    Returns:
        The value that `read` returned. All of it comes from one state of the folder, and so does
        an error that `read` raises.

    Raises:
        TimeoutError: If the folder is replaced all the time, and a writer holds its lock.
    """
    for _ in range(ATTEMPTS):
        before = _identity(folder)
        try:
            found = read()
        except (OSError, ValueError):
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:
            return found
    with exclusive(folder):
        return read()


def _identity(folder: Path) -> tuple[int, ...] | None:
    """Tell a folder from one that replaced it; the number of an inode alone may come again."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
