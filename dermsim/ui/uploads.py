"""The files that a page has on disk, which is where Gradio puts uploads: few, private, soon gone.

Gradio deletes only files that it remembers, and only by `delete_cache`. Whatever else comes to lie
in its folder (parts of broken uploads, files of visitors' own copies of components) is found here.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

AGE = 48.0
"""Seconds after which a file that came with a request, or was made for one, is deleted."""

PERIOD = 5.0
"""Seconds between two looks at the folder. With `AGE` that is less than a minute."""

WAIT = 600.0
"""Seconds for which files are spared at most while the work on them waits for its turn."""

ROOM = 2**31
"""Bytes of all uploads on disk at the same time."""

_VARIABLE = "GRADIO_TEMP_DIR"

_PREFIX = "dermsim-uploads-"
_LOCK = ".lock"
_YOUNG = 60.0
"""Seconds for which a folder may be without its lock, because it is just being made."""


class Upload(bytes):
    """The bytes of an upload, with what it is known by.

    Attributes:
        name: Of the visitor's file.
        mark: The name of the folder that Gradio made for it, which is part of its address.
    """

    name: str
    mark: str

    @classmethod
    def read(cls, path: str) -> Upload:
        """Read an upload into memory."""
        content = cls(Path(path).read_bytes())
        content.name, content.mark = Path(path).name, Path(path).parent.name
        return content


class UploadFolder:
    """A private folder for what a page must put on disk.

    Attributes:
        path: The folder; only this user of the machine can look into it.
        kept: Files that stay: those the page was built with, such as its example pictures.
        room: Bytes of all other files at the same time.
    """

    def __init__(
        self,
        parent: str | Path | None = None,
        *,
        room: int = ROOM,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a folder, which is deleted with this object or when the program ends.

        Folders of programs that were killed are deleted: nobody holds their locks any more.

        Args:
            parent: Where to; None for the system's temporary directory.
            room: As the attribute.
            clock: Returns seconds, never fewer than before; the time of day may be set.
        """
        self.room, self._clock = room, clock
        if parent is not None:
            Path(parent).mkdir(parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
        lock = FileLock(self.path / _LOCK, thread_local=False)
        lock.acquire(blocking=False)
        self.kept: set[Path] = {self.path / _LOCK}
        self._occupied = 0
        self._underway: dict[object, frozenset[Path]] = {}
        self._awaited: dict[Path, float] = {}
        self._arrivals: dict[Path, tuple[int, float]] = {}
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._finalize = weakref.finalize(self, _remove, self.path, self._owner, lock)
        sweep_dead(self.path.parent)

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        self._finalize()

    def keep_all(self) -> None:
        """Keep the files that are there now."""
        with self._lock:
            self.kept.update(self._files())

    def sweep(self, *, age: float = AGE) -> int:
        """Delete files that have lain here too long, and folders that are left empty.

        Args:
            age: In seconds, since the file was written, or was put here again.

        Returns:
            How many bytes are left, without what is kept.
        """
        now, left = self._clock(), 0
        with self._lock:
            before = list(self._underway.values())
            self._awaited = {path: end for path, end in self._awaited.items() if end > now}
            for path in self._awaited:
                with suppress(FileNotFoundError):
                    os.utime(path)  # it is as if it came now
        found: dict[Path, tuple[int, float]] = {}
        for file in self._files() - self.kept:
            try:
                size, arrived = self._arrival(file, now, found)
                # Gradio keeps the parts of an upload in the folder itself until the last has come
                awaited = file.parent == self.path and any(file not in each for each in before)
                if now - arrived >= age and not awaited:
                    file.unlink()
                else:
                    left += size
            except FileNotFoundError:
                continue  # someone else was quicker
        for root, _, _ in os.walk(self.path, topdown=False):
            folder = Path(root)
            try:
                if folder != self.path and now - self._arrival(folder, now, found)[1] >= age:
                    os.rmdir(folder)
            except OSError:
                continue  # it is not empty, or gone already
        with self._lock:
            self._occupied, self._arrivals = left, found
        return left

    def _arrival(
        self, path: Path, now: float, found: dict[Path, tuple[int, float]]
    ) -> tuple[int, float]:
        """Return the size of what lies at a path, and when it came, as it is now.

        What was not seen before has come since the last look, so the time of day, which may have
        been set meanwhile, has little to say.
        """
        status = path.lstat()
        changed, arrived = self._arrivals.get(path, (None, now))
        if changed != status.st_ctime_ns:
            arrived = now - min(max(time.time() - status.st_ctime, 0.0), PERIOD)
        found[path] = (status.st_ctime_ns, arrived)
        return status.st_size, arrived

    def admit(self, size: int) -> bool:
        """Say whether there is room for an upload, and count it from now on."""
        with self._lock:
            if self._occupied + size > self.room:
                return False
            self._occupied += size
            return True

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Keep the parts of an upload for as long as further ones are coming."""
        upload = object()
        with self._lock:  # what is here already is no part of it; clocks of files are too coarse
            self._underway[upload] = frozenset(self.path.iterdir())
        try:
            yield
        finally:
            with self._lock:
                del self._underway[upload]

    def spare(self, paths: Iterable[str | Path], *, seconds: float = WAIT) -> None:
        """Keep files that wait for their turn as if they had just come.

        Args:
            paths: Files of this folder; others are left alone.
            seconds: How long at most, should their turn never come.
        """
        files = [Path(path).resolve() for path in paths]
        own = [file for file in files if file.is_relative_to(self.path) and file.is_file()]
        with self._lock:
            self._awaited.update(dict.fromkeys(own, self._clock() + seconds))

    def spare_no_more(self, paths: Iterable[str | Path]) -> None:
        """Let files age: their turn has come."""
        with self._lock:
            for path in paths:
                self._awaited.pop(Path(path).resolve(), None)

    def _files(self) -> set[Path]:
        return {Path(root, name) for root, _, names in os.walk(self.path) for name in names}


def _remove(path: Path, owner: int, lock: FileLock) -> None:
    if os.getpid() == owner:  # a forked process must not take it from its parent
        shutil.rmtree(path, ignore_errors=True)
        lock.release()


def sweep_dead(parent: Path) -> int:
    """Delete what servers that were killed have left.

    Args:
        parent: Where folders of uploads lie.

    Returns:
        How many folders were deleted.
    """
    deleted = 0
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            status = folder.lstat()
            mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            if folder.is_symlink() or not folder.is_dir() or not mine:
                continue
            known = (folder / _LOCK).exists()
            if not known and abs(time.time() - status.st_mtime) < _YOUNG:
                continue
            with FileLock(folder / _LOCK, blocking=False, thread_local=False):
                shutil.rmtree(folder, ignore_errors=True)
                deleted += 1
        except (Timeout, OSError):
            continue  # it is in use, or somebody else was quicker
    return deleted


@functools.cache
def upload_folder() -> UploadFolder:
    """Return this program's folder of uploads, and have Gradio use it from now on.

    Gradio's own default is one folder for all programs of a machine, which all of them may read.
    Where ``GRADIO_TEMP_DIR`` names a folder, it is made inside that.
    """
    folder = UploadFolder(os.environ.get(_VARIABLE))
    os.environ[_VARIABLE] = str(folder.path)
    return folder
